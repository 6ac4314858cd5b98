package render

import (
	"fmt"
	"strings"

	"github.com/seed-44df2ae6/whose"
)

// groupText introduces a group of fields in the reference page.
func groupText(g whose.Group) string {
	switch g {
	case whose.OfOwner:
		return "## Of each owner\n\nIn JSON inside `owners`, a list with an object for each owning process. " +
			"A condition holds if it holds for one of the owners.\n\n"
	case whose.OfPeer:
		return "## Of the other end\n\nIn JSON inside `peer`, a list with an object for each owner of the other end, " +
			"present if that end is on this host and has owners.\n\n"
	case whose.OfTCP:
		return "## Of TCP\n\nIn JSON beside the fields of the session, on request. Only TCP sessions have them.\n\n"
	case whose.OfLife:
		return "## Of a session's life\n\nIn a line of `whose watch` they stand beside `session`, as do `bytes_sent` and `bytes_received`, " +
			"there `sent.bytes` and `received.bytes`. `opened` and `closed` are inside it, on request. " +
			"A listing of standing sessions knows none of them.\n\n"
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
		"Every fact has one name, the same in `--fields`, in `--sort`, in `count --by`, " +
		"in filters and as the key in JSON. A field without a value, because it does not apply or is unknown, " +
		"is absent in JSON, an empty cell in CSV and TSV, and a `-` in tables.\n\n" +
		"In JSON, CSV and TSV durations are numbers of microseconds and points in time are RFC 3339 in UTC. In JSON numbers are numbers. " +
		"The socket cookie is a 64-bit number: readers with floating-point numbers lose digits above 2^53. " +
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

// keyText is the key in JSON, or the key of events if it differs.
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
