package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/seed-44df2ae6/whose"
)

// groupName is the name of a group of fields in lists.
func groupName(g whose.Group) string {
	switch g {
	case whose.OfOwner:
		return "owner"
	case whose.OfPeer:
		return "peer"
	case whose.OfTCP:
		return "tcp"
	case whose.OfLife:
		return "life"
	case whose.OfEvent:
		return "event"
	}
	return "session"
}

// groupText introduces a group of fields in the reference page.
func groupText(g whose.Group) string {
	switch g {
	case whose.OfOwner:
		return "## Of each owner\n\nIn JSON inside `owners`, a list with an object for each process that holds the session. " +
			"In filters they hold if they hold for one of the owners.\n\n"
	case whose.OfPeer:
		return "## Of the other end\n\nIn JSON inside `peer`, a list with an object for each owner of the other end, " +
			"present where that end is on this host and somebody holds it.\n\n"
	case whose.OfTCP:
		return "## Of TCP\n\nIn JSON beside the fields of the session, where they were asked for. Only TCP sessions have them.\n\n"
	case whose.OfLife:
		return "## Of a session's life\n\nIn a line of `whose watch` they stand beside `session`, as do `bytes_sent` and `bytes_received`, " +
			"there `sent.bytes` and `received.bytes`; but for `opened` and `closed`, which are inside it, where they were asked for. " +
			"A listing of what stands knows none of them.\n\n"
	case whose.OfEvent:
		return "## Of an event\n\nIn a line of `whose watch` beside `session`. No session has them without an event.\n\n"
	}
	return "## Of the session\n\n"
}

// FieldsPage returns the reference page of all fields, in Markdown.
func FieldsPage() []byte {
	var b strings.Builder
	b.WriteString("# Fields\n\n" +
		"<!-- Written by `go test ./internal/render -update` from the table of fields. Do not edit. -->\n\n" +
		"Every fact that `whose` tells has one name, used alike in `--fields`, in `--sort`, in `count --by`, " +
		"in filters and as the key in JSON. A field that does not apply to a session, or is not known, " +
		"is left out in JSON, an empty cell in CSV and TSV, and a `-` in tables.\n\n" +
		"In JSON, CSV and TSV durations are numbers of microseconds and points in time are RFC 3339 in UTC. In JSON numbers are numbers. " +
		"The socket cookie is a 64-bit number: readers that keep numbers as floating point lose digits above 2^53. " +
		"In CSV and TSV a field of the owners holds the values of all owners, parted by `;`.\n")
	for _, group := range []whose.Group{whose.OfSession, whose.OfOwner, whose.OfPeer, whose.OfTCP, whose.OfLife, whose.OfEvent} {
		b.WriteString("\n" + groupText(group))
		b.WriteString("| name | other names | key in JSON | kind | meaning |\n|---|---|---|---|---|\n")
		for _, f := range fieldsOf(whose.AllFields(), group) {
			fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s | %s |\n",
				f.Name, codeList(f.Aliases), keyText(f), kindText(f), fieldDoc(f))
		}
	}
	b.WriteString("\n## Both ends at once\n\nIn filters these names stand for the fields of either side.\n\n" +
		"| name | stands for | meaning |\n|---|---|---|\n")
	for _, p := range whose.Pairs() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", p.Name, codeList(p.Which[:]), p.Doc)
	}
	return []byte(b.String())
}

func codeList(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "`" + strings.Join(names, "` `") + "`"
}

// keyText is the key in JSON, that of events where it is another.
func keyText(f *whose.Field) string {
	if f.Of == whose.OfLife && f.EventKey != "" {
		return f.EventKey
	}
	return f.JSONKey()
}

func kindText(f *whose.Field) string {
	if f.Unit != "" && f.Unit != f.Kind.String() {
		return f.Kind.String() + ", " + f.Unit
	}
	return f.Kind.String()
}

func fieldDoc(f *whose.Field) string {
	if len(f.Values) == 0 {
		return f.Doc
	}
	return f.Doc + " One of " + codeList(f.Values) + "."
}

// FieldList writes the table of fields to w, as a table for a person or, for
// json, jsonl, csv and tsv, as the same for programs. Meanings are never cut:
// on a narrow terminal lines are longer than it.
func FieldList(w io.Writer, format string, opts Options) error {
	var g grid
	titles := []string{"NAME", "ALIASES", "OF", "KIND", "MEANING"}
	switch format {
	case Table, Wide:
		for _, title := range titles {
			g.columns = append(g.columns, &column{title: title, gap: 2})
		}
		g.columns[2].rank, g.columns[3].rank = luxury, luxury
		g.start(opts.NoHeader)
		for _, f := range whose.Fields() {
			g.text(f.Name, strong)
			g.text(strings.Join(f.Aliases, " "), faint)
			g.text(groupName(f.Of), faint)
			g.text(kindText(f), plain)
			g.text(f.Doc, plain)
		}
		return g.write(w, &opts, 0)
	case JSON, JSONL:
		_, err := w.Write(fieldListJSON(format == JSON))
		return err
	case CSV, TSV:
		_, err := w.Write(fieldListCells(format, opts.NoHeader))
		return err
	}
	return whose.WithHint(fmt.Errorf("format %q not possible for fields", format),
		"the formats are %s", strings.Join([]string{Table, JSON, JSONL, CSV, TSV}, ", "))
}

// fieldRow is what FieldList tells of a field, by key.
func fieldRow(f *whose.Field) [7][2]string {
	return [7][2]string{
		{"name", f.Name}, {"aliases", strings.Join(f.Aliases, " ")}, {"of", groupName(f.Of)},
		{"json_key", f.JSONKey()}, {"kind", f.Kind.String()}, {"unit", f.Unit}, {"meaning", f.Doc},
	}
}

func fieldListJSON(list bool) []byte {
	var out []byte
	for i, f := range whose.Fields() {
		if i > 0 && list {
			out = append(out, ',')
		}
		if i > 0 {
			out = append(out, '\n')
		}
		for j, pair := range fieldRow(f) {
			comma := byte(',')
			if j == 0 {
				comma = '{'
			}
			out = append(appendJSONString(append(out, comma), pair[0]), ':')
			out = appendJSONString(out, pair[1])
		}
		out = append(out, '}')
	}
	if list {
		out = append(append([]byte("[\n"), out...), "\n]"...)
	}
	return append(out, '\n')
}

func fieldListCells(format string, noHeader bool) []byte {
	enc := cellEncoder{comma: ',', quote: quoteCSV}
	if format == TSV {
		enc = cellEncoder{comma: '\t', backslash: true}
	}
	var out []byte
	line := func(f *whose.Field, which int) {
		for i, pair := range fieldRow(f) {
			if i > 0 {
				out = append(out, enc.comma)
			}
			start := len(out)
			out = enc.finish(enc.appendText(out, pair[which], false), start, whose.KindText)
		}
		out = append(out, '\n')
	}
	if !noHeader {
		line(whose.Fields()[0], 0)
	}
	for _, f := range whose.Fields() {
		line(f, 1)
	}
	return out
}
