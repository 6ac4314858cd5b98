package proc

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-44df2ae6/whose/filter"
)

func TestEphemeralPorts(t *testing.T) {
	for text, want := range map[string]filter.PortRange{
		"32768\t60999\n": {First: 32768, Last: 60999}, "1024 1025": {First: 1024, Last: 1025},
		"": {}, "1 2 3": {}, "1 70000": {}, "a b": {},
	} {
		root := t.TempDir()
		dir := filepath.Join(root, "sys/net/ipv4")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "ip_local_port_range"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := EphemeralPorts(root)
		if got != want || (err == nil) != (want != filter.PortRange{}) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
}
