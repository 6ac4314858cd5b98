package filter_test

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
)

func ExampleParse() {
	e, err := filter.Parse("tcp listen nginx,apache2 and not lport 8000-8099")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e)
	// Output: proto = tcp and state = LISTEN and comm in (nginx, apache2) and not local_port in 8000-8099
}

func ExampleSyntaxError_Caret() {
	_, err := filter.Parse("tcp and prot = udp")
	var bad *filter.SyntaxError
	if errors.As(err, &bad) {
		fmt.Println(bad.Msg)
		fmt.Println(bad.Caret())
	}
	// Output:
	// unknown field "prot"; did you mean proto?
	// tcp and prot = udp
	//         ^^^^
}

func ExampleCompile() {
	e, err := filter.Parse("remote 10.0.0.0/8 and established")
	if err != nil {
		fmt.Println(err)
		return
	}
	m := filter.Compile(e, filter.Env{})
	s := whose.Session{State: whose.Established, Remote: netip.MustParseAddrPort("10.1.2.3:443")}
	fmt.Println(m.Match(&s))
	// Output: true
}

func ExampleSplit() {
	e, err := filter.Parse("tcp and lport 80 and nginx")
	if err != nil {
		fmt.Println(err)
		return
	}
	p := filter.Split(e, filter.Env{})
	fmt.Println("only tcp:", p.Protos == whose.SetOf(whose.TCP))
	fmt.Println("ends:", len(p.Any))
	fmt.Println("looks into sshd:", p.Process(1, "sshd"))
	fmt.Println("rest:", p.Rest)
	// Output:
	// only tcp: true
	// ends: 1
	// looks into sshd: false
	// rest: local_port = 80 and comm = nginx
}

// A condition on an event holds for the event alone, not for its session.
func ExampleMatcher_MatchEvent() {
	e, err := filter.Parse("event fail and errno 111 and comm curl")
	if err != nil {
		fmt.Println(err)
		return
	}
	m := filter.Compile(e, filter.Env{})
	refused := whose.Event{
		Kind:     whose.EventFail,
		Lifetime: whose.Lifetime{End: whose.EndRefused, Errno: 111, Closed: time.Unix(1, 0)},
		Session:  whose.Session{Proto: whose.TCP, Owners: []whose.Owner{{Process: &whose.Process{PID: 4711, Comm: "curl"}}}},
	}
	fmt.Println(m.MatchEvent(&refused), m.Match(&refused.Session))
	// Output: true false
}

// Candidates replace the text from the offset on.
func ExampleComplete() {
	const text = "tcp and state li"
	from, candidates := filter.Complete(text)
	for _, c := range candidates {
		fmt.Println(text[:from] + c.Text)
	}
	// Output:
	// tcp and state listen
	// tcp and state listening
}

// Arguments of a command line are one filter; quotes of the shell hold a value
// together.
func ExampleParseArgs() {
	e, text, err := filter.ParseArgs([]string{"process", "Web Content", "and", "port", "443"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(text)
	fmt.Println(e)
	// Output:
	// process "Web Content" and port 443
	// comm = "Web Content" and port = 443
}
