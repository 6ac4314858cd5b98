package filter

import (
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-44df2ae6/whose"
)

// This file compares single values with the operands of a condition.

// numberTest compares numbers of any kind; the values of bool are 0 and 1.
func numberTest(c *Cond) func(uint64) bool {
	if c.op.positive() == Eq {
		return spanTest(c.values)
	}
	limit := c.values[0].lo
	switch c.op {
	case Lt:
		return func(n uint64) bool { return n < limit }
	case Le:
		return func(n uint64) bool { return n <= limit }
	case Gt:
		return func(n uint64) bool { return n > limit }
	case Ge:
		return func(n uint64) bool { return n >= limit }
	}
	return func(uint64) bool { return false }
}

// spanTest reports whether a number is in one of the ranges; of many it looks by
// bisection.
func spanTest(values []operand) func(uint64) bool {
	spans := mergeSpans(values)
	if len(spans) == 1 {
		lo, hi := spans[0].lo, spans[0].hi
		return func(n uint64) bool { return lo <= n && n <= hi }
	}
	return func(n uint64) bool {
		i, ok := slices.BinarySearchFunc(spans, n, func(s span, n uint64) int {
			switch {
			case s.hi < n:
				return -1
			case s.lo > n:
				return 1
			}
			return 0
		})
		return ok && i < len(spans)
	}
}

// A span is a range of numbers, both ends included.
type span struct{ lo, hi uint64 }

// mergeSpans returns the ranges in rising order and joins touching ones.
func mergeSpans(values []operand) []span {
	var spans []span
	for _, v := range values {
		spans = append(spans, span{v.lo, v.hi})
	}
	slices.SortFunc(spans, func(a, b span) int {
		switch {
		case a.lo < b.lo:
			return -1
		case a.lo > b.lo:
			return 1
		}
		return 0
	})
	merged := spans[:0]
	for _, s := range spans {
		if n := len(merged); n > 0 && (merged[n-1].hi == math.MaxUint64 || s.lo <= merged[n-1].hi+1) {
			merged[n-1].hi = max(merged[n-1].hi, s.hi)
			continue
		}
		merged = append(merged, s)
	}
	return merged
}

func endpointIn(values []operand, at netip.AddrPort) bool {
	if !at.Addr().IsValid() {
		return false
	}
	for i := range values {
		v := &values[i]
		if !v.ports.Holds(at.Port()) {
			continue
		}
		if !v.prefix.IsValid() || v.prefix.Contains(plainAddr(at.Addr())) {
			return true
		}
	}
	return false
}

// plainAddr returns the address as sessions have it: IPv4-mapped as IPv4, and
// no zone, with which no prefix contains it.
func plainAddr(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// textOrMatch compares text with the values or the regular expression.
func textOrMatch(c *Cond) func(string) bool {
	if c.op.positive() == Match {
		return regexpTest(c, "")
	}
	return textTest(c)
}

// regexpTest matches a regular expression; flags stand before it. Parse has
// checked it, so one that does not compile matches nothing.
func regexpTest(c *Cond, flags string) func(string) bool {
	re, err := regexp.Compile(flags + c.values[0].text)
	if err != nil {
		return func(string) bool { return false }
	}
	return re.MatchString
}

// textTest reports whether text is one of the values.
func textTest(c *Cond) func(string) bool {
	var literals []string
	var globs []glob
	for _, v := range c.values {
		if v.glob {
			globs = append(globs, compileGlob(v.text))
		} else {
			literals = append(literals, v.text)
		}
	}
	if len(literals) == 1 && len(globs) == 0 {
		want := literals[0]
		return func(s string) bool { return s == want }
	}
	slices.Sort(literals)
	return func(s string) bool {
		if _, ok := slices.BinarySearch(literals, s); ok {
			return true
		}
		for _, g := range globs {
			if g.match(s) {
				return true
			}
		}
		return false
	}
}

// nameTest compares one of a few known names, without case.
func nameTest(c *Cond) func(string) bool {
	if c.op.positive() == Match {
		return regexpTest(c, "(?i)")
	}
	return func(s string) bool {
		for i := range c.values {
			if strings.EqualFold(c.values[i].text, s) {
				return true
			}
		}
		return false
	}
}

// commLen is how many bytes of a process's name the kernel keeps
// (TASK_COMM_LEN less the NUL).
const commLen = 15

// commTest compares names of processes. Of a value that is longer than the
// kernel keeps, or of a pattern whose start is, only that much has to agree.
func commTest(c *Cond) func(string) bool {
	if c.op.positive() == Match {
		return regexpTest(c, "")
	}
	cut := &Cond{name: c.name, op: Eq}
	for _, v := range c.values {
		head := v.text
		if v.glob {
			head = compileGlob(v.text).head()
		}
		cut.values = append(cut.values, v)
		if len(head) > commLen {
			cut.values = append(cut.values, operand{text: head[:commLen]})
		}
	}
	return textTest(cut)
}

// isTime reports whether values of the kind are points in time.
func isTime(k whose.Kind) bool { return k == whose.KindTime || k == whose.KindInstant }

// timeTest compares points in time with what was written: equal is within
// that day, minute or second, later is after its end.
func timeTest(c *Cond, env Env) func(time.Time) bool {
	var moments []moment
	for _, v := range c.values {
		m, err := parseTime(v.text, env.Now.Location())
		if err != nil {
			continue
		}
		moments = append(moments, m)
	}
	op := c.op.positive()
	return func(t time.Time) bool {
		for i := range moments {
			m := moments[i]
			if m.isAge {
				m.end(env)
			}
			if m.holds(op, t) {
				return true
			}
		}
		return false
	}
}

// end makes the moment of an age.
func (m *moment) end(env Env) {
	now := env.Now
	if env.Clock != nil {
		now = env.Clock()
	}
	m.from = now.Add(-m.age)
	m.to = m.from.Add(10 * time.Millisecond)
}

func (m *moment) holds(op Op, t time.Time) bool {
	switch op {
	case Eq:
		return !t.Before(m.from) && t.Before(m.to)
	case Lt:
		return t.Before(m.from)
	case Le:
		return t.Before(m.to)
	case Gt:
		return !t.Before(m.to)
	case Ge:
		return !t.Before(m.from)
	}
	return false
}

// A glob is a pattern in pieces, each a byte or one of the two wildcards.
type glob []int16

// The wildcards.
const (
	anyText int16 = -1 // "*"
	anyChar int16 = -2 // "?"
)

func compileGlob(pattern string) glob {
	var g glob
	for i := 0; i < len(pattern); i++ {
		switch b := pattern[i]; {
		case b == '*':
			g = append(g, anyText)
		case b == '?':
			g = append(g, anyChar)
		case b == '\\' && i+1 < len(pattern):
			i++
			g = append(g, int16(pattern[i]))
		default:
			g = append(g, int16(b))
		}
	}
	return g
}

// head returns the text before the first wildcard.
func (g glob) head() string {
	var b []byte
	for _, p := range g {
		if p < 0 {
			break
		}
		b = append(b, byte(p))
	}
	return string(b)
}

// match reports whether the pattern is met by the whole of s. It takes time in
// proportion to the product of their lengths at most.
func (g glob) match(s string) bool {
	i, j := 0, 0
	star, from := -1, 0 // the last "*" met, and where in s it now ends
	for j < len(s) {
		n := 1
		switch {
		case i < len(g) && g[i] == anyText:
			star, from = i, j
			i++
			continue
		case i < len(g) && g[i] == anyChar:
			_, n = utf8.DecodeRuneInString(s[j:])
			i++
		case i < len(g) && g[i] == int16(s[j]):
			i++
		case star >= 0:
			from++
			i, j = star+1, from
			continue
		default:
			return false
		}
		j += n
	}
	for i < len(g) && g[i] == anyText {
		i++
	}
	return i == len(g)
}

// ports returns the ranges of ports that a condition on a port holds for, its
// negation left out.
func (c *Cond) ports() []PortRange {
	var all []PortRange
	add := func(lo, hi uint64) {
		if hi = min(hi, math.MaxUint16); lo <= hi {
			all = append(all, PortRange{First: uint16(lo), Last: uint16(hi)})
		}
	}
	limit := c.values[0].lo
	switch c.op.positive() {
	case Eq:
		for _, s := range mergeSpans(c.values) {
			add(s.lo, s.hi)
		}
	case Lt:
		if limit > 0 {
			add(0, limit-1)
		}
	case Le:
		add(0, limit)
	case Gt:
		add(limit+1, math.MaxUint16)
	case Ge:
		add(limit, math.MaxUint16)
	}
	return all
}
