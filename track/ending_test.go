package track

import (
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// TestEndOfTCP has a row for each way in which a TCP connection can end.
func TestEndOfTCP(t *testing.T) {
	for _, c := range []struct {
		name  string
		old   whose.State
		err   uint32
		reset bool
		end   End
		by    Side
	}{
		{name: "we close, they close", old: whose.FinWait2, end: EndOrderly, by: Here},
		{name: "they close, we close", old: whose.LastAck, end: EndOrderly, by: There},
		{name: "both close at once", old: whose.Closing, end: EndOrderly},
		{name: "the end of TIME_WAIT", old: whose.TimeWait, end: EndOrderly, by: Here},

		{name: "they reset", old: whose.Established, err: eCONNRESET, end: EndReset, by: There},
		{name: "they reset after their FIN", old: whose.CloseWait, err: ePIPE, end: EndReset, by: There},
		{name: "they reset after our FIN", old: whose.FinWait1, err: eCONNRESET, end: EndReset, by: There},
		{name: "they reset after our FIN was acknowledged", old: whose.FinWait2, err: eCONNRESET, end: EndReset, by: There},
		{name: "they reset after both FINs", old: whose.LastAck, err: eCONNRESET, end: EndReset, by: There},

		{name: "we close with data unread", old: whose.Established, reset: true, end: EndReset, by: Here},
		{name: "we close with SO_LINGER 0", old: whose.Established, end: EndReset, by: Here},
		{name: "we close with data unread after their FIN", old: whose.CloseWait, end: EndReset, by: Here},
		{name: "data came after we closed", old: whose.FinWait1, reset: true, end: EndReset, by: Here},
		{name: "data came after our FIN was acknowledged", old: whose.FinWait2, err: eCONNRESET, reset: true, end: EndReset, by: Here},
		{name: "gone after our FIN", old: whose.FinWait1, end: EndReset, by: Here},
		{name: "never fully open (fast open)", old: whose.SynRecv, end: EndReset, by: Here},
		{name: "destroyed by ss --kill", old: whose.Established, err: eCONNABORTED, reset: true, end: EndReset, by: Here},
		{name: "destroyed, no reset seen", old: whose.Established, err: eCONNABORTED, end: EndReset, by: Here},

		{name: "data was never acknowledged", old: whose.Established, err: eTIMEDOUT, end: EndTimedOut},
		{name: "keepalive had no answer, reset sent", old: whose.Established, err: eTIMEDOUT, reset: true, end: EndTimedOut},
		{name: "our FIN was never acknowledged", old: whose.FinWait1, err: eTIMEDOUT, end: EndTimedOut},
		{name: "our last FIN was never acknowledged", old: whose.LastAck, err: eTIMEDOUT, end: EndTimedOut},
		{name: "a router says there is no way", old: whose.Established, err: eHOSTUNREACH, end: EndUnreachable},
		{name: "the network went", old: whose.Established, err: eNETUNREACH, end: EndUnreachable},

		{name: "another error", old: whose.Established, err: 71, end: EndError},
		{name: "a state that is none", old: whose.Listen, end: EndNone},
	} {
		r := bpfevent.Record{OldState: uint8(c.old), Err: c.err, ResetHere: c.reset}
		if end, by := endOfTCP(&r); end != c.end || by != c.by {
			t.Errorf("%s: %v by %v, want %v by %v", c.name, end, by, c.end, c.by)
		}
	}
}

func TestEndOfConnect(t *testing.T) {
	for errno, want := range map[uint32]End{
		eCONNREFUSED: EndRefused, eTIMEDOUT: EndTimedOut, eHOSTUNREACH: EndUnreachable, eNETUNREACH: EndUnreachable,
		eNETDOWN: EndUnreachable, 0: EndAborted, eINTR: EndAborted, eCONNABORTED: EndAborted,
		13: EndError, 99: EndError, eCONNRESET: EndRefused,
	} {
		if got := endOfConnect(errno); got != want {
			t.Errorf("errno %d: %v, want %v", errno, got, want)
		}
	}
}
