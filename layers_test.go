package whose_test

import (
	"go/ast"
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

// A layer says what a package may import itself: packages of this module by
// their path below it, and modules from outside. Tests may import more.
type layer struct {
	inside  []string
	outside []string
}

// below is what sources, collect and track stand on.
var below = []string{
	".", "filter", "internal/source", "internal/netns", "internal/bpf", "internal/pair", "internal/proc",
}

// layers is the table of docs/architecture.md. A package that is not in it
// fails the test, so that a new one is placed on purpose. Some of its packages
// are still to come.
var layers = map[string]layer{
	".":                  {},
	"filter":             {inside: []string{"."}},
	"internal/pair":      {inside: []string{"."}},
	"internal/lots":      {inside: []string{"."}},
	"internal/shrink":    {},
	"internal/container": {},
	"internal/source":    {inside: []string{".", "filter", "internal/pair"}},
	"internal/netlink":   {outside: []string{"golang.org/x/sys"}},
	"internal/kill":      {inside: []string{".", "internal/netlink", "internal/netns", "internal/proc"}, outside: []string{"golang.org/x/sys"}},
	"internal/netns":     {inside: []string{"."}, outside: []string{"golang.org/x/sys"}},
	"internal/proc":      {inside: []string{".", "filter", "internal/source", "internal/netns", "internal/container"}, outside: []string{"golang.org/x/sys"}},
	"internal/bpf": {
		inside:  []string{".", "filter", "internal/source"},
		outside: []string{"github.com/cilium/ebpf", "golang.org/x/sys"},
	},
	"internal/bpf/bpftest":      {outside: []string{"github.com/cilium/ebpf"}},
	"collect/internal/bpfiter":  {inside: below, outside: []string{"github.com/cilium/ebpf", "golang.org/x/sys"}},
	"collect/internal/sockdiag": {inside: and(below, "internal/netlink"), outside: []string{"golang.org/x/sys"}},
	"collect/internal/procnet":  {inside: below, outside: []string{"golang.org/x/sys"}},
	"collect": {
		inside: and(below, "internal/lots", "collect/internal/bpfiter", "collect/internal/sockdiag", "collect/internal/procnet"),
	},
	"track/internal/bpfevent": {inside: below, outside: []string{"github.com/cilium/ebpf", "golang.org/x/sys"}},
	"track/internal/ledger":   {inside: and(below, "internal/shrink", "track/internal/bpfevent")},
	"track/internal/script":   {inside: []string{".", "internal/pair", "track/internal/bpfevent"}}, // for tests
	"track": {
		inside:  and(below, "collect", "track/internal/bpfevent", "track/internal/ledger"),
		outside: []string{"golang.org/x/sys"},
	},
	"history":            {inside: []string{".", "filter"}},
	"history/store":      {inside: []string{".", "filter", "history", "internal/folder", "internal/shrink"}, outside: []string{"modernc.org/sqlite", "golang.org/x/sys"}},
	"fleet":              {inside: []string{".", "filter", "integrations/clickhouse", "internal/remote", "internal/tally"}},
	"internal/tally":     {inside: []string{".", "filter", "internal/pair", "internal/shrink"}},
	"internal/scrape":    {},
	"internal/sdnotify":  {outside: []string{"golang.org/x/sys"}},
	"internal/folder":    {inside: []string{"."}, outside: []string{"golang.org/x/sys"}},
	"internal/burst":     {},
	"internal/footprint": {outside: []string{"golang.org/x/sys"}},
	"internal/limits":    {inside: []string{"."}, outside: []string{"golang.org/x/sys"}},
	"internal/hostname":  {inside: []string{"."}},
	"internal/spool":     {inside: []string{"."}, outside: []string{"golang.org/x/sys"}},
	"internal/baseline":  {inside: []string{".", "filter", "internal/tally"}},
	"internal/render":    {inside: []string{".", "internal/baseline", "internal/lots", "internal/tally"}, outside: []string{"github.com/rivo/uniseg"}},
	"internal/tui":       {inside: []string{".", "filter", "internal/kill", "internal/render", "internal/tally"}},
	"internal/web":       {},
	"internal/parquet":   {inside: []string{"."}, outside: []string{"github.com/parquet-go/parquet-go"}},
	"internal/zabbix":    {inside: []string{".", "filter", "internal/tally"}},
	"internal/ask":       {inside: []string{".", "filter", "history", "internal/tally"}},
	"internal/api": {
		inside:  []string{".", "filter", "history", "internal/agent", "internal/ask", "internal/folder", "internal/lots", "internal/render", "internal/tally", "internal/web"},
		outside: []string{"golang.org/x/sys"},
	},
	"internal/remote": {inside: []string{".", "internal/folder"}},
	"internal/export": {inside: []string{".", "internal/folder", "internal/remote"}, outside: []string{"github.com/klauspost/compress"}},
	"internal/agent": {
		inside: []string{
			".", "filter", "collect", "track", "history", "fleet", "internal/export", "internal/hostname", "internal/tally",
		},
	},
	"collect/collecttest": {
		inside:  []string{".", "filter", "collect", "internal/source", "internal/testenv"},
		outside: []string{"golang.org/x/sys", "golang.org/x/tools", "github.com/rogpeppe/go-internal", "github.com/google/go-cmp"},
	},
	"collect/collecttest/capture":  {inside: []string{"."}, outside: []string{"github.com/rogpeppe/go-internal", "golang.org/x/sys"}},
	"integrations/clickhouse":      {},
	"integrations/clickhouse/test": {}, // tests only
	"integrations/zabbix/test":     {}, // tests only
	"scripts":                      {}, // tests only
	"scripts/bill":                 {},
	"scripts/scene":                {outside: []string{"golang.org/x/sys"}},
	"internal/testenv":             {inside: []string{".", "internal/netns"}, outside: []string{"golang.org/x/sys"}},
	"internal/matrix":              {outside: []string{"golang.org/x/sys"}},
	"cmd/whose": {
		inside: and(below, "collect", "track", "history", "history/store", "fleet", "internal/agent", "internal/api", "internal/ask", "internal/baseline",
			"internal/burst", "internal/export", "internal/folder", "internal/footprint", "internal/hostname", "internal/kill", "internal/limits", "internal/lots", "internal/parquet", "internal/remote", "internal/render", "internal/scrape", "internal/sdnotify",
			"internal/spool", "internal/tally", "internal/tui", "internal/zabbix"),
		outside: []string{
			"github.com/spf13/cobra", "github.com/spf13/pflag", "golang.org/x/term", "golang.org/x/sys",
		},
	},
}

// and returns a list and what is named besides.
func and(list []string, more ...string) []string { return append(slices.Clone(list), more...) }

// A ban says what packages may not reach, by whatever packages of this module
// lie between, and why. A path may end in "/...", as for the go command.
type ban struct {
	from, to []string
	why      string
}

// bans are about packages of this module and modules from outside by their
// paths, and about packages of the standard library. What these import
// themselves does not count.
var bans = []ban{
	{
		from: []string{".", "filter"},
		to:   []string{"os", "net", "net/http", "syscall"},
		why:  "the model and the language know no host",
	},
	{
		from: []string{".", "filter", "history", "history/store", "fleet", "internal/render", "internal/tally", "internal/tui"},
		to:   []string{"collect/...", "github.com/cilium/ebpf/..."},
		why:  "what is shown, counted or kept is there without a kernel to ask",
	},
}

// homes are the only packages that may import something themselves.
var homes = map[string][]string{
	"github.com/spf13/...":       {"cmd/..."},
	"modernc.org/sqlite/...":     {"history/store"},
	"github.com/parquet-go/...":  {"internal/parquet"},
	"net/http":                   {"fleet", "internal/api", "internal/export", "internal/remote", "internal/scrape"},
	"github.com/cilium/ebpf/...": {"internal/bpf", "internal/bpf/bpftest", "collect/internal/bpfiter", "track/internal/bpfevent"},
}

// entering are the only packages that may move a thread into a network
// namespace.
var entering = []string{
	"internal/netns",
	"collect/collecttest", // a helper process moves its own thread, and ends there
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
				for what, where := range homes {
					if matches(imported, what) && !slices.ContainsFunc(where, func(home string) bool { return matches(pkg, home) }) {
						t.Errorf("%s imports %s, which only %v may", file, imported, where)
					}
				}
			}
		}
	}
}

func (l layer) allows(imported string) bool {
	if inside, ok := ours(imported); ok {
		return slices.Contains(l.inside, inside)
	}
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") {
		return true // the standard library
	}
	return slices.ContainsFunc(l.outside, func(m string) bool { return matches(imported, m+"/...") })
}

// ours returns the path of a package of this module below the module.
func ours(imported string) (string, bool) {
	inside, ok := strings.CutPrefix(imported, module)
	return path.Join(".", inside), ok && (inside == "" || inside[0] == '/')
}

// matches reports whether a path is the one that is named or, with "/...", below
// it.
func matches(p, pattern string) bool {
	dir, below := strings.CutSuffix(pattern, "/...")
	return p == dir || below && strings.HasPrefix(p, dir+"/")
}

// TestBans follows the imports of packages as far as they stay in this module.
func TestBans(t *testing.T) {
	graph := make(map[string][]string)
	for _, pkg := range packages(t) {
		for _, file := range sources(t, pkg) {
			graph[pkg] = append(graph[pkg], imports(t, file)...)
		}
	}
	for _, b := range bans {
		for _, from := range b.from {
			for imported, chain := range reached(graph, from) {
				for _, to := range b.to {
					if matches(imported, to) {
						t.Errorf("%s reaches %s: %s", strings.Join(chain, " -> "), imported, b.why)
					}
				}
			}
		}
	}
}

// reached returns what a package imports, itself or by others of this module,
// with the packages on the way.
func reached(graph map[string][]string, from string) map[string][]string {
	chains := make(map[string][]string)
	var follow func(pkg string, chain []string)
	follow = func(pkg string, chain []string) {
		for _, imported := range graph[pkg] {
			inside, own := ours(imported)
			if own {
				imported = inside
			}
			if _, met := chains[imported]; met {
				continue
			}
			chains[imported] = chain
			if own {
				follow(imported, and(chain, imported))
			}
		}
	}
	follow(from, []string{from})
	return chains
}

// TestEntering wants every way into a network namespace to lead by one package:
// a thread that has entered one must not run anything else again.
func TestEntering(t *testing.T) {
	for _, pkg := range packages(t) {
		if slices.Contains(entering, pkg) {
			continue
		}
		for _, file := range sources(t, pkg) {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok && (s.Sel.Name == "Setns" || s.Sel.Name == "SYS_SETNS") {
					t.Errorf("%s enters a namespace (%s), which only %v may", file, s.Sel.Name, entering)
				}
				return true
			})
		}
	}
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
