package render

import "unicode/utf8"

// appendJSONString appends s as a JSON string. Bytes which are no UTF-8 become
// U+FFFD. It escapes quotes, backslashes and all characters made visible by
// [AppendSafe]: nothing else is lost, and the text can be shown as it is.
func appendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	if isPlainJSON(s) {
		dst = append(dst, s...)
	} else {
		dst = appendJSONEscaped(dst, s)
	}
	return append(dst, '"')
}

func isPlainJSON(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func appendJSONEscaped(dst []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			dst = appendEscaped(dst, s[start:i], jsonEscape)
			dst = append(dst, '\\', s[i])
			start = i + 1
		}
	}
	return appendEscaped(dst, s[start:], jsonEscape)
}

// jsonEscape is the escaped form of a code point or byte.
func jsonEscape(dst []byte, r rune, badByte bool) []byte {
	switch {
	case badByte:
		return utf8.AppendRune(dst, utf8.RuneError)
	case r > 0xffff:
		r -= 0x10000
		dst = appendHex(append(dst, `\u`...), uint32(0xd800+r>>10), 4)
		return appendHex(append(dst, `\u`...), uint32(0xdc00+r&0x3ff), 4)
	}
	return appendHex(append(dst, `\u`...), uint32(r), 4)
}
