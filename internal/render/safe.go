package render

import (
	"unicode/utf8"

	"github.com/seed-44df2ae6/whose"
)

// maxText is the number of bytes shown of one text. The model itself cuts
// command lines at this length.
const maxText = 4096

// AppendSafe appends s to dst and makes everything visible which could act on a
// terminal, forge a line, or hide: control characters (C0, DEL, C1) and so
// escape sequences, line and paragraph separators, bidirectional overrides,
// zero-width and other invisible characters, code points without a meaning, and
// bytes which are no UTF-8. [whose.Visible] has the rule.
//
// They become \n, \t, \r, \x1b for a byte and \u202e or \U000e0001 for a code
// point. All other text stays as it is, backslashes too: the result is for
// reading and cannot be turned back. Text longer than 4,096 bytes is cut and
// ends with "…".
func AppendSafe(dst []byte, s string) []byte {
	cut := len(s) > maxText
	if cut {
		s = s[:backToRune(s, maxText)]
	}
	dst = appendEscaped(dst, s, textEscape)
	if cut {
		dst = append(dst, "…"...)
	}
	return dst
}

// Safe returns the text of [AppendSafe] as a string.
func Safe(s string) string {
	if isPlain(s) && len(s) <= maxText {
		return s
	}
	return string(AppendSafe(nil, s))
}

// isPlain reports whether s is printable ASCII throughout.
func isPlain(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i]-' ' >= 0x7f-' ' {
			return false
		}
	}
	return true
}

// backToRune returns the last start of a code point in s at or before i, so
// s[:i] ends with a whole one.
func backToRune(s string, i int) int {
	for n := 0; n < utf8.UTFMax-1 && i > 0 && !utf8.RuneStart(s[i]); n++ {
		i--
	}
	return i
}

// appendEscaped appends s. escape writes every harmful code point, and every
// byte which is no UTF-8.
func appendEscaped(dst []byte, s string, escape func(dst []byte, r rune, badByte bool) []byte) []byte {
	start := 0
	for i := 0; i < len(s); {
		if s[i]-' ' < 0x7f-' ' {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		bad := r == utf8.RuneError && size == 1
		if !bad && harmless(r) {
			i += size
			continue
		}
		dst = append(dst, s[start:i]...)
		if bad {
			r = rune(s[i])
		}
		dst = escape(dst, r, bad)
		i += size
		start = i
	}
	return append(dst, s[start:]...)
}

// harmless reports whether a code point is shown as itself.
func harmless(r rune) bool { return whose.Visible(r) }

// textEscape is the visible form of AppendSafe.
func textEscape(dst []byte, r rune, badByte bool) []byte {
	switch {
	case badByte:
		return appendHex(append(dst, `\x`...), uint32(r), 2)
	case r == '\n':
		return append(dst, `\n`...)
	case r == '\t':
		return append(dst, `\t`...)
	case r == '\r':
		return append(dst, `\r`...)
	case r < utf8.RuneSelf:
		return appendHex(append(dst, `\x`...), uint32(r), 2)
	case r <= 0xffff:
		return appendHex(append(dst, `\u`...), uint32(r), 4)
	}
	return appendHex(append(dst, `\U`...), uint32(r), 8)
}

// appendHex appends n in the given number of hexadecimal digits.
func appendHex(dst []byte, n uint32, digits int) []byte {
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[n>>shift&0xf])
	}
	return dst
}
