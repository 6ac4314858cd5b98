package render

import (
	"bytes"
	"io"
	"unicode/utf8"
)

// This file writes for a terminal whose locale has no UTF-8. There a byte above
// 0x7f is a letter of another alphabet or, from 0x80 to 0x9f, a control character.

// ASCII returns text for a terminal without UTF-8: our own marks by their like in
// ASCII ("->" for an arrow), and everything else beyond ASCII as a visible escape.
func ASCII(text string) string {
	if isASCII([]byte(text)) {
		return text
	}
	return string(appendASCII(nil, text))
}

func appendASCII(dst []byte, text string) []byte {
	for i, r := range text {
		switch {
		case r < utf8.RuneSelf:
			dst = append(dst, byte(r))
		case r == utf8.RuneError && !bytes.HasPrefix([]byte(text[i:]), []byte("\ufffd")):
			dst = textEscape(dst, rune(text[i]), true)
		default:
			dst = append(dst, asciiMark(r)...)
			if asciiMark(r) == "" {
				dst = textEscape(dst, r, false)
			}
		}
	}
	return dst
}

// asciiMark is the like of one of our marks, "" for another letter.
func asciiMark(r rune) string {
	switch r {
	case '→':
		return asciiOut
	case '←':
		return asciiIn
	case '↔':
		return asciiBoth
	case '×':
		return timesASCII
	case '…':
		return "..."
	case 'µ':
		return "u"
	case '↑':
		return "^"
	case '↓':
		return "v"
	}
	return ""
}

// cutASCII puts the mark of shortened text in ASCII, one column wide like the other.
// The rest of the text is ASCII.
func cutASCII(text []byte) []byte { return bytes.ReplaceAll(text, []byte(ellipsis), []byte("~")) }

// ToASCII returns a writer for a terminal without UTF-8. What is written at once
// must be whole text.
func ToASCII(w io.Writer) io.Writer { return asciiWriter{w} }

type asciiWriter struct{ w io.Writer }

// Write writes the text by its like in ASCII.
func (a asciiWriter) Write(p []byte) (int, error) {
	if isASCII(p) {
		return a.w.Write(p)
	}
	if _, err := a.w.Write(appendASCII(nil, string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
