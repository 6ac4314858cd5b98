package scripts

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestScreens sets the scene of docs/screens and reads what is in it, at one size.
func TestScreens(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedProgram(t, "bash", "flock", "setpriv", "unshare", "nsenter", "ip", "tmux")
	testenv.NewNetNS(t) // skips where none can be made
	temporary, folder := t.TempDir(), t.TempDir()
	whose := filepath.Join(temporary, "whose")
	build := exec.Command("go", "build", "-o", whose, "../cmd/whose")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for dir := temporary; dir != filepath.Clean(os.TempDir()) && dir != "/"; dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755)) // the ordinary user runs it too
	}
	cmd := exec.Command("./screens", whose, folder, "120x40")
	cmd.Env = append(os.Environ(), "TMPDIR="+temporary)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	must(t, testenv.Start(t, cmd))
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
	for name, rows := range map[string][]string{
		"root-120x40.txt": {
			`app \d+ → postgres \d+  ×5\n`,
			`LISTEN +0\.0\.0\.0:8000 .* lab +gunicorn \d+\n`,
			`0\.0\.0\.0:5000 .* process/python3 +python3 \d+\n`,
			`\* 3/2 queued +lazy \d+\n`,
			`127\.0\.0\.53:53 +\* .* unread +dnsmasq \d+\n`,
			`dig \d+ → dnsmasq \d+\n`,
			`prefork \d+,\d+,\d+,\d+ \+46\n`,
			`"a b\):\\x1b\[31m" \d+\n`,
			`\[fe80::5%br0\]:7001`,
			`TIME_WAIT +127\.0\.0\.1:7070 +127\.0\.0\.1:\d+ +\(time-wait\)\n`,
			`CLOSE_WAIT +10\.0\.0\.5:9100 ← 10\.0\.0\.20:\d+ .*leaky \d+\n`,
		},
		"user-120x40.txt": {`(?m)^\$ whose$`, `0\.0\.0\.0:22 .*\(hidden\)`, `could not be looked into`},
	} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		must(t, err)
		for _, row := range rows {
			if !regexp.MustCompile(row).Match(text) {
				t.Errorf("%s has no row like %s:\n%s", name, row, text)
			}
		}
	}
}

var update = flag.Bool("update", false, "write the screen of the README instead of comparing")

// TestScreens_README holds the screen of the README against the first one in
// docs/screens.
func TestScreens_README(t *testing.T) {
	const fence = "```\n"
	page, err := os.ReadFile("../README.md")
	must(t, err)
	screens, err := os.ReadFile("../docs/screens/after/root-120x40.txt")
	must(t, err)
	want, _, _ := strings.Cut(string(screens), "\n\n# whose ")
	before, rest, _ := strings.Cut(string(page), fence)
	shown, after, _ := strings.Cut(rest, fence)
	switch want += "\n"; {
	case *update:
		must(t, os.WriteFile("../README.md", []byte(before+fence+want+fence+after), 0o644))
	case shown != want:
		t.Errorf("the README shows another screen than docs/screens/after/root-120x40.txt (run with -update):\n%s", shown)
	}
}
