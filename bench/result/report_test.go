package result

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestReport_RoundTrip(t *testing.T) {
	want := &Report{
		Title:   "Load",
		Text:    []string{"One [link](x.md), two {braces}."},
		Machine: []string{"Kernel 6.18"},
		Tables: []Table{{
			Title: "small", Columns: []string{"command", "ms", ""},
			Rows:  [][]Cell{{"`ss [a]`", "7.0", "reached"}, {"a|b", "> 60000", ""}, {"<x>", "0.50 ×", "1e5"}},
			Notes: []string{"one"},
		}},
	}
	path := filepath.Join(t.TempDir(), "r.json")
	if err := want.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	got, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"        [\"a|b\", \"> 60000\", \"\"],\n", "        [\"`ss [a]`\", 7.0, \"reached\"],\n"} {
		if !strings.Contains(string(text), line) {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
}

func TestReport_Markdown(t *testing.T) {
	r := Report{
		Title: "Load", Text: []string{"Text."}, Machine: []string{"Kernel"}, Notes: []string{"note"},
		Tables: []Table{{Title: "small", Columns: []string{"", "ms", ""}, Rows: [][]Cell{{"a|b", "", "x"}}}},
	}
	const want = `## Load

Text.

- Kernel

### small

| | ms | |
|---|--:|---|
| a\|b | | x |

- note
`
	if got := r.Markdown(2); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestReadFile_Refuses(t *testing.T) {
	for name, text := range map[string]string{
		"a key that the form lacks": `{"title":"x","when":"now"}`,
		"a row that is too short":   `{"title":"x","tables":[{"columns":["a","b"],"rows":[["1"]]}]}`,
	} {
		path := filepath.Join(t.TempDir(), "r.json")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadFile(path); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
