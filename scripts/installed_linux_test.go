package scripts

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// A checkout is this one with programs of the test in place of the built ones.
type checkout struct {
	t         *testing.T
	env       []string
	dir, dest string
}

// newCheckout has a go command that only leaves a note that it was called.
func newCheckout(t *testing.T) *checkout {
	t.Helper()
	testenv.NeedProgram(t, "make", "bash", "gzip")
	c := &checkout{t: t, dir: t.TempDir(), dest: t.TempDir()}
	for _, name := range []string{"whose", "whose-agent"} {
		must(t, os.WriteFile(filepath.Join(c.dir, name), []byte("#!/bin/sh\necho \"$2\"\n"), 0o755))
	}
	called := filepath.Join(c.dir, "called")
	must(t, os.WriteFile(filepath.Join(c.dir, "go"), []byte("#!/bin/sh\necho \"$*\" >>"+called+"\n"), 0o755))
	c.env = []string{"PATH=" + c.dir + ":/usr/bin:/bin", "WHOSE_BIN=" + c.dir, "WHOSE_MADE=" + filepath.Join(c.dir, "made"), "HOME=/"}
	t.Cleanup(func() {
		if text, err := os.ReadFile(called); err == nil {
			t.Errorf("the go command was called: %s", text)
		}
	})
	return c
}

func (c *checkout) run(name string, args ...string) (string, error) {
	cmd := exec.CommandContext(c.t.Context(), name, args...)
	cmd.Env = c.env
	if name == "make" {
		cmd.Dir = ".."
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// files are those below the folder where things are installed.
func (c *checkout) files() map[string]fs.FileMode {
	found := make(map[string]fs.FileMode)
	must(c.t, filepath.WalkDir(c.dest, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == c.dest {
			return err
		}
		info, err := d.Info()
		if err == nil {
			found[strings.TrimPrefix(path, c.dest)] = info.Mode()
		}
		return err
	}))
	return found
}

func TestInstall(t *testing.T) {
	c := newCheckout(t)
	out, err := c.run("make", "install", "DESTDIR="+c.dest)
	if err == nil || !strings.Contains(out, "run make build first") || len(c.files()) > 0 {
		t.Fatalf("of what is not built it installs %v and says %q", c.files(), out)
	}
	if out, err := c.run("./installed", "make"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// What others have there stays.
	foreign := filepath.Join(c.dest, "usr/share/man/man1/other.1")
	must(t, os.MkdirAll(filepath.Dir(foreign), 0o755))
	must(t, os.WriteFile(foreign, nil, 0o644))
	before := c.files()
	if out, err := c.run("make", "install", "DESTDIR="+c.dest); err != nil || out != "" {
		t.Fatalf("%v: %s", err, out)
	}
	installed := c.files()
	for path, mode := range map[string]fs.FileMode{
		"/usr/bin/whose": 0o755, "/usr/libexec/whose/whose-agent": 0o755, "/usr/share/man/man1/whose.1.gz": 0o644,
		"/usr/share/bash-completion/completions/whose": 0o644, "/usr/share/fish/vendor_completions.d/whose.fish": 0o644,
		"/usr/lib/systemd/system/whose-pin.service": 0o644, "/usr/lib/systemd/system/whose-agent.service": 0o644,
	} {
		if installed[path] != mode {
			t.Errorf("%s has mode %v, want %v", path, installed[path], mode)
		}
	}
	for path := range installed {
		if !strings.HasPrefix(path, "/usr") {
			t.Errorf("%s is installed: only a package writes beyond /usr", path)
		}
	}
	if out, err := c.run("make", "uninstall", "DESTDIR="+c.dest); err != nil || out != "" {
		t.Fatalf("%v: %s", err, out)
	}
	left := c.files()
	for path := range left {
		if _, ok := before[path]; !ok {
			t.Errorf("%s is left", path)
		}
	}
	if len(left) != len(before) {
		t.Errorf("left are %v, there were %v", left, before)
	}
}

// TestInstalled_Families: zsh looks in another folder on Debian.
func TestInstalled_Families(t *testing.T) {
	c := newCheckout(t)
	for family, folder := range map[string]string{"deb": "/usr/share/zsh/vendor-completions/_whose", "rpm": "/usr/share/zsh/site-functions/_whose"} {
		out, err := c.run("./installed", "list", "whose", family)
		if err != nil || strings.Count(out, "/zsh/") != 1 || !strings.Contains(out, folder+"\n") {
			t.Errorf("%s: %v: %s", family, err, out)
		}
	}
}

// TestInstalled_Complete: no unit and no template is forgotten, and none is listed
// that is not there.
func TestInstalled_Complete(t *testing.T) {
	text, err := os.ReadFile("../integrations/packages/files")
	must(t, err)
	var sources []string
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) == 5 && words[0] != "#" {
			sources = append(sources, words[3])
		}
	}
	for _, source := range sources {
		if strings.HasPrefix(source, "bin/") || strings.HasPrefix(source, "made/") {
			continue
		}
		if _, err := os.Stat(filepath.Join("..", source)); err != nil {
			t.Errorf("the list has a file that is not there: %v", err)
		}
	}
	for _, pattern := range []string{"systemd/*.conf", "systemd/*.service", "systemd/*.timer", "systemd/*.d/*.conf", "zabbix/*.conf", "zabbix/*/*.yaml"} {
		found, err := filepath.Glob(filepath.Join("../integrations", pattern))
		must(t, err)
		for _, path := range found {
			if !slices.Contains(sources, strings.TrimPrefix(path, "../")) {
				t.Errorf("%s is not in integrations/packages/files", path)
			}
		}
	}
}
