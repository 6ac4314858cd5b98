package zabbix

import (
	"strings"
	"unicode/utf8"

	"github.com/seed-44df2ae6/whose"
)

// maxText bounds a text of discovery in bytes: Zabbix keeps 255 characters of a
// CHAR value, and of a name.
const maxText = 255

// Safe makes text chosen by a process or its user fit for Zabbix. The result is
// valid UTF-8 of printable characters of the basic plane, which every database
// of Zabbix can keep; it is at most 255 bytes long, without spaces at its ends.
// Nothing in it can be expanded as a macro ({#X}, {$X}, {ITEM.VALUE}, $1) or end
// the quotes around it: braces become parentheses, a backslash becomes a slash
// but for systemd's own (\x2d), and a dollar sign before a digit becomes "S".
//
// The same text gives the same result. Safe text stays as it is.
func Safe(text string) string {
	if plain(text) {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		r = safeRune(r, text[i:])
		if b.Len()+utf8.RuneLen(r) > maxText {
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}

// safeRune returns the replacement of r, the first rune of rest.
func safeRune(r rune, rest string) rune {
	switch {
	case r == '{':
		return '('
	case r == '}':
		return ')'
	case r == '\\' && !escapedByte(rest):
		return '/'
	case r == '$' && len(rest) > 1 && '0' <= rest[1] && rest[1] <= '9':
		return 'S'
	case r == utf8.RuneError || r > 0xffff:
		return utf8.RuneError
	case !whose.Visible(r):
		return '?'
	}
	return r
}

// escapedByte reports whether text begins with a byte in the escaped form of
// systemd's unit names.
func escapedByte(text string) bool {
	return len(text) >= 4 && text[1] == 'x' && isHex(text[2:4])
}

func isHex(text string) bool { return strings.Trim(text, "0123456789abcdef") == "" }

// plain reports whether the text needs no change, as the names of nearly all
// processes.
func plain(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-' || c == '.' || c == '_' || c == ':' || c == '/' || c == '@' || c == '(' || c == ')':
		default:
			return false
		}
	}
	return len(text) <= maxText
}
