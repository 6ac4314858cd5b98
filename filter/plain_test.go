package filter

import (
	"net/netip"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// plainMatch says what an expression means in the plainest way: through the
// table of fields alone, with nothing prepared and nothing shared with
// Compile but the operands. It is the judge of Compile.
func plainMatch(e Expr, s *whose.Session, env Env) bool {
	switch e := e.(type) {
	case nil:
		return true
	case *And:
		for _, t := range e.Terms {
			if !plainMatch(t, s, env) {
				return false
			}
		}
		return true
	case *Or:
		for _, t := range e.Terms {
			if plainMatch(t, s, env) {
				return true
			}
		}
		return false
	case *Not:
		return !plainMatch(e.X, s, env)
	case *Cond:
		subj, _ := subjectByName(e.name)
		for _, f := range subj.fields {
			if plainField(e, f, s, env) {
				return !e.op.negative()
			}
		}
		return e.op.negative()
	}
	panic("unknown expression")
}

func plainField(c *Cond, f *whose.Field, s *whose.Session, env Env) bool {
	for _, want := range c.values {
		if f.PerOwner() {
			for _, o := range f.OwnersOf(s) {
				if plainValue(c.op.positive(), f, f.OwnerValue(&o), want, s, env) ||
					f.Name == "owner_user" && c.op.positive() == Eq && o.Process != nil && o.User != "" && want.text == strconv.Itoa(int(o.UID)) {
					return true
				}
			}
		} else if plainValue(c.op.positive(), f, f.Value(s.Row()), want, s, env) {
			return true
		}
	}
	return false
}

func plainValue(op Op, f *whose.Field, v whose.Value, want operand, s *whose.Session, env Env) bool {
	if f.Name == "user" && op == Eq && !s.Unknown.Has(whose.FactUID) && want.text == strconv.Itoa(int(s.UID)) {
		return true
	}
	if f.Name == "netns" && want.self {
		return v.Num == uint64(env.SelfNetNS)
	}
	if f.Name == "netns" && want.named {
		return plainText(op, s.NetNSName, want)
	}
	switch v.Kind {
	case 0:
		return false
	case whose.KindText, whose.KindName:
		if v.Kind == whose.KindName && op == Match {
			want.text = "(?i)" + want.text
		}
		if op == Eq && strings.HasSuffix(f.Name, "comm") && len(want.text) > 15 && v.Text == want.text[:15] {
			return true
		}
		return plainText(op, v.Text, want)
	case whose.KindAddr:
		port := s.Local.Port()
		if f.Name == "remote_addr" {
			port = s.Remote.Port()
		}
		return (want.prefix == netip.Prefix{} || want.prefix.Contains(v.Addr)) &&
			want.ports.First <= port && port <= want.ports.Last
	case whose.KindTime, whose.KindInstant:
		return plainTime(op, v.Time, want.text)
	case whose.KindNumbers:
		for _, n := range v.List {
			if plainNumber(op, uint64(n), want) {
				return true
			}
		}
		return false
	}
	return plainNumber(op, v.Num, want)
}

func plainText(op Op, text string, want operand) bool {
	if op == Match {
		return regexp.MustCompile(want.text).MatchString(text)
	}
	if want.glob && text != "" {
		ok, err := path.Match(strings.ReplaceAll(want.text, "[", `\[`), strings.ReplaceAll(text, "/", "|"))
		return ok && err == nil || strings.ContainsRune(want.text, '/') && text == want.text
	}
	return text == want.text && !want.glob
}

func plainNumber(op Op, n uint64, want operand) bool {
	return map[Op]bool{Eq: want.lo <= n && n <= want.hi, Lt: n < want.lo, Le: n <= want.lo, Gt: n > want.lo, Ge: n >= want.lo}[op]
}

func plainTime(op Op, t time.Time, want string) bool {
	from := map[string]time.Time{
		"10m": someNow.Add(-10 * time.Minute), "1d": someNow.Add(-24 * time.Hour),
		"2026-01-31": someNow.Add(-8 * time.Hour), "2026-01-30": someNow.Add(-32 * time.Hour),
		"2026-01-31T07:59:00Z": someNow.Add(-time.Minute),
	}[want]
	lasts := 24 * time.Hour
	switch {
	case strings.HasSuffix(want, "Z"):
		lasts = time.Second
	case !strings.Contains(want, "-"):
		lasts = 10 * time.Millisecond
	}
	to := from.Add(lasts)
	return map[Op]bool{Eq: !t.Before(from) && t.Before(to), Lt: t.Before(from), Le: t.Before(to),
		Gt: !t.Before(to), Ge: !t.Before(from)}[op]
}
