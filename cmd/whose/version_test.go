package main

import (
	"archive/zip"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

func TestVersionOf(t *testing.T) {
	const revision = "0123456789abcdef0123456789abcdef01234567"
	vcs := func(modified string) []debug.BuildSetting {
		return []debug.BuildSetting{{Key: "vcs.revision", Value: revision}, {Key: "vcs.modified", Value: modified}}
	}
	for name, c := range map[string]struct {
		linked, module string
		settings       []debug.BuildSetting
		version, line  string
	}{
		"the linker's word goes first": {"v9", "v1.2.3", vcs("false"), "v9", "whose v9 (0123456789ab)"},
		"linked, from a changed tree":  {"v9", "(devel)", vcs("true"), "v9", "whose v9 (0123456789ab, modified)"},
		"go install MODULE@VERSION":    {"", "v1.2.3", nil, "v1.2.3", "whose v1.2.3"},
		"a checkout": {
			"", "v0.0.0-20260102030405-0123456789ab+dirty", vcs("true"),
			"v0.0.0-20260102030405-0123456789ab+dirty", "whose v0.0.0-20260102030405-0123456789ab+dirty",
		},
		"a revision alone":         {"", "(devel)", vcs("false"), "0123456789ab", "whose 0123456789ab"},
		"a changed revision alone": {"", "", vcs("true"), "0123456789ab-dirty", "whose 0123456789ab-dirty"},
		"nothing known":            {"", "(devel)", nil, "devel", "whose devel"},
	} {
		t.Run(name, func(t *testing.T) {
			v := versionOf(c.linked, &debug.BuildInfo{Main: debug.Module{Version: c.module}, Settings: c.settings})
			if line := c.line + " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH; v.Version != c.version || v.String() != line {
				t.Errorf("%q in %q, want %q in %q", v.Version, v, c.version, line)
			}
		})
	}
}

// TestVersion_GoInstall serves this module as a module proxy does, and installs
// the command from there by its version.
func TestVersion_GoInstall(t *testing.T) {
	const module, version = "github.com/seed-44df2ae6/whose", "v0.98.7"
	if testing.Short() {
		t.Skip("builds the command from a module cache of its own")
	}
	dir, tool := t.TempDir(), goTool(t)
	cache, err := exec.CommandContext(t.Context(), tool, "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	serveModule(t, filepath.Join(dir, "proxy", filepath.FromSlash(module), "@v"), module, version)
	install := exec.CommandContext(t.Context(), tool, "install", "-trimpath", "-modcacherw", module+"/cmd/whose@"+version)
	install.Dir = dir
	install.Env = append(os.Environ(), "GOBIN="+dir, "GOMODCACHE="+filepath.Join(dir, "cache"), "GOFLAGS=", "GONOSUMDB=*", "GOWORK=off", "CGO_ENABLED=0",
		"GOPROXY=file://"+filepath.Join(dir, "proxy")+",file://"+filepath.Join(strings.TrimSpace(string(cache)), "cache", "download"))
	if out, err := install.CombinedOutput(); err != nil {
		if strings.Contains(string(out), "no such file") { // what the tests do not need is not downloaded
			testenv.Missing(t, "the modules of the command in the module cache", string(out))
		}
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "whose"), "version").Output()
	if want := "whose " + version + " go"; err != nil || !strings.HasPrefix(string(out), want) {
		t.Errorf("it says %q (%v), want %q", out, err, want)
	}
}

// serveModule writes what there is of one version of the module, as the go
// command asks a proxy for them.
func serveModule(t *testing.T, dir, module, version string) {
	t.Helper()
	root := filepath.Join("..", "..")
	gomod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, version+".mod"), gomod, 0o644)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, version+".info"), []byte(`{"Version":"`+version+`"}`), 0o644)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "list"), []byte(version+"\n"), 0o644)
	}
	if err == nil {
		err = zipModule(filepath.Join(dir, version+".zip"), root, module+"@"+version)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// zipModule packs a module, without those below it.
func zipModule(path, root, prefix string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	archive := zip.NewWriter(file)
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, err := os.Stat(filepath.Join(path, "go.mod"))
			if path != root && (err == nil || strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		inside, err := filepath.Rel(root, path)
		if err != nil || !d.Type().IsRegular() || filepath.Dir(inside) == "." && filepath.Ext(inside) != ".go" && filepath.Ext(inside) != ".mod" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		w, err := archive.Create(prefix + "/" + filepath.ToSlash(inside))
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	})
	return errors.Join(err, archive.Close(), file.Close())
}
