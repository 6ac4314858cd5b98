package filter

import (
	"errors"
	"slices"
	"strings"

	"github.com/seed-44df2ae6/whose"
)

// A Candidate is a possible next word of a filter.
type Candidate struct {
	// Text is the word. Empty: only the host knows it.
	Text string
	// Doc is its meaning in a few words.
	Doc string
	// Expects is the name of a field whose values only the host knows, such as
	// "comm" or "netns_name". The caller may put the present values in its place.
	Expects string
}

// Complete returns the candidates for text from the offset on. They begin with the
// text already there, in any case. Text may end in the
// middle of a word. There are no candidates where the text before is wrong.
func Complete(text string) (from int, candidates []Candidate) {
	if len(text) > MaxLength {
		return len(text), nil
	}
	toks, err := scan(text)
	last := len(toks) - 1
	var bad *SyntaxError
	switch {
	case errors.As(err, &bad) && bad.Offset < len(text) && strings.IndexByte(`"'`, text[bad.Offset]) >= 0:
		from = bad.Offset // a quote that is still open
	case err != nil:
		return len(text), nil
	default:
		from = len(text)
		toks = toks[:last]
		if last > 0 && toks[last-1].end == from && isWordLike(toks[last-1]) {
			from = toks[last-1].off
			toks = toks[:last-1]
		}
	}
	c := &completer{start: strings.ToLower(text[from:])}
	for _, t := range toks {
		if !c.step(t) {
			return from, nil
		}
	}
	c.offer()
	return from, c.found
}

// isWordLike reports whether more letters could follow the token.
func isWordLike(t token) bool {
	return t.kind == tokWord || keyword(t.text) == t.kind && t.kind != tokEnd
}

type completerState uint8

const (
	atTerm     completerState = iota // a condition has to follow
	afterTerm                        // a condition is complete
	afterField                       // the name of a field
	atValue                          // a value has to follow
	afterValue                       // a value, of which there may be more
)

// A completer follows the tokens to the place of the next word.
type completer struct {
	state completerState
	subj  subject
	// list: the values are in parentheses.
	list bool
	// depth counts the open parentheses around conditions.
	depth int
	start string
	found []Candidate
}

// step takes one token; false: it cannot stand here.
func (c *completer) step(t token) bool {
	switch c.state {
	case afterField:
		return c.stepField(t)
	case atValue:
		if t.kind == tokOpen && !c.list {
			c.list = true
			return true
		}
		c.state = afterValue
		return t.isValue() || t.kind == tokIn && c.subj.hasValueIn()
	case afterValue:
		switch {
		case t.kind == tokComma:
			c.state = atValue
			return true
		case c.list:
			c.list, c.state = false, afterTerm
			return t.kind == tokClose
		}
	}
	return c.stepTerm(t)
}

func (c *completer) stepField(t token) bool {
	switch {
	case t.kind == tokOp, t.kind == tokIn && !c.subj.hasValueIn():
		c.state = atValue
		return true
	case t.kind == tokNot:
		return true // "not in"
	}
	c.state = atValue
	return c.step(t)
}

func (c *completer) stepTerm(t token) bool {
	done := c.state != atTerm
	switch t.kind {
	case tokAnd, tokOr, tokComma:
		c.state = atTerm
		return done
	case tokNot, tokOpen:
		if c.state = atTerm; t.kind == tokOpen {
			c.depth++
		}
		return true
	case tokClose:
		c.state = afterTerm
		c.depth--
		return done && c.depth >= 0
	case tokWord:
		if strings.EqualFold(t.text, "exclude") {
			c.subj, _ = subjectByName("state")
			c.state = atValue
			return true
		}
		if subj, ok := subjectByName(t.text); ok {
			c.subj, c.state = subj, afterField
			return true
		}
	}
	c.state = afterTerm
	return t.isValue()
}

// offer collects the candidates of the state.
func (c *completer) offer() {
	switch c.state {
	case atTerm:
		c.offerTerms()
	case afterTerm:
		c.offerGlue()
		c.offerTerms()
	case afterValue:
		if c.list {
			return
		}
		c.offerGlue()
		c.offerTerms()
	case afterField:
		c.offerOperators()
		c.offerValues()
	case atValue:
		c.offerValues()
	}
}

// add offers a text if it begins with the text already there.
func (c *completer) add(text, doc string) {
	if strings.HasPrefix(strings.ToLower(text), c.start) {
		c.found = append(c.found, Candidate{Text: text, Doc: doc})
	}
}

func (c *completer) expect(f *whose.Field) {
	c.found = append(c.found, Candidate{Expects: f.Name, Doc: f.Doc})
}

func (c *completer) offerGlue() {
	c.add("and", "both have to hold")
	c.add("or", "one has to hold")
}

func (c *completer) offerTerms() {
	c.add("not", "the opposite of what follows")
	for _, p := range whose.Pairs() {
		c.add(p.Name, p.Doc)
	}
	for _, f := range whose.AllFields() {
		c.add(f.Name, f.Doc)
		if c.start == "" {
			continue // the short names only where one was begun
		}
		for _, a := range f.Aliases {
			c.add(a, f.Doc)
		}
	}
	for _, name := range bareFields {
		c.addNames(whose.FieldByName(name))
	}
	c.add(bareExposure, "listeners that may be reached from beyond loopback")
	c.expect(whose.FieldByName("comm"))
}

func (c *completer) offerOperators() {
	c.add("in", "one of several, a range or a prefix")
	for _, op := range operatorsOf(&c.subj) {
		c.add(op.String(), opDocs[op])
	}
}

var opDocs = [...]string{
	Eq: "equal, or one of", Ne: "neither equal nor one of", Lt: "less than", Le: "at most",
	Gt: "more than", Ge: "at least", Match: "meets the regular expression", NoMatch: "does not meet it",
}

func (c *completer) offerValues() {
	for _, f := range c.subj.fields {
		switch f.Kind {
		case whose.KindName:
			c.addNames(f)
		case whose.KindBool:
			c.add("true", f.Doc)
			c.add("false", f.Doc)
		default:
			c.expect(f)
		}
	}
	if c.subj.name == "netns" {
		c.add("self", "the namespace of this command")
		c.expect(whose.FieldByName("netns_name"))
	}
}

// addNames offers the values of a field as they are typed: in lower case.
func (c *completer) addNames(f *whose.Field) {
	for _, v := range f.Values {
		c.add(strings.ToLower(v), f.Name)
	}
	for _, a := range aliases {
		if a.field == f.Name && len(a.values) > 1 && !slices.Contains(f.Values, a.word) {
			c.add(a.word, a.doc)
		}
	}
}
