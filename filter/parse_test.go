package filter

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{":443", "port = 443"},
		{":8000-9000", "port in 8000-9000"},
		{":80,:443", "port in (80, 443)"},
		{"nginx", "comm = nginx"},
		{"nginx,apache2", "comm in (nginx, apache2)"},
		{"'tcp'", "comm = tcp"},
		{"ngin*", "comm = ngin*"},
		{`"a b\*\x1b\"c\""`, `comm = "a b\*\x1b\"c\""`},
		{`\***0?**`, `comm = "\**0?*"`},
		{`foo\ bar`, `comm = "foo bar"`},
		{"'and'", `comm = "and"`},
		{"/usr/sbin/nginx", "exe = /usr/sbin/nginx"},
		{"10.0.0.0/8", "addr in 10.0.0.0/8"},
		{"10.1.2.3/8", "addr in 10.0.0.0/8"},
		{"::ffff:10.1.2.3", "addr = 10.1.2.3"},
		{"::ffff:10.0.0.0/104", "addr in 10.0.0.0/8"},
		{"1.2.3.4:443", "addr = 1.2.3.4:443"},
		{"[::1]:443", "addr = [::1]:443"},
		{"::1", "addr = ::1"},
		{"[fe80::]/10:22", "addr in [fe80::/10]:22"},
		{"[fe80::/10]:22-23", "addr in [fe80::/10]:22-23"},
		{"*:443", "addr = *:443"},
		{"local :80", "local_addr = *:80"},
		{"src 10.0.0.1", "local_addr = 10.0.0.1"},
		{"tcp", "proto = tcp"},
		{"TCP,UDP", "proto in (tcp, udp)"},
		{"ipv6", "family = ipv6"},
		{"family 4", "family = ipv4"},
		{"established", "state = ESTABLISHED"},
		{"estab", "state = ESTABLISHED"},
		{"state time-wait,FIN_WAIT_1", "state in (TIME_WAIT, FIN_WAIT1)"},
		{"listening", "state in (LISTEN, UNCONN)"},
		{"exposed", "exposure in (link, private, public, any)"},
		{"not exposed", "not exposure in (link, private, public, any)"},
		{"exposure any", "exposure = any"},
		{"any", "comm = any"}, // a process may be called so
		{"pid 812", "pid = 812"},
		{"pid==812", "pid = 812"},
		{"mark 0x1F", "mark = 31"},
		{"pid in 1-3, 5", "pid in (1-3, 5)"},
		{"lport (80, 443)", "local_port in (80, 443)"},
		{"lport not in (80,443)", "local_port not in (80, 443)"},
		{"lport ! in 80-90", "local_port not in 80-90"},
		{"lport != 80,443", "local_port not in (80, 443)"},
		{"direction in", `direction = "in"`},
		{"direction in, out", `direction in ("in", out)`},
		{"direction in (in, out)", `direction in ("in", out)`},
		{"direction != in", `direction != "in"`},
		{"v6only", "v6only = true"},
		{"v6only no tcp", "v6only = false and proto = tcp"},
		{"v6only tcp", "v6only = true and proto = tcp"},
		{"v6only (tcp)", "v6only = true and proto = tcp"},
		{"rtt > 1d12h", "rtt > 36h0m0s"},
		{"rtt 50ms-1s", "rtt in 50ms-1s"},
		{"bytes_sent >= 10k", "bytes_sent >= 10240"},
		{"bytes_sent 10KiB", "bytes_sent = 10240"},
		{"bytes_sent < 1.5MB", "bytes_sent < 1500000"},
		{"start_time > 10m", "start_time > 10m"},
		{"start_time = 2026-01-31", "start_time = 2026-01-31"},
		{`start_time < "2026-01-31 08:00"`, `start_time < "2026-01-31 08:00"`},
		{"netns self", "netns = self"},
		{"netns 4026531840", "netns = 4026531840"},
		{`netns "42",web,"self"`, `netns in ("42", web, "self")`},
		{"process ~ ^post", `comm ~ "^post"`},
		{`process =~ 'a"b\d'`, `comm ~ 'a"b\d'`},
		{`cmdline !~ "x\"y'"`, `cmdline !~ "x\"y'"`},
		{"tcp established", "proto = tcp and state = ESTABLISHED"},
		{"a or b c", "comm = a or comm = b and comm = c"},
		{"(a or b) c", "(comm = a or comm = b) and comm = c"},
		{"a && (b && c) || !d", "comm = a and (comm = b and comm = c) or not comm = d"},
		{"NOT not a", "not not comm = a"},
		{"not (a b)", "not (comm = a and comm = b)"},
		{"((a))", "comm = a"},
		{"whatever:x", "comm = whatever:x"},
	} {
		e, err := Parse(test.text)
		if err != nil {
			t.Errorf("Parse(%q): %v", test.text, err)
			continue
		}
		if got := e.String(); got != test.want {
			t.Errorf("Parse(%q) = %s, want %s", test.text, got, test.want)
		}
		checkRoundTrip(t, e)
	}
}

func checkRoundTrip(t *testing.T, e Expr) {
	t.Helper()
	again, err := Parse(e.String())
	if err != nil {
		t.Errorf("Parse(String()) of %s: %v", e, err)
	} else if !reflect.DeepEqual(e, again) {
		t.Errorf("Parse(String()) of %s is %s, not equal", e, again)
	}
}

func TestParse_Empty(t *testing.T) {
	for _, text := range []string{"", " \t\n"} {
		if e, err := Parse(text); e != nil || err != nil {
			t.Errorf("Parse(%q) = %v, %v, want nil, nil", text, e, err)
		}
	}
	if e, text, err := ParseArgs(nil); e != nil || text != "" || err != nil {
		t.Errorf("ParseArgs(nil) = %v, %q, %v, want nil, nothing, nil", e, text, err)
	}
}

func TestParse_Errors(t *testing.T) {
	for _, test := range []struct {
		text   string
		offset int
		msg    string
	}{
		{"prot = tcp", 0, `unknown field "prot"; did you mean proto?`},
		{"tcp and stat in established", 8, `unknown field "stat"; did you mean state?`},
		{"stat established", 0, `unknown field "stat"; did you mean state?`},
		{"pidd 812", 0, `unknown field "pidd"; did you mean pid?`},
		{"xyzzyplugh = 1", 0, `unknown field "xyzzyplugh"`},
		{"state establishd", 6, `unknown state "establishd"; did you mean ESTABLISHED?`},
		{"proto icmp", 6, `unknown proto "icmp"; known are tcp, udp, udplite, mptcp`},
		{"443", 0, "write :443 for a port or pid 443 for a process"},
		{"nginx 443", 6, "write :443 for a port"},
		{"8000-9000", 0, "write :8000-9000 for a port"},
		{"1.2.3.400", 0, `"1.2.3.400" is no address`},
		{"1.2.3.4:70000", 0, `"70000" is no port`},
		{"10.0.0.0/33", 0, `"33" is no prefix length of 10.0.0.0; it is at most 32`},
		{"fe80::1%eth0", 0, `write fe80::1 and scope "eth0"`},
		{":htps", 0, `no service "htps" is known`},
		{"lport a+b", 6, `"a+b" is no port`},
		{"lport 65536", 6, `"65536" is no port`},
		{"lport 9-8", 6, `the range "9-8" ends before it begins`},
		{"lport > 1-2", 8, "operator > takes one value and no range"},
		{"pid > 1, 2", 7, `"," where a condition should be`},
		{"comm > a", 5, "operator > is not for comm; it takes in = != ~ !~"},
		{"rtt > 50", 6, `"50" is no duration`},
		{"bytes_sent > 5x", 13, `"5x" is no number of bytes`},
		{"bytes_sent > 99999999999T", 13, "is no number of bytes"},
		{"start_time > never", 13, `"never" is no time`},
		{"start_time = 10m", 13, "compare an age by < or >"},
		{"v6only = maybe", 9, `"maybe" is neither true nor false`},
		{"netns ~ web", 6, "operator ~ is not for netns"},
		{"comm ~ '('", 7, "regular expression: missing closing )"},
		{"comm ~ 'x{1000}{5}'", 7, "regular expression"},
		{"comm ~ '(x{900}y{900}){3}'", 7, "regular expression"},
		{strings.Repeat("comm ~ 'x{1000}' ", 3), 41, "too large: at most 4096 steps in all"},
		{"comm ~ 'a\x1b'", 7, "control character"},
		{"comm = ''", 7, "the text is empty"},
		{`comm = "\xg0"`, 7, `\x needs two hexadecimal digits`},
		{"unit", 0, "field unit needs a value; for a process of that name write process unit"},
		{"pid and tcp", 0, "field pid needs a value"},
		{"pid =", 5, "pid needs a value here"},
		{"comm = and", 7, "comm needs a value here"},
		{"out", 0, "write direction out"},
		{"in", 0, "in needs a field before it"},
		{"= 5", 0, "operator = needs a field before it"},
		{"direction in in", 13, "in needs a field before it"},
		{"a and", 5, "the filter ends where a condition should follow"},
		{"(a", 0, "the parenthesis is not closed"},
		{"a)", 1, "a closing parenthesis without an opening one"},
		{"()", 1, "a closing parenthesis"},
		{"lport in (1,2", 9, "the list is not closed"},
		{"lport in (1 2)", 12, `want "," or ")" in the list`},
		{"nginx,:443", 6, "write or between them"},
		{"a & b", 2, "unknown operator &; write &&"},
		{`a "b`, 2, "the quote is not closed"},
		{`don't'`, 3, "a quote in the middle of a word"},
		{strings.Repeat("(", 101) + "a" + strings.Repeat(")", 101), 100, "nested too deep: at most 100 levels"},
		{strings.Repeat("not ", 101) + "a", 400, "nested too deep"},
		{strings.Repeat("a", MaxLength+1), MaxLength, "the filter is too long: 65537 bytes, at most 65536"},
	} {
		_, err := Parse(test.text)
		var bad *SyntaxError
		if !errors.As(err, &bad) {
			t.Errorf("Parse(%.60q): error %v, want a SyntaxError", test.text, err)
			continue
		}
		if bad.Offset != test.offset || !strings.Contains(bad.Msg, test.msg) {
			t.Errorf("Parse(%.60q): at %d: %s; want at %d: %s", test.text, bad.Offset, bad.Msg, test.offset, test.msg)
		}
		if strings.ContainsAny(bad.Error(), "\n\x1b") {
			t.Errorf("Parse(%.60q): Error is not one safe line: %q", test.text, bad.Error())
		}
	}
}

func TestSyntaxError_Caret(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"tcp and prot = tcp", "tcp and prot = tcp\n        ^^^^"},
		{"a and", "a and\n     ^"},
		{"'日本語' prot = 1", "'日本語' prot = 1\n         ^^^^"},
		{"'e\u0301' prot = 1", "'e\u0301' prot = 1\n    ^^^^"},
		{"'\x1b[31m\u202e\xff\n' prot = 1", "'?[31m?? ' prot = 1\n           ^^^^"},
		{strings.Repeat("x ", 100) + "prot = 1" + strings.Repeat(" y", 100),
			"…" + strings.Repeat("x ", 18) + " prot = 1" + strings.Repeat(" y", 15)},
	} {
		_, err := Parse(test.text)
		var bad *SyntaxError
		if !errors.As(err, &bad) {
			t.Errorf("Parse(%q): error %v, want a SyntaxError", test.text, err)
			continue
		}
		got := bad.Caret()
		if len(test.text) > 100 {
			lines := strings.Split(got, "\n")
			if len(lines) != 2 || textWidth(lines[0]) > caretWidth ||
				strings.Index(lines[1], "^") != textWidth(lines[0][:strings.Index(lines[0], "prot")]) {
				t.Errorf("Caret of a long text:\n%s", got)
			}
			continue
		}
		if got != test.want {
			t.Errorf("Caret of %q:\n%s\nwant\n%s", test.text, got, test.want)
		}
	}
}

func TestParseArgs(t *testing.T) {
	_, _, err := ParseArgs([]string{"tcp", "and", "prot", "=", "x"})
	var bad *SyntaxError
	if !errors.As(err, &bad) || bad.Offset != 8 || bad.Text != "tcp and prot = x" {
		t.Errorf("ParseArgs: %#v, want offset 8 in the joined text", err)
	}
}

func TestAllOf(t *testing.T) {
	a, b := mustParse(t, "tcp"), mustParse(t, "nginx or :443")
	if got := AllOf(nil, nil); got != nil {
		t.Errorf("AllOf(nil, nil) = %v", got)
	}
	if got := AllOf(nil, a); got != a {
		t.Errorf("AllOf(nil, a) = %v", got)
	}
	if got, want := AllOf(a, nil, b).String(), "proto = tcp and (comm = nginx or port = 443)"; got != want {
		t.Errorf("AllOf = %s, want %s", got, want)
	}
}

func mustParse(t testing.TB, text string) Expr {
	t.Helper()
	e, err := Parse(text)
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return e
}
