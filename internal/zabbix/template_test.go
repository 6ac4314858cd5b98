package zabbix

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
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

func TestTemplate_Unknown(t *testing.T) {
	if _, err := Template("5.0", TemplateOptions{}); err == nil || !strings.Contains(err.Error(), "6.0 and 7.0") {
		t.Errorf("error is %v, want one that names the versions there are", err)
	}
}

// TestTemplate_IDs wants ids of the form that Zabbix takes, each once, the same
// in all versions, and others where a template is another.
func TestTemplate_IDs(t *testing.T) {
	id := regexp.MustCompile(`uuid: '?([0-9a-z]+)`)
	v4 := regexp.MustCompile(`^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$`)
	all := map[string]string{}
	for _, opts := range []TemplateOptions{{}, {Trapper: true}} {
		var first []string
		for _, version := range Versions() {
			text, err := Template(version, opts)
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, m := range id.FindAllStringSubmatch(string(text), -1) {
				if !v4.MatchString(m[1]) {
					t.Errorf("%s %+v: %q is not of the form of UUIDv4", version, opts, m[1])
				}
				if m[1] != groupUUID {
					ids = append(ids, m[1])
				}
			}
			slices.Sort(ids)
			if len(slices.Compact(slices.Clone(ids))) != len(ids) || len(ids) < len(Items()) {
				t.Errorf("%s %+v: %d ids, not each once", version, opts, len(ids))
			}
			if first == nil {
				first = ids
			} else if diff := cmp.Diff(first, ids); diff != "" {
				t.Errorf("%+v: ids of the versions differ:\n%s", opts, diff)
			}
		}
		for _, i := range first {
			if other, ok := all[i]; ok {
				t.Errorf("%s is an id of %s too", i, other)
			}
			all[i] = TemplateName(opts)
		}
	}
}

// TestItems_Paths wants a value in a whole document for each item, so that the
// table and the document cannot drift.
func TestItems_Paths(t *testing.T) {
	text, err := os.ReadFile("testdata/document.json")
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	absent := document["absent"].(map[string]any)
	for _, i := range Items() {
		var value any = document
		if i.Of != OfHost {
			value = absent[absentOf(i.Of)]
		}
		for _, key := range i.Path {
			value, _ = value.(map[string]any)[key]
		}
		switch value.(type) {
		case string:
			if i.Type != Char {
				t.Errorf("%s is text and has the type %q", i.Key, i.Type)
			}
		case bool:
			if i.ValueMap == "" {
				t.Errorf("%s is true or false and has no value map", i.Key)
			}
		case float64, []any:
		default:
			t.Errorf("%s: nothing is at %v", i.Key, i.Path)
		}
	}
}

// TestTriggers_Refer wants that triggers ask for items that are discovered,
// have macros that are defined, and depend on triggers that there are.
func TestTriggers_Refer(t *testing.T) {
	on := map[string]bool{}
	for _, i := range Items() {
		on[strings.Replace(keyOf(&i), rowID, "[ID]", 1)] = !i.Off
	}
	ids := map[string]bool{}
	for _, tr := range Triggers() {
		if tr.Of == OfHost {
			ids[tr.ID] = true
		}
	}
	for _, tr := range Triggers() {
		for _, m := range regexp.MustCompile(`\(/([^,()]+)`).FindAllStringSubmatch(tr.Expression+tr.Recovery, -1) {
			if !on[m[1]] {
				t.Errorf("trigger %q asks for %s, which no item is", tr.Name, m[1])
			}
		}
		for _, after := range tr.After {
			own := slices.ContainsFunc(Triggers(), func(o Trigger) bool { return o.Of == tr.Of && o.ID == after })
			if !ids[after] && !own {
				t.Errorf("trigger %q comes after %q, which there is not", tr.Name, after)
			}
		}
	}
}

// TestMacros_Used wants that each macro is used and each that is used is there.
func TestMacros_Used(t *testing.T) {
	text, err := Template("7.0", TemplateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	body, _, _ := strings.Cut(string(text), "\n      macros:\n")
	_, rest, _ := strings.Cut(string(text), "\n      dashboards:\n")
	used := map[string]bool{}
	for _, m := range regexp.MustCompile(`\{\$([A-Z_.]+)`).FindAllStringSubmatch(body+rest, -1) {
		used["{$"+m[1]+"}"] = true
	}
	for _, m := range Macros() {
		if !used[m.Name] {
			t.Errorf("macro %s is not used", m.Name)
		}
		delete(used, m.Name)
	}
	for name := range used {
		t.Errorf("macro %s is used and has no value", name)
	}
}

// TestNames_Short wants names that fit into Zabbix's tables with the longest
// facts that a row can have: 255 characters, and 128 for a graph. A process has
// 15 bytes, a user 32, an address with its zone 61.
func TestNames_Short(t *testing.T) {
	longest := strings.NewReplacer(
		"{#WHOSE.PROTO}", "udplite", "{#WHOSE.ADDR}", strings.Repeat("a", 61), "{#WHOSE.PORT}", "65535",
		"{#WHOSE.PROCESS}", strings.Repeat("p", 15), "{#WHOSE.USER}", strings.Repeat("u", 32), "{#WHOSE.ID}", "0123456789ab",
	)
	for _, i := range Items() {
		if n := len(longest.Replace(nameOf(&i))); n > 255 {
			t.Errorf("the name of %s may have %d characters", i.Key, n)
		}
	}
	for _, g := range graphs() {
		if n := len(longest.Replace(g.name)); n > 128 {
			t.Errorf("the name of the graph %q may have %d characters", g.name, n)
		}
	}
}
