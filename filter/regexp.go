package filter

import (
	"errors"
	"regexp/syntax"
	"unicode"
)

// maxRegexpSteps bounds the size of all regular expressions of one filter
// together, repetitions multiplied out. Matching takes time in proportion to
// that size and to the length of the text, never more.
const maxRegexpSteps = 4096

// parseRegexp checks the source of a regular expression.
func parseRegexp(source string) (operand, problem) {
	for _, r := range source {
		if unicode.IsControl(r) {
			return operand{}, problem{msg: `a control character in a regular expression; write it as \xHH`}
		}
	}
	re, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		var bad *syntax.Error
		if errors.As(err, &bad) {
			return operand{}, problemf("regular expression: %s: %s", bad.Code, quoted(bad.Expr))
		}
		return operand{}, problemf("regular expression: %v", err)
	}
	if n := regexpSteps(re); n > maxRegexpSteps {
		return operand{}, problemf("the regular expressions are too large: at most %d steps in all", maxRegexpSteps)
	}
	return operand{text: source}, problem{}
}

// stepsOf returns the size of a regular expression of parseRegexp.
func stepsOf(source string) int {
	re, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return maxRegexpSteps + 1
	}
	return regexpSteps(re)
}

// regexpSteps estimates how many steps the compiled expression has; it stops
// counting soon after the limit.
func regexpSteps(re *syntax.Regexp) int {
	n := max(1, len(re.Rune))
	if re.Op == syntax.OpCharClass {
		n = 1 + len(re.Rune)/32
	}
	for _, sub := range re.Sub {
		if n += regexpSteps(sub); n > maxRegexpSteps {
			return n
		}
	}
	if re.Op == syntax.OpRepeat {
		n *= max(1, re.Min, re.Max)
	}
	return n
}
