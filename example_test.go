package whose_test

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// A program reads the lines of "whose watch -o jsonl" back.
func ExampleParseEvent() {
	lines := strings.NewReader(`{"version":1,"time":"2026-03-01T14:03:09.592590Z","event":"close","end":"orderly","by":"there","duration":1221400,"sent":{"bytes":1234},"received":{"bytes":34567},"session":{"proto":"tcp","remote_addr":"93.184.215.14","remote_port":443,"direction":"out","owners":[{"pid":4711,"comm":"curl"}]}}
{"version":1,"time":"2026-03-01T14:03:10.000000Z","event":"lost","cause":"limit","lost":12,"why":"ring buffer full"}
`)
	in := bufio.NewScanner(lines)
	for in.Scan() {
		e, err := whose.ParseEvent(in.Bytes())
		if err != nil {
			fmt.Println(err)
			return
		}
		switch e.Kind {
		case whose.EventClose:
			s := &e.Session
			fmt.Println(s.Owners[0].Comm, s.Direction, s.Remote, e.End, e.Duration, e.Received.Bytes)
		case whose.EventLost:
			fmt.Println(e.Gap())
		}
	}
	// Output:
	// curl out 93.184.215.14:443 orderly 1.2214s 34567
	// 12 events could not be seen (ring buffer full)
}

// A program reads the lines of "whose -o jsonl" back.
func ExampleParseSession() {
	s, err := whose.ParseSession([]byte(`{"proto":"tcp","family":"ipv4","local_addr":"0.0.0.0","local_port":443,"state":"LISTEN","owners":[{"pid":812,"comm":"nginx","fds":[6]},{"pid":813,"comm":"nginx","fds":[6]}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.State, s.Local, len(s.Owners), "owners")

	_, err = whose.ParseSession([]byte(`{"proto":"tpc"}`))
	fmt.Println(err)
	// Output:
	// LISTEN 0.0.0.0:443 2 owners
	// parse session: proto: "\"tpc\"": want one of tcp, udp, udplite, mptcp
}

// A field is read from a row: the same call serves sessions and events.
func ExampleField_Value() {
	e := whose.Event{
		Kind:     whose.EventClose,
		Lifetime: whose.Lifetime{Duration: 3 * time.Second, Closed: time.Unix(1, 0)},
		Session:  whose.Session{Proto: whose.TCP, Remote: netip.MustParseAddrPort("192.0.2.1:443")},
	}
	for _, name := range []string{"event", "rport", "duration"} {
		f := whose.FieldByName(name)
		ofEvent, ofSession := f.Value(e.Row()), f.Value(e.Session.Row())
		fmt.Printf("%s: %s; without the event: %q\n", f.Name, ofEvent.Append(nil), ofSession.Append(nil))
	}
	// Output:
	// event: close; without the event: ""
	// remote_port: 443; without the event: "443"
	// duration: 3s; without the event: ""
}

// A loop over many sessions takes the getter out of the loop. It makes no Value.
func ExampleField_Getters() {
	state := whose.FieldByName("state")
	code := state.Getters().Code
	sessions := []whose.Session{{State: whose.Listen}, {State: whose.Established}, {State: whose.Listen}}
	counts := map[uint8]int{}
	for i := range sessions {
		counts[code(sessions[i].Row())]++
	}
	fmt.Println(counts[state.CodeOf("LISTEN")], state.CodeName(uint8(whose.Listen)))
	// Output: 2 LISTEN
}

// A partial answer is data and a reason.
func ExampleCoverage_Err() {
	var c whose.Coverage
	c.Processes = 328
	c.Add(whose.Gap{Kind: whose.GapProcesses, Cause: whose.CausePermission, Count: 12})
	c.Gaps.Advise(whose.Caller{Root: false})
	err := c.Err()
	var partial *whose.PartialError
	fmt.Println(errors.As(err, &partial), err)
	fmt.Println(c.Gaps.Hint())
	// Output:
	// true partial answer: 12 of 340 processes could not be looked into (permission denied)
	// try sudo, or once: sudo whose pin --group whose (see whose pin --help)
}

// A hint is advice for the user, apart from the error.
func ExampleWithHint() {
	err := whose.WithHint(fmt.Errorf("open pin: %w", os.ErrPermission), "run as root, or join the group %s", "ops")
	fmt.Println(err)
	fmt.Println(whose.Hint(err))
	fmt.Println(errors.Is(err, os.ErrPermission))
	// Output:
	// open pin: permission denied
	// run as root, or join the group ops
	// true
}
