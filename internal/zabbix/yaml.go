package zabbix

import (
	"bytes"
	"strings"
)

// A yamlMap is an ordered mapping. Values are a string, a yamlMap or a yamlList.
// Writing leaves out pairs with an empty value.
type yamlMap []yamlPair

type yamlPair struct {
	key   string
	value any
}

// A yamlList is a sequence of values as in a yamlMap.
type yamlList []any

// yamlPlain reports whether text has no need of quotes: a letter, and then one or
// more letters, digits, or any of _./- in it. That excludes indicators and all
// text which a reader of YAML takes for a number, a date, null or a boolean (y
// and n among them).
func yamlPlain(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c|0x20 && c|0x20 <= 'z':
		case i > 0 && ('0' <= c && c <= '9' || strings.IndexByte("_./-", c) >= 0):
		default:
			return false
		}
	}
	return len(text) > 1
}

// yamlWords are booleans or null for some readers.
const yamlWords = " yes no true false on off null "

// writeYAML writes a document.
func writeYAML(doc yamlMap) []byte {
	var b bytes.Buffer
	yamlValue(&b, doc, 0)
	return b.Bytes()
}

// yamlValue writes a mapping or a list with depth steps before its lines. The
// first line of a mapping in a list stands behind the dash.
func yamlValue(b *bytes.Buffer, value any, depth int) {
	switch v := value.(type) {
	case yamlMap:
		for _, pair := range v {
			if yamlEmpty(pair.value) {
				continue
			}
			yamlIndent(b, depth)
			b.WriteString(yamlScalar(pair.key, depth) + ":")
			yamlAfter(b, pair.value, depth)
		}
	case yamlList:
		for _, entry := range v {
			yamlIndent(b, depth)
			b.WriteString("-")
			if m, ok := entry.(yamlMap); ok {
				yamlInline(b, m, depth)
				continue
			}
			yamlAfter(b, entry, depth)
		}
	}
}

// yamlAfter writes the text after a key or a dash.
func yamlAfter(b *bytes.Buffer, value any, depth int) {
	if text, ok := value.(string); ok {
		b.WriteString(" " + yamlScalar(text, depth+1) + "\n")
		return
	}
	b.WriteString("\n")
	yamlValue(b, value, depth+1)
}

// yamlInline writes a mapping behind the dash of its list.
func yamlInline(b *bytes.Buffer, m yamlMap, depth int) {
	var nested bytes.Buffer
	yamlValue(&nested, m, depth+1)
	b.WriteString(" ")
	b.WriteString(strings.TrimLeft(nested.String(), " "))
}

func yamlIndent(b *bytes.Buffer, depth int) {
	for range depth {
		b.WriteString("  ")
	}
}

// yamlEmpty reports whether writing leaves out the value.
func yamlEmpty(value any) bool {
	switch v := value.(type) {
	case string:
		return v == ""
	case yamlMap:
		return len(v) == 0
	case yamlList:
		return len(v) == 0
	}
	return value == nil
}

// yamlScalar writes text plain if this is safe, as a literal block if it has
// lines, and otherwise in single quotes.
func yamlScalar(text string, depth int) string {
	if strings.Contains(text, "\n") {
		block := "|"
		for line := range strings.Lines(text) {
			if line = strings.TrimRight(line, "\n"); line != "" {
				line = strings.Repeat("  ", depth) + line
			}
			block += "\n" + line
		}
		return block
	}
	if yamlPlain(text) && !strings.Contains(yamlWords, " "+strings.ToLower(text)+" ") {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}
