package filter

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed-44df2ae6/whose"
)

// Limits of [Parse].
const (
	// MaxLength is the length of the text in bytes.
	MaxLength = 64 << 10
	// MaxDepth is the depth of nested parentheses and negations.
	MaxDepth = 100
)

// Parse reads a filter expression. Empty text and white space give a nil Expr,
// which means everything. Every other error is a *SyntaxError. Names of services
// are those of [WellKnownPort].
func Parse(text string) (Expr, error) { return Dialect{}.Parse(text) }

// A Dialect reads expressions with the names of a host. The zero Dialect is that
// of [Parse].
type Dialect struct {
	// Port returns the port of a service such as "https", as /etc/services has it.
	// It is called for names only, and a name that it does not know is looked for
	// by [WellKnownPort]. Nil knows none.
	Port func(service string) (port uint16, ok bool)
}

// Parse is the function of that name.
func (d Dialect) Parse(text string) (Expr, error) {
	p, err := d.parser(text)
	if err != nil || p.peek().kind == tokEnd {
		return nil, err
	}
	return p.parse()
}

// parser returns the parser of a text, at its beginning.
func (d Dialect) parser(text string) (*parser, error) {
	if len(text) > MaxLength {
		return nil, &SyntaxError{Text: text, Offset: MaxLength, Len: len(text) - MaxLength,
			Msg: fmt.Sprintf("the filter is too long: %d bytes, at most %d", len(text), MaxLength)}
	}
	toks, err := scan(text)
	if err != nil {
		return nil, err
	}
	return &parser{text: text, toks: toks, dialect: d}, nil
}

// parse reads the whole text.
func (p *parser) parse() (Expr, error) {
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != tokEnd {
		return nil, p.unexpected(t)
	}
	return e, nil
}

// A parser is a recursive descent over the tokens of one text.
type parser struct {
	text    string
	toks    []token
	dialect Dialect
	// names are the words alone that were taken for names of processes.
	names []token
	pos   int
	depth int
	// steps is the size of the regular expressions so far.
	steps int
}

// peek returns the next token, which is tokEnd at the end and after it.
func (p *parser) peek() token { return p.peekAt(0) }

func (p *parser) peekAt(n int) token { return p.toks[min(p.pos+n, len(p.toks)-1)] }

func (p *parser) next() token {
	t := p.peek()
	p.pos++
	return t
}

// fail returns an error at a token.
func (p *parser) fail(t token, format string, args ...any) error {
	return &SyntaxError{Text: p.text, Offset: t.off, Len: t.end - t.off, Msg: fmt.Sprintf(format, args...)}
}

func (p *parser) failProblem(t token, why problem) error {
	return &SyntaxError{Text: p.text, Offset: t.off, Len: t.end - t.off, Msg: why.msg, Near: why.near}
}

// unexpected returns the error for a token where a condition should be.
func (p *parser) unexpected(t token) error {
	switch {
	case t.kind == tokEnd:
		return p.fail(t, "the filter ends where a condition should follow")
	case t.kind == tokClose:
		return p.fail(t, "a closing parenthesis without an opening one")
	case t.kind == tokIn:
		return p.fail(t, "in needs a field before it; for a direction write direction in")
	case t.kind == tokOp:
		return p.fail(t, "operator %s needs a field before it", t.text)
	}
	return p.fail(t, "%s where a condition should be", quoted(t.text))
}

func (p *parser) or() (Expr, error) {
	first, err := p.and()
	if err != nil || p.peek().kind != tokOr {
		return first, err
	}
	terms := []Expr{first}
	for p.peek().kind == tokOr {
		p.next()
		t, err := p.and()
		if err != nil {
			return nil, err
		}
		terms = append(terms, t)
	}
	return &Or{Terms: terms}, nil
}

// and reads terms with "and" between them, or nothing, which means the same.
func (p *parser) and() (Expr, error) {
	first, err := p.not()
	if err != nil {
		return nil, err
	}
	terms := []Expr{first}
	for {
		if p.peek().kind == tokAnd {
			p.next()
		} else if !p.peek().startsTerm() {
			break
		}
		t, err := p.not()
		if err != nil {
			return nil, err
		}
		terms = append(terms, t)
	}
	if len(terms) == 1 {
		return first, nil
	}
	return &And{Terms: terms}, nil
}

func (p *parser) not() (Expr, error) {
	t := p.peek()
	if t.kind != tokNot && t.kind != tokOpen {
		return p.cond()
	}
	if p.depth++; p.depth > MaxDepth {
		return nil, p.fail(t, "the filter is nested too deep: at most %d levels", MaxDepth)
	}
	defer func() { p.depth-- }()
	p.next()
	if t.kind == tokNot {
		x, err := p.not()
		if err != nil {
			return nil, err
		}
		return &Not{X: x}, nil
	}
	x, err := p.or()
	if err != nil {
		return nil, err
	}
	switch end := p.next(); end.kind {
	case tokClose:
		return x, nil
	case tokEnd:
		return nil, p.fail(t, "the parenthesis is not closed")
	default:
		return nil, p.unexpected(end)
	}
}

// cond reads a field with its operator and values, or bare words.
func (p *parser) cond() (Expr, error) {
	t := p.peek()
	if !t.isValue() {
		return nil, p.unexpected(t)
	}
	if t.kind == tokQuoted {
		return p.bare()
	}
	if x, err := p.exclude(t); x != nil || err != nil {
		return x, err
	}
	if subj, ok := subjectByName(t.text); ok {
		p.next()
		return p.fieldCond(t, subj)
	}
	after := p.peekAt(1)
	if after.kind == tokOp || after.kind == tokIn || after.kind == tokNot && p.peekAt(2).kind == tokIn {
		return nil, p.unknownField(t)
	}
	return p.bare()
}

// exclude reads the word of ss for "not state"; nil where a process is meant.
func (p *parser) exclude(t token) (Expr, error) {
	after := p.peekAt(1)
	state := whose.FieldByName("state")
	if !strings.EqualFold(t.text, "exclude") || after.kind != tokWord || namesMeant(state, after.text) == nil {
		return nil, nil
	}
	p.next()
	x, err := p.values(subject{name: state.Name, fields: []*whose.Field{state}}, Ne)
	return x, err
}

func (p *parser) unknownField(t token) error {
	msg := "unknown field " + quoted(t.text)
	near := nearest(t.text, fieldNames())
	if ours := foreignField(t.text); ours != "" {
		near = ours
	}
	if near != "" {
		msg += "; did you mean " + near + "?"
	}
	return p.failProblem(t, problem{msg: msg, near: near})
}

// fieldCond reads the rest after the name of a field: an operator and values,
// or values alone.
func (p *parser) fieldCond(name token, subj subject) (Expr, error) {
	op, explicit := Eq, true
	switch t := p.peek(); {
	case p.atWordOp(&subj):
		if op, _ = wordOp(p.next().text); !slices.Contains(operatorsOf(&subj), op) {
			return nil, p.fail(t, "operator %s is not for %s; it takes %s", t.text, subj.name, opList(&subj))
		}
	case t.kind == tokOp:
		op = p.next().op
		if !slices.Contains(operatorsOf(&subj), op) {
			return nil, p.fail(t, "operator %s is not for %s; it takes %s", t.text, subj.name, opList(&subj))
		}
	case t.kind == tokIn && subj.hasValueIn() && p.peekAt(1).kind != tokOpen:
		explicit = false // "in" is the value: direction in
	case t.kind == tokIn:
		p.next()
	case t.kind == tokNot && p.peekAt(1).kind == tokIn:
		p.next()
		p.next()
		op = Ne
	default:
		explicit = false
	}
	if subj.kind() == whose.KindBool && !explicit && !p.atBool() {
		return &Cond{name: subj.name, op: Eq, values: []operand{{lo: 1, hi: 1}}}, nil
	}
	if t := p.peek(); !explicit && !p.atValue(&subj) && t.kind != tokOpen {
		return nil, p.fail(name, "field %s needs a value; for a process of that name write process %s", name.text, name.text)
	}
	return p.values(subj, op)
}

// wordOp returns the operator that ss also writes as this word. known is false for
// another word.
func wordOp(word string) (op Op, known bool) {
	switch strings.ToLower(word) {
	case "eq":
		return Eq, true
	case "ne", "neq":
		return Ne, true
	case "lt":
		return Lt, true
	case "le", "leq":
		return Le, true
	case "gt":
		return Gt, true
	case "ge", "geq":
		return Ge, true
	}
	return 0, false
}

// atWordOp reports whether the next token is an operator written as a word. After a
// field with text for values it is one of these.
func (p *parser) atWordOp(subj *subject) bool {
	t, after := p.peek(), p.peekAt(1)
	_, known := wordOp(t.text)
	return known && t.kind == tokWord && after.isValue() && subj.kind() != whose.KindText
}

// atBool reports whether the next token is yes or no.
func (p *parser) atBool() bool {
	t := p.peek()
	if t.kind == tokOpen {
		return false
	}
	_, bad := parseBool(t.text)
	return t.isValue() && bad.isZero()
}

// atValue reports whether the next token can be a value of subj.
func (p *parser) atValue(subj *subject) bool {
	t := p.peek()
	return t.isValue() || t.kind == tokIn && subj.hasValueIn()
}

// hasValueIn reports whether "in" is one of the field's names.
func (s *subject) hasValueIn() bool { return slices.Contains(s.fields[0].Values, "in") }

// values reads one value or, where the operator takes several, a list.
func (p *parser) values(subj subject, op Op) (Expr, error) {
	c := &Cond{name: subj.name, op: op}
	open := p.peek()
	inList := open.kind == tokOpen && op.positive() == Eq
	if inList {
		p.next()
	}
	for {
		t := p.peek()
		if !p.atValue(&subj) {
			return nil, p.fail(t, "%s needs a value here", subj.name)
		}
		p.next()
		vs, bad := p.operandsOf(&subj, op, t)
		if !bad.isZero() {
			return nil, p.failProblem(t, bad)
		}
		c.values = append(c.values, vs...)
		if op.positive() != Eq {
			break
		}
		if p.peek().kind != tokComma {
			break
		}
		p.next()
	}
	if t := p.peek(); inList && t.kind == tokEnd {
		return nil, p.fail(open, "the list is not closed")
	} else if inList && t.kind != tokClose {
		return nil, p.fail(t, `want "," or ")" in the list`)
	} else if inList {
		p.next()
	}
	return c, p.charge(c, p.toks[p.pos-1])
}

// charge counts the size of a condition's regular expression.
func (p *parser) charge(c *Cond, t token) error {
	if c.op.positive() != Match {
		return nil
	}
	if p.steps += stepsOf(c.values[0].text); p.steps > maxRegexpSteps {
		return p.fail(t, "the regular expressions are too large: at most %d steps in all", maxRegexpSteps)
	}
	return nil
}

// operatorsOf returns the operators of the subject's values.
func operatorsOf(subj *subject) []Op {
	if subj.name == "netns" {
		return []Op{Eq, Ne}
	}
	switch subj.kind() {
	case whose.KindText, whose.KindName:
		return []Op{Eq, Ne, Match, NoMatch}
	case whose.KindAddr, whose.KindBool, whose.KindHex:
		return []Op{Eq, Ne}
	}
	return []Op{Eq, Ne, Lt, Le, Gt, Ge}
}

// opList names the operators of a subject for a message.
func opList(subj *subject) string {
	names := []string{"in"}
	for _, op := range operatorsOf(subj) {
		names = append(names, op.String())
	}
	return strings.Join(names, " ")
}
