package ledger

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
		end   whose.End
		by    whose.Side
	}{
		{name: "we close, they close", old: whose.FinWait2, end: whose.EndOrderly, by: whose.Here},
		{name: "they close, we close", old: whose.LastAck, end: whose.EndOrderly, by: whose.There},
		{name: "both close at once", old: whose.Closing, end: whose.EndOrderly},
		{name: "the end of TIME_WAIT", old: whose.TimeWait, end: whose.EndOrderly, by: whose.Here},

		{name: "they reset", old: whose.Established, err: eCONNRESET, end: whose.EndReset, by: whose.There},
		{name: "they reset after their FIN", old: whose.CloseWait, err: ePIPE, end: whose.EndReset, by: whose.There},
		{name: "they reset after our FIN", old: whose.FinWait1, err: eCONNRESET, end: whose.EndReset, by: whose.There},
		{name: "they reset after our FIN was acknowledged", old: whose.FinWait2, err: eCONNRESET, end: whose.EndReset, by: whose.There},
		{name: "they reset after both FINs", old: whose.LastAck, err: eCONNRESET, end: whose.EndReset, by: whose.There},

		{name: "we close with data unread", old: whose.Established, reset: true, end: whose.EndReset, by: whose.Here},
		{name: "we close with SO_LINGER 0", old: whose.Established, end: whose.EndReset, by: whose.Here},
		{name: "we close with data unread after their FIN", old: whose.CloseWait, end: whose.EndReset, by: whose.Here},
		{name: "data came after we closed", old: whose.FinWait1, reset: true, end: whose.EndReset, by: whose.Here},
		{name: "data came after our FIN was acknowledged", old: whose.FinWait2, err: eCONNRESET, reset: true, end: whose.EndReset, by: whose.Here},
		{name: "gone after our FIN", old: whose.FinWait1, end: whose.EndReset, by: whose.Here},
		{name: "never fully open (fast open)", old: whose.SynRecv, end: whose.EndReset, by: whose.Here},
		{name: "destroyed by ss --kill", old: whose.Established, err: eCONNABORTED, reset: true, end: whose.EndReset, by: whose.Here},
		{name: "destroyed, no reset seen", old: whose.Established, err: eCONNABORTED, end: whose.EndReset, by: whose.Here},

		{name: "data was never acknowledged", old: whose.Established, err: eTIMEDOUT, end: whose.EndTimedOut},
		{name: "keepalive had no answer, reset sent", old: whose.Established, err: eTIMEDOUT, reset: true, end: whose.EndTimedOut},
		{name: "our FIN was never acknowledged", old: whose.FinWait1, err: eTIMEDOUT, end: whose.EndTimedOut},
		{name: "our last FIN was never acknowledged", old: whose.LastAck, err: eTIMEDOUT, end: whose.EndTimedOut},
		{name: "a router says there is no way", old: whose.Established, err: eHOSTUNREACH, end: whose.EndUnreachable},
		{name: "the network went", old: whose.Established, err: eNETUNREACH, end: whose.EndUnreachable},

		{name: "another error", old: whose.Established, err: 71, end: whose.EndError},
		{name: "a state that is none", old: whose.Listen, end: whose.EndNone},
	} {
		r := bpfevent.Record{OldState: uint8(c.old), Err: c.err, ResetHere: c.reset}
		if end, by := endOfTCP(&r); end != c.end || by != c.by {
			t.Errorf("%s: %v by %v, want %v by %v", c.name, end, by, c.end, c.by)
		}
	}
}

func TestEndOfConnect(t *testing.T) {
	for errno, want := range map[uint32]whose.End{
		eCONNREFUSED: whose.EndRefused, eTIMEDOUT: whose.EndTimedOut, eHOSTUNREACH: whose.EndUnreachable, eNETUNREACH: whose.EndUnreachable,
		eNETDOWN: whose.EndUnreachable, 0: whose.EndAborted, eINTR: whose.EndAborted, eCONNABORTED: whose.EndAborted,
		13: whose.EndError, 99: whose.EndError, eCONNRESET: whose.EndRefused,
	} {
		if got := endOfConnect(errno); got != want {
			t.Errorf("errno %d: %v, want %v", errno, got, want)
		}
	}
}
