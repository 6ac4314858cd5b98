package filter

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
)

var update = flag.Bool("update", false, "rewrite the reference page")

func TestReference_Fresh(t *testing.T) {
	page := filepath.Join("..", "docs", "filter.md")
	if *update {
		if err := os.WriteFile(page, []byte(Reference()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.ReplaceAll(string(have), "\r\n", "\n"), Reference()); diff != "" {
		t.Errorf("docs/filter.md is stale; run go test ./filter -update\n%s", diff)
	}
}

func TestExamples(t *testing.T) {
	for _, e := range Examples() {
		checkRoundTrip(t, mustParse(t, e.Filter))
	}
}

// TestReference_Complete finds every field, kind and spelling in the page.
func TestReference_Complete(t *testing.T) {
	page := Reference()
	var words []string
	words = append(append(words, fieldNames()...), "netns_name")
	for _, f := range whose.Fields() {
		words = append(words, f.Values...)
		if !strings.Contains(page, "| "+f.Kind.String()+" | `in` `=`") {
			t.Errorf("the page does not explain the kind %s", f.Kind)
		}
	}
	for _, w := range words {
		if !strings.Contains(page, "`"+w+"`") {
			t.Errorf("the page does not name %s", w)
		}
	}
}

// TestNames_Distinct shows that no word alone could mean two things.
func TestNames_Distinct(t *testing.T) {
	meant := map[string]string{}
	for _, name := range fieldNames() {
		meant[fold(name)] = "the field " + name
	}
	for _, name := range bareFields {
		for _, word := range spellings(whose.FieldByName(name)) {
			if f, _ := bareName(word); f == nil {
				continue // understood after the name of its field alone
			}
			if other := meant[fold(word)]; other != "" && other != name {
				t.Errorf("%q is a %s and %s", word, name, other)
			}
			meant[fold(word)] = name
		}
	}
}
