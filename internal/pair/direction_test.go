package pair_test

import (
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
)

func TestOriginByState(t *testing.T) {
	for _, c := range []struct {
		rule  string
		proto whose.Proto
		state whose.State
		file  bool
		want  pair.Origin
	}{
		{"nobody but who connects is in SYN_SENT", whose.TCP, whose.SynSent, true, pair.Connected},
		{"a request is a listener's", whose.TCP, whose.NewSynRecv, false, pair.Accepted},
		{"SYN_RECV without a file is a request, or one by Fast Open", whose.TCP, whose.SynRecv, false, pair.Accepted},
		{"SYN_RECV with a file may be one of two that connected at once", whose.TCP, whose.SynRecv, true, pair.UnknownOrigin},
		{"what is established and has no file waits to be accepted", whose.TCP, whose.Established, false, pair.Accepted},
		{"so does what the other side has shut down", whose.MPTCP, whose.CloseWait, false, pair.Accepted},
		{"a process may hold either end", whose.TCP, whose.Established, true, pair.UnknownOrigin},
		{"a process may have closed either end", whose.TCP, whose.FinWait1, false, pair.UnknownOrigin},
		{"TIME_WAIT is of either end", whose.TCP, whose.TimeWait, false, pair.UnknownOrigin},
		{"UDP is accepted by nobody", whose.UDP, whose.Established, false, pair.UnknownOrigin},
	} {
		e := end("10.0.0.1:80", "10.0.0.2:5000", proto(c.proto), bound(c.state))
		if got := e.OriginByState(c.file); got != c.want {
			t.Errorf("%s: %v, want %v", c.rule, got, c.want)
		}
	}
}

// TestDirection has the order of what decides.
func TestDirection(t *testing.T) {
	for _, c := range []struct {
		rule   string
		e      pair.End
		origin pair.Origin
		taking pair.Taking
		want   whose.Direction
	}{
		{"accepted, though no listener is left", end("10.0.0.1:80", "10.0.0.2:5000"), pair.Accepted, pair.NotTaken, whose.In},
		{"connected, though somebody listens there", end("10.0.0.1:80", "10.0.0.2:5000"), pair.Connected, pair.Taken, whose.Out},
		{"by a listener where the socket does not say", end("10.0.0.1:80", "10.0.0.2:5000"), pair.UnknownOrigin, pair.Taken, whose.In},
		{"by none where the socket does not say", end("10.0.0.1:80", "10.0.0.2:5000"), pair.UnknownOrigin, pair.NotTaken, whose.Out},
		{"nothing where nothing decides", end("10.0.0.1:80", "10.0.0.2:5000"), pair.UnknownOrigin, pair.MayBeTaken, 0},
		{"in TIME_WAIT by a listener", end("10.0.0.1:80", "10.0.0.2:5000", bound(whose.TimeWait)), pair.UnknownOrigin, pair.Taken, whose.In},
		{"in TIME_WAIT not by none: the server may be gone", end("10.0.0.1:80", "10.0.0.2:5000", bound(whose.TimeWait)), pair.UnknownOrigin, pair.NotTaken, 0},
		{"nor while it is closed", end("10.0.0.1:80", "10.0.0.2:5000", bound(whose.FinWait2)), pair.UnknownOrigin, pair.NotTaken, 0},
		{"in TIME_WAIT by the word of the socket", end("10.0.0.1:80", "10.0.0.2:5000", bound(whose.TimeWait)), pair.Connected, pair.NotTaken, whose.Out},
		{"the other side alone has closed", end("10.0.0.1:80", "10.0.0.2:5000", bound(whose.CloseWait)), pair.UnknownOrigin, pair.NotTaken, whose.Out},
		{"accepted, whoever may listen", end("10.0.0.1:80", "10.0.0.2:5000"), pair.Accepted, pair.MayBeTaken, whose.In},
		{"a listener has none", listener("10.0.0.1:80"), pair.UnknownOrigin, pair.NotTaken, 0},
		{"a bound UDP socket has none", end("10.0.0.1:80", "0.0.0.0:0", proto(whose.UDP), bound(whose.Unconn)), pair.UnknownOrigin, pair.Taken, 0},
		{"a bound TCP socket has none", end("10.0.0.1:80", "0.0.0.0:0", bound(whose.Close)), pair.UnknownOrigin, pair.Taken, 0},
	} {
		if got := c.e.Direction(c.origin, c.taking); got != c.want {
			t.Errorf("%s: %v, want %v", c.rule, got, c.want)
		}
	}
}
