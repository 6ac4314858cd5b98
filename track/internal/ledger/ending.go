package ledger

import (
	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// This file decides how a session ended, from the kernel's knowledge at the
// time of the event. It is the only place that does.

// Error numbers as Linux numbers them, but on MIPS and SPARC.
const (
	eINTR        = 4
	ePIPE        = 32
	eNONET       = 64
	eNETDOWN     = 100
	eNETUNREACH  = 101
	eCONNABORTED = 103
	eCONNRESET   = 104
	eTIMEDOUT    = 110
	eCONNREFUSED = 111
	eHOSTDOWN    = 112
	eHOSTUNREACH = 113
	eCANCELED    = 125
)

// endOfTCP returns how an established connection ended, and by whom: the side
// whose FIN came first or, with a reset, the side that sent it. Nobody ends a
// connection that timed out or became unreachable.
//
// The socket's pending error decides first, since a connection can be reset or
// time out in any state. A reset of ours decides next, and then the last state,
// which shows whose FIN came first.
func endOfTCP(r *bpfevent.Record) (whose.End, whose.Side) {
	switch r.Err {
	case eTIMEDOUT: // no answer to data, to a FIN or to a keepalive; a reset may be sent at last
		return whose.EndTimedOut, 0
	case eHOSTUNREACH, eNETUNREACH, eNETDOWN, eHOSTDOWN, eNONET: // no answer, and a router said why
		return whose.EndUnreachable, 0
	}
	if r.ResetHere {
		return whose.EndReset, whose.Here
	}
	switch r.Err {
	case eCONNRESET, ePIPE: // EPIPE is a reset after the other side's FIN
		return whose.EndReset, whose.There
	case eCONNABORTED: // somebody had the kernel destroy it (ss --kill), which resets it
		return whose.EndReset, whose.Here
	case 0:
		return endByState(whose.State(r.OldState))
	}
	return whose.EndError, 0
}

// endByState returns how a connection without an error ended.
func endByState(old whose.State) (whose.End, whose.Side) {
	switch old {
	case whose.FinWait2, whose.TimeWait:
		return whose.EndOrderly, whose.Here // our FIN was acknowledged before theirs came
	case whose.LastAck:
		return whose.EndOrderly, whose.There // theirs came before ours went
	case whose.Closing:
		return whose.EndOrderly, 0 // both went before either came
	case whose.Established, whose.SynRecv, whose.CloseWait, whose.FinWait1:
		// Gone at once without an error received: closed with data unread, or with
		// SO_LINGER 0, or sent data after it was closed. We reset it.
		return whose.EndReset, whose.Here
	}
	return whose.EndNone, 0
}

// endOfConnect returns why a connect failed.
func endOfConnect(err uint32) whose.End {
	switch err {
	case eCONNREFUSED, eCONNRESET: // a port without a listener answers with a reset
		return whose.EndRefused
	case eTIMEDOUT:
		return whose.EndTimedOut
	case eHOSTUNREACH, eNETUNREACH, eNETDOWN, eHOSTDOWN, eNONET:
		return whose.EndUnreachable
	case 0, eINTR, eCONNABORTED, eCANCELED:
		return whose.EndAborted
	}
	return whose.EndError
}
