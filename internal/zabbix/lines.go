package zabbix

import (
	"encoding/json"
	"fmt"
	"strings"
)

// DocumentKey is the key of the item for the whole document.
const DocumentKey = "whose.get"

// MaxSenderSize is the greatest size of a document for zabbix_sender in bytes.
// No agent cuts it there: servers were seen to take 5 MB.
const MaxSenderSize = 4 << 20

// AppendLine appends one value as a line of the input of zabbix_sender -i. Host
// "-" stands for the host name given to zabbix_sender. The value is quoted for
// zabbix_sender: a quote and a backslash behind a backslash, a newline as \n. A
// line may be of any length; host and key may have 2,047 bytes.
func AppendLine(b []byte, host, key, value string) []byte {
	b = appendWord(b, host)
	b = append(b, ' ')
	b = appendWord(b, key)
	b = append(b, ' ')
	b = appendQuoted(b, value)
	return append(b, '\n')
}

// appendWord appends a word, in quotes only if necessary.
func appendWord(b []byte, word string) []byte {
	if word == "" || strings.HasPrefix(word, `"`) || strings.ContainsAny(word, " \t\n\r") {
		return appendQuoted(b, word)
	}
	return append(b, word...)
}

func appendQuoted(b []byte, text string) []byte {
	b = append(b, '"')
	for i := range len(text) {
		switch c := text[i]; c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case 0:
			b = append(b, '?') // would end the line
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// AppendValues appends a line for each value of the table of items, with the
// keys of the items, for users with items of their own and no template. A value
// missing in the document has no line.
func (d *Document) AppendValues(b []byte, host string) ([]byte, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return b, fmt.Errorf("write JSON: %w", err)
	}
	var tree map[string]any
	reader := json.NewDecoder(strings.NewReader(string(text)))
	reader.UseNumber()
	if err := reader.Decode(&tree); err != nil {
		return b, fmt.Errorf("read JSON: %w", err)
	}
	items := Items()
	for _, item := range items {
		if item.Of == OfHost {
			b = appendValue(b, host, item.Key, tree, item.Path)
		}
	}
	for _, r := range d.Discovery.Listeners {
		b = appendRow(b, host, items, OfListener, r.ID, tree["listeners"])
	}
	for _, r := range d.Discovery.Processes {
		b = appendRow(b, host, items, OfProcess, r.ID, tree["processes"])
	}
	return b, nil
}

// appendRow appends the values of one listener or row of processes.
func appendRow(b []byte, host string, items []Item, scope Scope, id string, rows any) []byte {
	all, _ := rows.(map[string]any)
	for _, item := range items {
		if item.Of == scope {
			b = appendValue(b, host, item.Key+`["`+id+`"]`, all[id], item.Path)
		}
	}
	return b
}

// appendValue appends the value at the path, if there is one.
func appendValue(b []byte, host, key string, tree any, path []string) []byte {
	for _, name := range path {
		branch, _ := tree.(map[string]any)
		tree = branch[name]
	}
	switch v := tree.(type) {
	case json.Number:
		return AppendLine(b, host, key, v.String())
	case string:
		return AppendLine(b, host, key, v)
	case bool:
		if v {
			return AppendLine(b, host, key, "1")
		}
		return AppendLine(b, host, key, "0")
	case []any:
		return AppendLine(b, host, key, sentences(v))
	}
	return b
}

// sentences joins the sentences of gaps, as the template's item does.
func sentences(gaps []any) string {
	all := make([]string, len(gaps))
	for i, gap := range gaps {
		members, _ := gap.(map[string]any)
		all[i], _ = members["why"].(string)
	}
	return strings.Join(all, "; ")
}
