package scripts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestRecipes runs every command of docs/recipes.md over the scene, and wants the
// lines of the page in its output.
func TestRecipes(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedProgram(t, "bash", "flock", "unshare", "nsenter", "ip", "pgrep", "timeout")
	testenv.NewNetNS(t) // skips where none can be made
	temporary, folder := t.TempDir(), t.TempDir()
	whose := filepath.Join(temporary, "whose")
	build := exec.Command("go", "build", "-o", whose, "../cmd/whose")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	recipes := readRecipes(t)
	for i, r := range recipes {
		must(t, os.WriteFile(filepath.Join(folder, fmt.Sprintf("%02d.sh", i)), []byte(r.script()), 0o644))
	}
	cmd := exec.Command("./recipes", whose, folder)
	cmd.Env = append(os.Environ(), "TMPDIR="+temporary)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	must(t, testenv.Start(t, cmd))
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
	for i, r := range recipes {
		read := func(ext string) string {
			text, err := os.ReadFile(filepath.Join(folder, fmt.Sprintf("%02d.%s", i, ext)))
			must(t, err)
			return string(text)
		}
		out := read("out")
		if status := strings.TrimSpace(read("status")); status != "0" {
			t.Errorf("%s: exit status %s, and it said:\n%s", r.command, status, read("err"))
		}
		var gave []string
		for line := range strings.Lines(out) {
			gave = append(gave, alike(line))
		}
		for _, line := range r.lines {
			if !slices.Contains(gave, alike(line)) {
				t.Errorf("%s\nhas no line like\n%s\nbut\n%s", r.command, line, out)
			}
		}
	}
}

// A recipe is a command of the page, and lines of its output.
type recipe struct {
	command string
	lines   []string
}

// script is the command as the test runs it: one that goes on until Ctrl-C loses its
// reader after some lines.
func (r recipe) script() string {
	if strings.HasPrefix(r.command, "whose watch") {
		return r.command + " | head -n 8\n"
	}
	return r.command + "\n"
}

func readRecipes(t *testing.T) []recipe {
	t.Helper()
	page, err := os.ReadFile("../docs/recipes.md")
	must(t, err)
	var recipes []recipe
	for _, part := range strings.Split(string(page), "```console\n")[1:] {
		block, _, _ := strings.Cut(part, "\n```")
		lines := strings.Split(block, "\n")
		command, ok := strings.CutPrefix(lines[0], "# ")
		if !ok || len(lines) < 2 {
			t.Fatalf("a recipe has a command after # and a line of output, and not\n%s", block)
		}
		recipes = append(recipes, recipe{command, lines[1:]})
	}
	if questions := strings.Count(string(page), "\n### "); questions < 30 || questions != len(recipes) {
		t.Fatalf("%d recipes for %d questions, want one for each of at least 30", len(recipes), questions)
	}
	return recipes
}

// differs are the parts of a line that are others each time.
var differs = []struct{ part, alike string }{
	{`\b\d\d:\d\d:\d\d\.\d+\b`, "TIME"},
	{`>?\b\d+(\.\d+)?(µs|ms|s)\b`, "SPAN"},
	{`:[3-6]\d{4}(-[3-6]\d{4})?\b`, ":PORT"}, // the range for clients
	{`^\d+$`, "PID"},
	{`"pid":\d+`, "PID"},
	{`^\d+  (backup)\b`, "PID $1"},
	{`(app|backup|chrome|dnsmasq|gunicorn|health|lazy|leaky|nginx|postgres|prober|sshd|wget|\\x1b\[31m") \d+`, "$1 PID"},
	{`\s+`, " "},
}

// alike returns a line without what is another each time: numbers of processes, ports
// of clients, times and the width of columns.
func alike(line string) string {
	line = strings.TrimSpace(line)
	for _, d := range differs {
		line = regexp.MustCompile(d.part).ReplaceAllString(line, d.alike)
	}
	return line
}
