package whose_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestWords keeps docs/words.md in alphabetical order, and its names in Go and in
// JSON those of the code and of the schemas.
func TestWords(t *testing.T) {
	text, err := os.ReadFile("docs/words.md")
	if err != nil {
		t.Fatal(err)
	}
	page, _, found := strings.Cut(string(text), "\n## Words to come")
	if !found {
		t.Fatal("docs/words.md has no words to come: mend this test")
	}
	entries := strings.Split(page, "\n## ")[1:]
	if !slices.IsSorted(entries) {
		t.Error("docs/words.md is not in alphabetical order")
	}
	exported := exportedNames(t)
	schemas := schemaText(t)
	names := regexp.MustCompile(`(?s)(Go|JSON):(.*?)\.(\s|$)`)
	quoted := regexp.MustCompile("`([^`]+)`")
	for _, entry := range entries {
		word, body, _ := strings.Cut(entry, "\n")
		for _, list := range names.FindAllStringSubmatch(body, -1) {
			for _, name := range quoted.FindAllStringSubmatch(list[2], -1) {
				if list[1] == "Go" && !exported[name[1]] {
					t.Errorf("%s: nothing exported has the name %s", word, name[1])
				}
				if list[1] == "JSON" && !strings.Contains(schemas, `"`+name[1]+`"`) {
					t.Errorf("%s: no schema has %q", word, name[1])
				}
			}
		}
	}
}

func schemaText(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("docs/schema/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d schemas, %v", len(files), err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// exportedNames returns the exported names of all packages: "whose.Session",
// "whose.Session.Cookie", "collect.Pin".
func exportedNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, pkg := range packages(t) {
		for _, file := range sources(t, pkg) {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range parsed.Decls {
				for _, name := range declared(d) {
					if part := strings.Split(name, "."); ast.IsExported(part[len(part)-1]) {
						names[parsed.Name.Name+"."+name] = true
					}
				}
			}
		}
	}
	return names
}

// declared returns the names that a declaration makes, those of methods and of
// fields with their type.
func declared(d ast.Decl) (names []string) {
	if f, ok := d.(*ast.FuncDecl); ok {
		if f.Recv == nil {
			return []string{f.Name.Name}
		}
		typ := f.Recv.List[0].Type
		if p, ok := typ.(*ast.StarExpr); ok {
			typ = p.X
		}
		if id, ok := typ.(*ast.Ident); ok {
			return []string{id.Name + "." + f.Name.Name}
		}
		return nil
	}
	for _, spec := range d.(*ast.GenDecl).Specs {
		switch s := spec.(type) {
		case *ast.ValueSpec:
			for _, id := range s.Names {
				names = append(names, id.Name)
			}
		case *ast.TypeSpec:
			names = append(names, s.Name.Name)
			if fields, ok := s.Type.(*ast.StructType); ok {
				for _, f := range fields.Fields.List {
					for _, id := range f.Names {
						names = append(names, s.Name.Name+"."+id.Name)
					}
				}
			}
		}
	}
	return names
}
