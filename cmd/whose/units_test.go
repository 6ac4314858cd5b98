package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

func TestSystemdUnits(t *testing.T) {
	dir := "../../integrations/systemd"
	path := testenv.NeedProgram(t, "systemd-analyze")
	// A copy, since a drop-in is read beside its unit.
	units := t.TempDir()
	if err := os.CopyFS(units, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	for _, unit := range []string{"whose-pin.service", "whose-agent.service"} {
		out, err := exec.Command(path, "verify", "--man=no", filepath.Join(units, unit)).CombinedOutput()
		var rest []string
		for line := range strings.Lines(string(out)) {
			if !strings.Contains(line, "/usr/bin/whose is not executable") && strings.Contains(line, "whose") {
				rest = append(rest, line)
			}
		}
		if len(rest) > 0 {
			t.Errorf("systemd-analyze verify: %v\n%s", err, strings.Join(rest, ""))
		}
		if out, err := exec.Command(path, "security", "--offline=yes", "--threshold=30", filepath.Join(units, unit)).CombinedOutput(); err != nil {
			t.Errorf("systemd-analyze security: %s is more exposed than 3.0: %v\n%s", unit, err, out)
		}
	}
	users := testenv.NeedProgram(t, "systemd-sysusers")
	conf, err := filepath.Abs(filepath.Join(dir, "whose.sysusers.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(users, "--dry-run", conf).CombinedOutput(); err != nil {
		t.Errorf("systemd-sysusers: %v\n%s", err, out)
	}
}
