package whose_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/seed-44df2ae6/whose"

// A layer says what a package may import: packages of this module by their
// path below it, and modules from outside. Tests may import more.
type layer struct {
	inside  []string
	outside []string
}

// layers is the table of docs/architecture.md. A package that is not in it
// fails the test, so that a new one is placed on purpose.
var layers = map[string]layer{
	".":               {},
	"filter":          {inside: []string{"."}},
	"internal/source": {inside: []string{".", "filter"}},
	"internal/netns":  {inside: []string{"."}, outside: []string{"golang.org/x/sys"}},
	"internal/proc":   {inside: []string{".", "filter", "internal/source", "internal/netns"}, outside: []string{"golang.org/x/sys"}},
	"internal/bpf": {
		inside:  []string{".", "filter", "internal/source"},
		outside: []string{"github.com/cilium/ebpf", "golang.org/x/sys"},
	},
	"collect/internal/bpfiter": {
		inside:  []string{".", "filter", "internal/source", "internal/bpf"},
		outside: []string{"github.com/cilium/ebpf", "golang.org/x/sys"},
	},
	"collect/internal/sockdiag": {inside: []string{".", "filter", "internal/source", "internal/netns"}, outside: []string{"golang.org/x/sys"}},
	"collect/internal/procnet":  {inside: []string{".", "filter", "internal/source", "internal/netns"}},
	"collect": {
		inside: []string{".", "filter", "internal/source", "internal/proc", "collect/internal/bpfiter", "collect/internal/sockdiag", "collect/internal/procnet"},
	},
	"track": {
		inside:  []string{".", "filter", "collect", "internal/source", "internal/netns", "internal/proc", "track/internal/bpfevent"},
		outside: []string{"golang.org/x/sys"},
	},
	"track/internal/bpfevent": {
		inside:  []string{".", "filter", "internal/source", "internal/bpf"},
		outside: []string{"github.com/cilium/ebpf", "golang.org/x/sys"},
	},
	"internal/footprint":          {outside: []string{"golang.org/x/sys"}},
	"internal/hostname":           {inside: []string{"."}},
	"internal/spool":              {outside: []string{"golang.org/x/sys"}},
	"internal/tally":              {inside: []string{".", "filter"}},
	"internal/zabbix":             {inside: []string{".", "internal/tally"}},
	"integrations/zabbix/test":    {}, // tests only
	"scripts":                     {}, // tests only
	"collect/collecttest":         {inside: []string{".", "filter", "collect", "internal/source", "internal/testenv"}, outside: []string{"golang.org/x/sys", "golang.org/x/tools", "github.com/rogpeppe/go-internal", "github.com/google/go-cmp"}},
	"collect/collecttest/capture": {inside: []string{"."}, outside: []string{"github.com/rogpeppe/go-internal", "golang.org/x/sys"}},
	"internal/render":             {inside: []string{".", "internal/tally"}, outside: []string{"github.com/rivo/uniseg"}},
	"internal/testenv":            {inside: []string{".", "internal/netns"}, outside: []string{"golang.org/x/sys"}},
	"internal/matrix":             {outside: []string{"golang.org/x/sys"}},
	"cmd/whose": {
		inside: []string{".", "filter", "collect", "internal/source", "internal/netns", "internal/proc", "track", "internal/footprint", "internal/hostname", "internal/render", "internal/spool", "internal/tally", "internal/zabbix"},
		outside: []string{
			"github.com/spf13/cobra", "github.com/spf13/pflag", "golang.org/x/term", "golang.org/x/sys",
		},
	},
}

// packages returns the folders of this module that hold Go files, without
// those of nested modules.
func packages(t *testing.T) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); p != "." && (strings.HasPrefix(name, ".") || name == "testdata") {
			return filepath.SkipDir
		}
		if _, err := os.Stat(filepath.Join(p, "go.mod")); err == nil && p != "." {
			return filepath.SkipDir
		}
		if files, _ := filepath.Glob(filepath.Join(p, "*.go")); len(files) > 0 {
			found = append(found, filepath.ToSlash(p))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestLayers(t *testing.T) {
	for _, pkg := range packages(t) {
		allowed, known := layers[pkg]
		if !known {
			t.Errorf("package %s has no place in the table of layers", pkg)
			continue
		}
		for _, file := range sources(t, pkg) {
			for _, imported := range imports(t, file) {
				if !allowed.allows(imported) {
					t.Errorf("%s imports %s, which its layer may not", file, imported)
				}
			}
		}
	}
}

func (l layer) allows(imported string) bool {
	if inside, ok := strings.CutPrefix(imported, module); ok {
		return slices.Contains(l.inside, path.Join(".", inside))
	}
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") {
		return true // the standard library
	}
	return slices.ContainsFunc(l.outside, func(m string) bool { return imported == m || strings.HasPrefix(imported, m+"/") })
}

// sources returns the Go files of a package without its tests.
func sources(t *testing.T, pkg string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(pkg, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "_test.go") })
}

func imports(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, spec := range parsed.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// TestPackageDocs wants exactly one package comment in each package.
func TestPackageDocs(t *testing.T) {
	for _, pkg := range packages(t) {
		var with []string
		for _, file := range sources(t, pkg) {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if parsed.Doc != nil {
				with = append(with, file)
			}
		}
		if len(with) != 1 {
			t.Errorf("package %s has %d package comments %v, want one", pkg, len(with), with)
		}
	}
}

// TestGoMod keeps the module usable by others: nothing replaced, no tool.
func TestGoMod(t *testing.T) {
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		for _, word := range []string{"replace", "exclude", "tool"} {
			if strings.HasPrefix(strings.TrimSpace(line), word+" ") {
				t.Errorf("go.mod: %s: tools live in internal/tools/go.mod, and nothing is replaced", strings.TrimSpace(line))
			}
		}
	}
}
