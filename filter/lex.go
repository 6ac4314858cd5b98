package filter

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokEnd tokenKind = iota
	tokWord
	tokQuoted
	tokOp
	tokOpen
	tokClose
	tokComma
	tokAnd
	tokOr
	tokNot
	tokIn
)

// A token is a piece of the text. Its own text is raw: of a quoted one what
// stands between the quotes, escapes not yet resolved.
type token struct {
	kind     tokenKind
	op       Op
	off, end int
	text     string
}

// isValue reports whether the token can be a value.
func (t token) isValue() bool { return t.kind == tokWord || t.kind == tokQuoted }

// startsTerm reports whether the token can begin a term.
func (t token) startsTerm() bool {
	return t.isValue() || t.kind == tokOpen || t.kind == tokNot
}

// keyword returns the kind of a keyword, in any case, or tokWord for another word.
func keyword(word string) tokenKind {
	switch strings.ToLower(word) {
	case "and":
		return tokAnd
	case "or":
		return tokOr
	case "not":
		return tokNot
	case "in":
		return tokIn
	}
	return tokWord
}

// operators, the longer before those that they begin with.
var operators = [...]struct {
	text string
	kind tokenKind
	op   Op
}{
	{"==", tokOp, Eq}, {"=~", tokOp, Match}, {"=", tokOp, Eq},
	{"!=", tokOp, Ne}, {"!~", tokOp, NoMatch}, {"!", tokNot, 0},
	{"<=", tokOp, Le}, {"<", tokOp, Lt}, {">=", tokOp, Ge}, {">", tokOp, Gt}, {"~", tokOp, Match},
	{"&&", tokAnd, 0}, {"||", tokOr, 0}, {"(", tokOpen, 0}, {")", tokClose, 0}, {",", tokComma, 0},
}

// special are the ASCII characters that end a word.
const special = "=!<>~&|(),\"'"

// scan cuts text into tokens, the last of which is tokEnd.
func scan(text string) ([]token, error) {
	var toks []token
	for off := 0; ; {
		off += spaces(text[off:])
		if off == len(text) {
			return append(toks, token{kind: tokEnd, off: off, end: off}), nil
		}
		t, err := scanToken(text, off)
		if err != nil {
			return toks, err
		}
		if n := len(toks); n > 0 && toks[n-1].end == t.off && toks[n-1].isValue() && t.isValue() {
			return toks, &SyntaxError{Text: text, Offset: t.off, Len: 1,
				Msg: "a quote in the middle of a word; quote the whole of it, or part the words by a space"}
		}
		toks = append(toks, t)
		off = t.end
	}
}

// spaces counts the bytes of white space at the start of s.
func spaces(s string) int {
	return len(s) - len(strings.TrimLeftFunc(s, unicode.IsSpace))
}

func scanToken(text string, off int) (token, error) {
	rest := text[off:]
	if rest[0] == '"' || rest[0] == '\'' {
		return scanQuoted(text, off)
	}
	for _, o := range operators {
		if strings.HasPrefix(rest, o.text) {
			return token{kind: o.kind, op: o.op, off: off, end: off + len(o.text), text: o.text}, nil
		}
	}
	if rest[0] == '&' || rest[0] == '|' {
		double := strings.Repeat(rest[:1], 2)
		return token{}, &SyntaxError{Text: text, Offset: off, Len: 1,
			Msg: "unknown operator " + rest[:1] + "; write " + double, Near: double}
	}
	end := off + wordLen(rest)
	return token{kind: keyword(text[off:end]), off: off, end: end, text: text[off:end]}, nil
}

// wordLen returns the length of the word at the start of s. A backslash takes
// the character after it into the word.
func wordLen(s string) int {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if unicode.IsSpace(r) || strings.ContainsRune(special, r) {
			return i
		}
		i += n
		if r == '\\' && i < len(s) {
			_, n = utf8.DecodeRuneInString(s[i:])
			i += n
		}
	}
	return len(s)
}

func scanQuoted(text string, off int) (token, error) {
	quote := text[off]
	for i := off + 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case quote:
			return token{kind: tokQuoted, off: off, end: i + 1, text: text[off+1 : i]}, nil
		}
	}
	return token{}, &SyntaxError{Text: text, Offset: off, Len: len(text) - off, Msg: "the quote is not closed"}
}
