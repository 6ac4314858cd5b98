package filter

import (
	"strings"
	"testing"
	"time"
)

// TestParse_Cost shows that no text within the limit takes long. The bound is
// far above what is needed, so that it holds on a busy machine too; work that
// grows with the square of the length would still break it.
func TestParse_Cost(t *testing.T) {
	const bound = 10 * time.Second
	fill := func(s string) string { return strings.Repeat(s, MaxLength/len(s)) }
	deep := strings.Repeat("(", MaxDepth) + strings.Repeat("tcp ", 15000) + strings.Repeat(" x)", MaxDepth)
	for name, text := range map[string]string{
		"words": fill("a "), "names": fill("x tcp "), "fields": fill("pid 1 "), "list": "pid " + fill("1,")[:MaxLength-8] + "1",
		"addresses": fill("10.0.0.1,")[:MaxLength-8] + "1", "parentheses": fill("("), "nots": fill("not "), "deep": deep,
		"quotes": fill("'a' "), "stars": "exe " + fill("*a")[:MaxLength-8], "backslashes": fill(`\`), "regexp": "exe ~ '" + fill("(a*)*")[:4000] + "'",
		"repeats": fill("comm ~ 'a{999}' "), "nested repeats": "comm ~ '" + fill("(a{2})")[:3000] + "'", "ports": fill("lport 1-9 or rport 5 and ") + "x",
	} {
		start := time.Now()
		e, err := Parse(text)
		Complete(text)
		if err == nil {
			p := Split(e, someEnv)
			s := oneSession()
			Compile(p.Rest, someEnv).Match(&s)
			_ = e.String()
		}
		if took := time.Since(start); took > bound {
			t.Errorf("%s: %v, want at most %v", name, took, bound)
		} else {
			t.Logf("%s: %v, error %.80v", name, took, err)
		}
	}
}
