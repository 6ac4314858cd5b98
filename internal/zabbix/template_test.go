package zabbix

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the committed files")

const integrations = "../../integrations/zabbix"

// fileOf is where a template lies in the tree.
func fileOf(version string) string {
	return filepath.Join(integrations, version, "template_whose_sessions.yaml")
}

func TestTemplatesFresh(t *testing.T) {
	for _, version := range Versions() {
		got, err := Template(version, TemplateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		fresh(t, fileOf(version), got)
	}
}

// fresh compares a committed file with what it should be, and writes it with -update.
func fresh(t *testing.T, path string, want []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), string(want)); diff != "" {
		t.Errorf("%s is stale, run go test ./internal/zabbix -update (-committed +generated):\n%s", path, diff)
	}
}
