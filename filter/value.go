package filter

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// A problem is an error in a value; the parser adds the place. The
// zero problem is none.
type problem struct{ msg, near string }

func (p problem) isZero() bool { return p.msg == "" }

// problemf returns a problem with a message.
func problemf(format string, args ...any) problem { return problem{msg: fmt.Sprintf(format, args...)} }

// operandsOf reads the value t of a condition on subj. One word may mean
// several values: "state connected".
func (p *parser) operandsOf(subj *subject, op Op, t token) ([]operand, problem) {
	if op.positive() == Match {
		v, why := parseRegexp(t.text)
		return []operand{v}, why
	}
	literal, pattern, glob, bad := unescape(t.text)
	if bad != "" {
		return nil, problem{msg: bad}
	}
	switch subj.kind() {
	case whose.KindName:
		return parseName(subj.fields[0], literal)
	case whose.KindAddr:
		if why := twoWords(subj, literal); !why.isZero() {
			return nil, why
		}
		return parseEnds(literal, p.dialect.port)
	}
	v, why := p.parseOperand(subj, t, literal, pattern, glob)
	if why.isZero() && isTime(subj.kind()) && op.positive() == Eq && isAge(literal) {
		why = problemf("compare an age by < or >; %s > %s is later than that long ago", subj.name, literal)
	}
	if why.isZero() && op.positive() != Eq && v.isSpan() {
		why = problemf("operator %s takes one value and no range", op)
	}
	return []operand{v}, why
}

func (p *parser) parseOperand(subj *subject, t token, literal, pattern string, glob bool) (operand, problem) {
	if subj.name == "netns" {
		return parseNetNS(t, literal, pattern, glob)
	}
	switch subj.kind() {
	case whose.KindText:
		return textOperand(literal, pattern, glob)
	case whose.KindBool:
		return parseBool(literal)
	case whose.KindTime, whose.KindInstant:
		if _, err := parseTime(literal, time.UTC); err != nil {
			return operand{}, problemf("%s is no time; write one such as 2026-01-31T08:00:00Z, 2026-01-31 or an age such as 10m", quoted(literal))
		}
		return operand{text: literal}, problem{}
	case whose.KindPort:
		return parsePorts(strings.TrimPrefix(strings.TrimPrefix(literal, "*"), ":"), p.dialect.port)
	case whose.KindHex:
		n, err := whose.ParseHex(literal)
		if err != nil {
			return operand{}, problemf("%s is no id of 16 hexadecimal digits", quoted(literal))
		}
		return operand{lo: n, hi: n}, problem{}
	case whose.KindDuration:
		return parseSpan(literal, parseDuration)
	case whose.KindBytes:
		return parseSpan(literal, parseBytes)
	}
	return parseSpan(literal, parseNumber)
}

// quoted returns the input, safe for a message and not too long.
func quoted(s string) string {
	const longest = 40
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") + "…"
	}
	return strconv.Quote(s)
}

func textOperand(literal, pattern string, glob bool) (operand, problem) {
	if literal == "" {
		return operand{}, problem{msg: "the text is empty, and a session without a value meets no condition; write not FIELD = * to find those"}
	}
	if glob {
		return operand{text: pattern, glob: true}, problem{}
	}
	return operand{text: literal}, problem{}
}

func parseNetNS(t token, literal, pattern string, glob bool) (operand, problem) {
	if t.kind == tokWord && strings.EqualFold(literal, "self") {
		return operand{self: true}, problem{}
	}
	if t.kind == tokWord && isDigits(literal) {
		n, err := strconv.ParseUint(literal, 10, 32)
		if err != nil {
			return operand{}, problemf("%s is no inode number of a namespace", quoted(literal))
		}
		return operand{lo: n, hi: n}, problem{}
	}
	v, p := textOperand(literal, pattern, glob)
	v.named = true
	return v, p
}

func parseName(f *whose.Field, word string) ([]operand, problem) {
	values := namesMeant(f, word)
	if values == nil {
		p := problemf("unknown %s %s", f.Name, quoted(word))
		if p.near = nearest(word, spellings(f)); p.near != "" {
			p.msg += "; did you mean " + p.near + "?"
		} else {
			p.msg += "; known are " + strings.Join(f.Values, ", ")
		}
		return nil, p
	}
	all := make([]operand, len(values))
	for i, v := range values {
		all[i] = operand{text: v}
	}
	return all, problem{}
}

func parseBool(word string) (operand, problem) {
	switch strings.ToLower(word) {
	case "true", "yes", "on", "1":
		return operand{lo: 1, hi: 1}, problem{}
	case "false", "no", "off", "0":
		return operand{}, problem{}
	}
	return operand{}, problemf("%s is neither true nor false", quoted(word))
}

// parseSpan reads one number or, with a "-" between them, a range of two.
func parseSpan(s string, one func(string) (uint64, problem)) (operand, problem) {
	first, last, isRange := strings.Cut(s, "-")
	lo, p := one(first)
	if !p.isZero() {
		return operand{}, p
	}
	hi := lo
	if isRange {
		if hi, p = one(last); !p.isZero() {
			return operand{}, p
		}
	}
	if hi < lo {
		return operand{}, problemf("the range %s ends before it begins", quoted(s))
	}
	return operand{lo: lo, hi: hi}, problem{}
}

func parseNumber(s string) (uint64, problem) {
	digits, base := s, 10
	if len(s) > 2 && (s[:2] == "0x" || s[:2] == "0X") {
		digits, base = s[2:], 16
	}
	n, err := strconv.ParseUint(digits, base, 64)
	if err != nil {
		return 0, problemf("%s is no number", quoted(s))
	}
	return n, problem{}
}

// parseBytes reads a number of bytes: K, M, G, T and KiB … are powers of 1024,
// kB, MB, GB and TB powers of 1000, as dd and head have it. Any case will do.
func parseBytes(s string) (uint64, problem) {
	bad := problemf("%s is no number of bytes; write one such as 1500, 10k, 10KiB or 1MB", quoted(s))
	digits := strings.TrimRight(s, "BbIiKkMmGgTt")
	unit := strings.ToLower(s[len(digits):])
	factor := uint64(1)
	if unit != "" && unit != "b" {
		power := strings.IndexByte("kmgt", unit[0]) + 1
		base := uint64(1024)
		switch {
		case power == 0:
			return 0, bad
		case unit[1:] == "b":
			base = 1000
		case unit[1:] != "" && unit[1:] != "ib":
			return 0, bad
		}
		for range power {
			factor *= base
		}
	}
	if n, err := strconv.ParseUint(digits, 10, 64); err == nil {
		if n > math.MaxUint64/factor {
			return 0, bad
		}
		return n * factor, problem{}
	}
	whole, part, ok := strings.Cut(digits, ".")
	if !ok || !isDigits(whole) || !isDigits(part) {
		return 0, bad
	}
	f, err := strconv.ParseFloat(digits, 64)
	if f *= float64(factor); err != nil || f >= 1<<63 {
		return 0, bad
	}
	return uint64(math.Round(f)), problem{}
}

// parseDuration reads a span of time in nanoseconds: what time.ParseDuration
// takes, days ("2d", "1d12h") and 0.
func parseDuration(s string) (uint64, problem) {
	d, err := duration(s)
	if err != nil {
		return 0, problemf("%s is no duration; write one with its unit, such as 50ms, 1.5s or 2d", quoted(s))
	}
	return uint64(d), problem{}
}

func duration(s string) (time.Duration, error) {
	var days time.Duration
	if before, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(before, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("days %q: %w", before, err)
		}
		days = time.Duration(n) * 24 * time.Hour
		if s = after; s == "" {
			return days, nil
		}
	}
	if s == "" || s[0] == '-' || s[0] == '+' {
		return 0, fmt.Errorf("duration %q: want a number first", s)
	}
	d, err := time.ParseDuration(s)
	if err == nil && d > math.MaxInt64-days {
		err = fmt.Errorf("duration %q: out of range", s)
	}
	return days + d, err
}

// A moment is a stretch of time: a day, a minute or a second.
// Of an age only age is set, from which Compile makes the moment.
type moment struct {
	from, to time.Time // to is not included
	age      time.Duration
	isAge    bool
}

// timeLayouts are the forms of a point in time and how long each lasts. Those
// without a zone are meant in that of the caller's clock.
var timeLayouts = [...]struct {
	layout string
	lasts  time.Duration
}{
	{time.RFC3339, time.Second},
	{"2006-01-02T15:04:05", time.Second},
	{"2006-01-02 15:04:05", time.Second},
	{"2006-01-02T15:04", time.Minute},
	{"2006-01-02 15:04", time.Minute},
	{"2006-01-02", 24 * time.Hour},
}

func parseTime(s string, zone *time.Location) (moment, error) {
	for _, l := range timeLayouts {
		t, err := time.ParseInLocation(l.layout, s, zone)
		if err != nil {
			continue
		}
		lasts := l.lasts
		if lasts == time.Second && t.Nanosecond() != 0 {
			lasts = 10 * time.Millisecond
		}
		return moment{from: t, to: t.Add(lasts)}, nil
	}
	age, err := duration(s)
	return moment{age: age, isAge: true}, err
}

// isAge reports whether s is how long ago something was.
func isAge(s string) bool {
	m, err := parseTime(s, time.UTC)
	return err == nil && m.isAge
}
