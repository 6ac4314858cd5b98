package whose

import "time"

// A Lifetime says when a session began, when and how it ended, and what went
// over it. The zero value knows nothing.
type Lifetime struct {
	// Opened is when the connection was established, or the first datagram of a
	// UDP flow went. Zero: not known, as of a session that stood before.
	Opened time.Time
	// Closed is when the session ended, or when the connect failed. Zero: it
	// stands, or the end is not known.
	Closed time.Time
	// Duration is how long an ended session lasted, or how long the attempt
	// took. It is less than the whole where StoodBefore. Of a UDP flow that went
	// idle it ends with the last datagram.
	Duration time.Duration
	// End says how it ended, or why the connect failed.
	End End
	// By says who ended a TCP connection first.
	By Side
	// Errno is the kernel's error number, with EndError and of a failed connect.
	// Zero: none.
	Errno uint32
	// StoodBefore: the session stood before anybody followed it.
	StoodBefore bool
	// Counted: Sent and Received are known.
	Counted bool
	// Sent and Received count what went each way since the session opened.
	Sent, Received Traffic
}

// Ended reports whether the session ended, or the connect failed.
func (l *Lifetime) Ended() bool { return !l.Closed.IsZero() }

// Traffic counts what went one way.
type Traffic struct {
	// Bytes of payload, those sent again not counted twice.
	Bytes uint64
	// Datagrams, of UDP only.
	Datagrams uint64
}

// An End says how a session ended, or why a connect failed.
type End uint8

// The ends. EndNone, the zero value, is that of an event that is no end, and
// of one of which nobody knows.
const (
	EndNone End = iota
	// EndOrderly: both sides closed (FIN).
	EndOrderly
	// EndReset: one side reset the connection (RST).
	EndReset
	// EndTimedOut: the other side answered no more (ETIMEDOUT).
	EndTimedOut
	// EndRefused: nobody listens there (ECONNREFUSED).
	EndRefused
	// EndUnreachable: no way to the host or the network (EHOSTUNREACH,
	// ENETUNREACH, and what the kernel says instead of them).
	EndUnreachable
	// EndAborted: the caller gave up before it was decided: it closed the
	// socket of a connect under way.
	EndAborted
	// EndIdle: a UDP flow without a datagram for track.Options.UDPIdle.
	EndIdle
	// EndClosed: the socket of a UDP flow was closed, or the flow's place was
	// needed for another.
	EndClosed
	// EndError: another error; Lifetime.Errno says which.
	EndError
)

// A Side is one end of a session.
type Side uint8

// The sides. The zero value: nobody knows.
const (
	// Here: the process of this session.
	Here Side = 1
	// There: the other end.
	There Side = 2
)

var (
	endNames = enum{
		EndOrderly: "orderly", EndReset: "reset", EndTimedOut: "timed-out", EndRefused: "refused",
		EndUnreachable: "unreachable", EndAborted: "aborted", EndIdle: "idle", EndClosed: "closed", EndError: "error",
	}
	sideNames = enum{Here: "here", There: "there"}
)

// String returns the end's name as in JSON: "refused"; "" for EndNone.
func (e End) String() string { return endNames.name(uint8(e)) }

// String returns "here", "there" or "".
func (s Side) String() string { return sideNames.name(uint8(s)) }
