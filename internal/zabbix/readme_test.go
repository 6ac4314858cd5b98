package zabbix

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeFresh keeps the tables of the template's README those of the code.
func TestReadmeFresh(t *testing.T) {
	path := integrations + "/README.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := string(text)
	for name, table := range map[string]string{"macros": macroTable(), "items": itemTables(), "triggers": triggerTables()} {
		mark := "<!-- " + name + " -->"
		region := regexp.MustCompile(`(?s)` + mark + `\n(?:.*?<!-- end of ` + name + ` -->\n)?`)
		if len(region.FindAllString(want, -1)) != 1 {
			t.Fatalf("%s: want one mark %q", path, mark)
		}
		want = region.ReplaceAllLiteralString(want, mark+"\n\n"+table+"<!-- end of "+name+" -->\n")
	}
	fresh(t, path, []byte(want))
}

// cell makes text fit for a cell of a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n\n", " ", "\n", " ").Replace(text)
}

func macroTable() string {
	var b strings.Builder
	b.WriteString("| macro | default | what for |\n|---|---|---|\n")
	for _, m := range Macros() {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", cell(m.Name), cell(m.Value), cell(m.About))
	}
	return b.String()
}

// headings name the scopes in the tables.
func headings() []struct {
	of   Scope
	name string
} {
	return []struct {
		of   Scope
		name string
	}{{OfHost, "The host"}, {OfListener, "Each listener"}, {OfProcess, "Each process"}}
}

func itemTables() string {
	var b strings.Builder
	for _, h := range headings() {
		fmt.Fprintf(&b, "### %s\n\n| item | key | what it is |\n|---|---|---|\n", h.name)
		for _, i := range Items() {
			if i.Of != h.of {
				continue
			}
			key, about := i.Key, i.About
			if i.Of != OfHost {
				key += "[ID]"
			}
			if i.Off {
				about = "*off* " + about
			}
			if i.Units != "" {
				about += " (" + i.Units + ")"
			}
			fmt.Fprintf(&b, "| %s | `%s` | %s |\n", cell(i.Name), key, cell(about))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func triggerTables() string {
	var b strings.Builder
	for _, h := range headings() {
		fmt.Fprintf(&b, "### Of %s\n\n| problem | severity | what happened | what to do |\n|---|---|---|---|\n", strings.ToLower(h.name))
		for _, tr := range Triggers() {
			if tr.Of == h.of {
				fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", cell(tr.Name), strings.ToLower(tr.Severity), cell(tr.About), cell(tr.Do))
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}
