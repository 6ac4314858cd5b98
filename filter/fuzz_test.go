package filter

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	for _, e := range examples {
		f.Add(e.Filter)
	}
	for _, s := range []string{"", "a or (b and not c) || !d && e", `comm = "\x00\*"`, "pid in (1-3, 0x10)", "prot = 1", "443/tcp,53/udp", "nginx:https", "localhost:443", "10.*:80", "exclude all", "sport ge :http", "tcp@[::1]:1", "x:1-2,/y:3", "((((", `'\`, "a\xff\u202e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := Parse(text)
		Complete(text)
		if err != nil {
			var bad *SyntaxError
			if !errors.As(err, &bad) || bad.Text != text || bad.Offset < 0 || bad.Len < 0 || bad.Offset+bad.Len > len(text) {
				t.Fatalf("Parse(%q): error %#v, want a SyntaxError within the text", text, err)
			}
			if lines := strings.Split(bad.Caret(), "\n"); len(lines) != 2 || strings.ContainsAny(lines[0], "\x00\x1b\r\u202e") {
				t.Fatalf("Caret of %q: %q", text, lines)
			}
			return
		}
		if e == nil {
			return
		}
		checkPlan(t, e)
		plain := e.String()
		if len(plain) > MaxLength {
			return
		}
		again, err := Parse(plain)
		if err != nil || !reflect.DeepEqual(e, again) {
			t.Fatalf("Parse(%q) is %s, which parses as %v, %v", text, plain, again, err)
		}
	})
}

// checkPlan evaluates a parsed expression and its plan on a few sessions.
func checkPlan(t *testing.T, e Expr) {
	r := rand.New(rand.NewPCG(5, 6))
	p := Split(e, someEnv)
	whole, rest := Compile(e, someEnv), Compile(p.Rest, someEnv)
	for _, s := range append(randomHost(r, 3), oneSession()) {
		seen, ok := admit(r, &p, s, true)
		if got, want := ok && rest.Match(&seen), whole.Match(&s); got != want {
			t.Fatalf("%s\nplan %+v\non %+v is %v, want %v", e, p, s, got, want)
		}
	}
}
