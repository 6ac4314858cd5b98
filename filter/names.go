package filter

import (
	"strings"

	"github.com/seed-44df2ae6/whose"
)

// An alias is another spelling of values of a KindName field: one that other
// tools use, or a word for several values at once.
type alias struct {
	field, word string
	values      []string // nil: all of the field
	doc         string
}

// aliases are compared as fold leaves them, so TIME-WAIT, time_wait and
// timewait need no row.
var aliases = [...]alias{
	{"state", "est", []string{"ESTABLISHED"}, "short"},
	{"state", "estab", []string{"ESTABLISHED"}, "as ss writes it"},
	{"state", "synrcv", []string{"SYN_RECV"}, "as ss writes it"},
	{"state", "closed", []string{"CLOSE"}, "as ss writes it; not alone, since closed is a field"},
	{"state", "unconnected", []string{"UNCONN"}, "as ss writes it"},
	{"state", "listening", []string{"LISTEN", "UNCONN"}, "what waits for others, TCP or UDP"},
	{"state", "connected", []string{"ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2",
		"TIME_WAIT", "CLOSE_WAIT", "LAST_ACK", "CLOSING"}, "all but LISTEN, CLOSE and UNCONN"},
	{"state", "all", nil, "every one, as ss has it"},
	{"state", "synchronized", []string{"ESTABLISHED", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2",
		"TIME_WAIT", "CLOSE_WAIT", "LAST_ACK", "CLOSING"}, "connected without SYN_SENT"},
	{"exposure", "exposed", []string{"link", "private", "public", "any"}, "more than loopback"},
	{"family", "inet", []string{"ipv4"}, ""},
	{"family", "inet6", []string{"ipv6"}, ""},
	{"family", "ip4", []string{"ipv4"}, ""},
	{"family", "ip6", []string{"ipv6"}, ""},
	{"family", "v4", []string{"ipv4"}, ""},
	{"family", "v6", []string{"ipv6"}, ""},
	{"family", "4", []string{"ipv4"}, ""},
	{"family", "6", []string{"ipv6"}, ""},
}

// fold returns a name in the form in which names are compared: lower case,
// without "-" and "_".
func fold(name string) string {
	return strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(name, "-", ""), "_", ""))
}

// namesMeant returns the values of a KindName field under a word.
func namesMeant(f *whose.Field, word string) []string {
	folded := fold(word)
	for _, v := range f.Values {
		if fold(v) == folded {
			return []string{v}
		}
	}
	for _, a := range aliases {
		switch {
		case a.field != f.Name || a.word != folded:
		case a.values == nil:
			return f.Values
		default:
			return a.values
		}
	}
	return nil
}

// bareFields are the fields whose values may stand alone: "tcp", "listen".
var bareFields = [...]string{"proto", "state", "family"}

// bareExposure is the word of the field exposure that may stand alone. Its values
// may not: a process may be called any of them.
const bareExposure = "exposed"

// bareName returns the field that a word alone is a value of, and the values. A
// word that is the name of a field is that.
func bareName(word string) (*whose.Field, []string) {
	if whose.FieldByName(word) != nil {
		return nil, nil
	}
	for _, name := range bareFields {
		f := whose.FieldByName(name)
		if values := namesMeant(f, word); values != nil {
			return f, values
		}
	}
	if fold(word) == bareExposure {
		f := whose.FieldByName("exposure")
		return f, namesMeant(f, word)
	}
	return nil, nil
}

// IsWord reports whether a word alone is a protocol, a state or a family: "listen".
func IsWord(word string) bool {
	f, _ := bareName(word)
	return f != nil
}

// spellings returns all spellings of the field's values.
func spellings(f *whose.Field) []string {
	all := append([]string(nil), f.Values...)
	for _, a := range aliases {
		if a.field == f.Name {
			all = append(all, a.word)
		}
	}
	return all
}

// fieldNames returns all names of fields and pairs, aliases too.
func fieldNames() []string {
	var all []string
	for _, f := range whose.AllFields() {
		all = append(append(all, f.Name), f.Aliases...)
	}
	for _, p := range whose.Pairs() {
		all = append(all, p.Name)
	}
	return all
}

// nearest returns the candidate with the least difference from word, or "" if none
// is near: one change in three characters, at least one.
func nearest(word string, candidates []string) string {
	const longest = 32
	if len(word) > longest {
		return ""
	}
	word = fold(word)
	best, limit := "", max(1, len(word)/3)+1
	for _, c := range candidates {
		folded := fold(c)
		if more := len(folded) - len(word); more >= limit || -more >= limit {
			continue
		}
		if d := distance(word, folded); d < limit {
			best, limit = c, d
		}
	}
	return best
}

// distance counts the single-byte insertions, deletions, changes and swaps of
// neighbours that make b of a.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
