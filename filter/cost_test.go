package filter

import (
	"errors"
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
		"mistake at the end": fill("port 1 or ")[:MaxLength-20] + " prot tcp", "wide": fill("é ")[:MaxLength-20] + " )",
	} {
		start := time.Now()
		e, err := Parse(text)
		var wrong *SyntaxError
		if errors.As(err, &wrong) {
			_ = wrong.Caret()
		}
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

// TestParseArgs_Cost is the same for many arguments with spaces in them.
func TestParseArgs_Cost(t *testing.T) {
	const bound = 10 * time.Second
	var args []string
	for range MaxLength / len(`or process "a b" `) {
		args = append(args, "or", "process", "a b")
	}
	start := time.Now()
	_, text, err := ParseArgs(args[1:])
	if err != nil || !strings.HasSuffix(text, `or process "a b"`) {
		t.Errorf("%.80v", err)
	}
	if took := time.Since(start); took > bound {
		t.Errorf("%v, want at most %v", took, bound)
	}
}

// TestCaret_Long shows the end of a long filter.
func TestCaret_Long(t *testing.T) {
	e := &SyntaxError{Text: strings.Repeat("a", MaxLength), Offset: MaxLength, Msg: "x"}
	if got := e.Caret(); got != "…"+strings.Repeat("a", caretWidth/2-1)+"\n"+strings.Repeat(" ", caretWidth/2)+"^" {
		t.Errorf("%q", got)
	}
}
