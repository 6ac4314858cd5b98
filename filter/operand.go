package filter

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-44df2ae6/whose"
)

// An operand is one value of a condition, checked and in its plain form.
type operand struct {
	// text of KindText (of a glob its pattern), KindName and KindTime, of a
	// namespace its name, and the source of a regular expression.
	text string
	// glob: text is a pattern: "*" and "?" stand for others unless
	// a backslash stands before them.
	glob bool
	// named: the text is the name of a namespace.
	named bool
	// self: the caller's own namespace.
	self bool
	// lo and hi, both included, hold numbers; nanoseconds of a duration.
	lo, hi uint64
	// prefix of an address; the zero Prefix means any address.
	prefix netip.Prefix
	// ports beside an address: AnyPort, unless some were written (hasPorts).
	ports    PortRange
	hasPorts bool
}

// isSpan reports whether the operand is a range or a prefix, for which one
// says "in".
func (v operand) isSpan() bool {
	return v.lo != v.hi || v.prefix.IsValid() && !v.prefix.IsSingleIP()
}

// append appends the operand as it is written in a condition like c.
func (v operand) append(dst []byte, c *Cond) []byte {
	subj, ok := subjectByName(c.name)
	if !ok {
		return dst
	}
	switch {
	case c.op.positive() == Match:
		return appendRegexp(dst, v.text)
	case c.name == "netns" && v.self:
		return append(dst, "self"...)
	case c.name == "netns" && v.named:
		if !v.glob && (isDigits(v.text) || strings.EqualFold(v.text, "self")) {
			return append(append(append(dst, '"'), v.text...), '"')
		}
		return appendText(dst, v.text, v.glob)
	}
	switch subj.kind() {
	case whose.KindText, whose.KindName, whose.KindTime, whose.KindInstant:
		return appendText(dst, v.text, v.glob)
	case whose.KindAddr:
		return v.appendEndpoint(dst)
	case whose.KindBool:
		return strconv.AppendBool(dst, v.lo != 0)
	case whose.KindHex:
		return whose.AppendHex(dst, v.lo)
	case whose.KindDuration:
		return appendSpan(dst, v, func(n uint64) string { return time.Duration(n).String() })
	}
	return appendSpan(dst, v, func(n uint64) string { return strconv.FormatUint(n, 10) })
}

func appendSpan(dst []byte, v operand, format func(uint64) string) []byte {
	dst = append(dst, format(v.lo)...)
	if v.lo != v.hi {
		dst = append(append(dst, '-'), format(v.hi)...)
	}
	return dst
}

// appendEndpoint writes "10.0.0.0/8", "[::1]:443", "*:8000-9000".
func (v operand) appendEndpoint(dst []byte) []byte {
	addr := "*"
	if v.prefix.IsValid() {
		addr = v.prefix.String()
		if v.prefix.IsSingleIP() {
			addr = v.prefix.Addr().String()
		}
	}
	if !v.hasPorts {
		return append(dst, addr...)
	}
	if strings.Contains(addr, ":") {
		addr = "[" + addr + "]"
	}
	dst = append(append(dst, addr...), ':')
	dst = strconv.AppendUint(dst, uint64(v.ports.First), 10)
	if v.ports.First != v.ports.Last {
		dst = append(dst, '-')
		dst = strconv.AppendUint(dst, uint64(v.ports.Last), 10)
	}
	return dst
}

// appendRegexp writes a regular expression in quotes. Its source is raw, so it
// holds at most one kind of quotes without a backslash before them.
func appendRegexp(dst []byte, source string) []byte {
	quote := byte('"')
	for i := 0; i < len(source); i++ {
		if source[i] == '\\' {
			i++
		} else if source[i] == '"' {
			quote = '\''
		}
	}
	return append(append(append(dst, quote), source...), quote)
}

// appendText writes text as a word where that is read back as the same, and
// in quotes otherwise. Of a pattern the backslashes are there already.
func appendText(dst []byte, text string, glob bool) []byte {
	if !glob {
		text = escapeGlob(text)
	}
	if isPlainWord(text) {
		return append(dst, text...)
	}
	dst = append(dst, '"')
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == '"':
			dst = append(dst, '\\', '"')
		case r == utf8.RuneError && n == 1, !whose.Visible(r):
			for _, b := range []byte(text[i : i+n]) {
				dst = append(dst, '\\', 'x', hexDigits[b>>4], hexDigits[b&15])
			}
		default:
			dst = append(dst, text[i:i+n]...)
		}
		i += n
	}
	return append(dst, '"')
}

const hexDigits = "0123456789abcdef"

// escapeGlob puts a backslash before the special characters of a pattern.
func escapeGlob(text string) string {
	if !strings.ContainsAny(text, `*?\`) {
		return text
	}
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `\`, `\\`).Replace(text)
}

// isPlainWord reports whether s needs no quotes.
func isPlainWord(s string) bool {
	for i := 0; i < len(s); i++ {
		b := s[i]
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		case strings.IndexByte("_-./:@+%*?", b) >= 0:
		default:
			return false
		}
	}
	return s != "" && keyword(s) == tokWord
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// unescape resolves the backslashes of raw text. Pattern is the same as a
// pattern, several "*" made one, and glob tells that there is a "*" or "?"
// without backslash.
func unescape(raw string) (literal, pattern string, glob bool, problem string) {
	var lit, pat strings.Builder
	wild := 0 // the place after the last wildcard
	for i := 0; i < len(raw); i++ {
		b := raw[i]
		if b == '*' || b == '?' {
			star := glob && b == '*' && wild == i
			glob, wild = true, i+1
			if lit.WriteByte(b); !star || raw[i-1] != '*' {
				pat.WriteByte(b)
			}
			continue
		}
		if b == '\\' && i+1 < len(raw) {
			i++
			switch b = raw[i]; b {
			case 'n':
				b = '\n'
			case 't':
				b = '\t'
			case 'r':
				b = '\r'
			case 'x':
				n, err := strconv.ParseUint(raw[i+1:min(i+3, len(raw))], 16, 8)
				if err != nil || i+3 > len(raw) {
					return "", "", false, `\x needs two hexadecimal digits`
				}
				b = byte(n)
				i += 2
			}
		}
		lit.WriteByte(b)
		if b == '*' || b == '?' || b == '\\' {
			pat.WriteByte('\\')
		}
		pat.WriteByte(b)
	}
	return lit.String(), pat.String(), glob, ""
}
