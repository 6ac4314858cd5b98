package filter

import (
	"net/netip"
	"strings"
)

// bare reads words with a meaning of their own, parted by commas
// where one of several is meant.
func (p *parser) bare() (Expr, error) {
	var all *Cond
	for {
		t := p.next()
		if !t.isValue() {
			return nil, p.unexpected(t)
		}
		c, bad := p.bareWord(t)
		if !bad.isZero() {
			return nil, p.failProblem(t, bad)
		}
		switch {
		case all == nil:
			all = c
		case all.name != c.name:
			return nil, p.fail(t, "%s is a condition on %s, and the list began with one on %s; write or between them",
				quoted(t.text), c.name, all.name)
		default:
			all.values = append(all.values, c.values...)
		}
		if p.peek().kind != tokComma {
			return all, nil
		}
		p.next()
	}
}

// bareWord returns the condition of a word alone. What was quoted is
// always the name of a process.
func (p *parser) bareWord(t token) (*Cond, problem) {
	literal, pattern, glob, bad := unescape(t.text)
	if bad != "" {
		return nil, problem{msg: bad}
	}
	if t.kind == tokWord && !strings.Contains(t.text, `\`) {
		if c, why := bareSpecial(literal); c != nil || !why.isZero() {
			return c, why
		}
	}
	v, why := textOperand(literal, pattern, glob)
	if !why.isZero() {
		return nil, why
	}
	if why := p.forgottenField(t, literal); !why.isZero() {
		return nil, why
	}
	name := "comm"
	if t.kind == tokWord && strings.HasPrefix(literal, "/") {
		name = "exe"
	}
	return &Cond{name: name, op: Eq, values: []operand{v}}, problem{}
}

// bareSpecial returns the condition of a word other than a process's name: a
// port, an address, a protocol, state or family. Nil without a problem: it is
// none of these.
func bareSpecial(word string) (*Cond, problem) {
	if f, _ := bareName(word); f != nil && !isDigits(word) {
		vs, bad := parseName(f, word)
		return &Cond{name: f.Name, op: Eq, values: vs}, bad
	}
	if strings.HasPrefix(word, ":") && strings.Count(word, ":") == 1 {
		v, bad := parseSpan(word[1:], parsePort)
		return &Cond{name: "port", op: Eq, values: []operand{v}}, bad
	}
	v, bad := parseEndpoint(word)
	if bad.isZero() {
		return &Cond{name: "addr", op: Eq, values: []operand{v}}, problem{}
	}
	digits := strings.Trim(word, "0123456789-") == ""
	host, _, zoned := strings.Cut(word, "%")
	_, notAddr := netip.ParseAddr(host)
	switch {
	case zoned && notAddr == nil:
		return nil, bad
	case digits && word[0] != '-':
		return nil, bareNumber(word)
	case strings.EqualFold(word, "out"):
		return nil, problem{msg: "out alone is no condition; write direction out", near: "direction out"}
	case strings.Trim(word, "0123456789./:-") == "" && strings.ContainsAny(word, "0123456789"),
		strings.Trim(word, "0123456789abcdefABCDEF.:/[]-%") == "" && strings.ContainsAny(word, ":["):
		bad.msg += "; quote it if a process is called so"
		return nil, bad
	}
	return nil, problem{}
}

// bareNumber returns the problem of a number alone.
func bareNumber(word string) problem {
	near := ":" + word
	return problem{near: near,
		msg: "a number alone may mean many things; write " + near + " for a port or pid " + word + " for a process"}
}

// forgottenField returns the problem of a word that would be a process's name
// but is nearly that of a field, with a value of that field after it: "prot
// tcp", "pidd 812".
func (p *parser) forgottenField(t token, word string) problem {
	after := p.peek()
	if t.kind != tokWord || after.kind != tokWord {
		return problem{}
	}
	f, _ := bareName(after.text)
	if f == nil && strings.Trim(after.text, "0123456789-") != "" {
		return problem{}
	}
	near := nearest(word, fieldNames())
	if subj, ok := subjectByName(near); !ok || f != nil && f.Name != subj.name {
		return problem{}
	}
	return problem{near: near, msg: "unknown field " + quoted(word) + "; did you mean " + near + "?"}
}
