package whose

import "time"

// A Lifetime holds the beginning of a session, its end, and its traffic. The zero
// value knows nothing.
type Lifetime struct {
	// Opened is the time of the established connection, or of the first datagram of
	// a UDP flow. Zero: unknown, as for a session that stood before.
	Opened time.Time
	// Closed is the time of the end, or of the failed connect. Zero: the session
	// stands, or its end is unknown.
	Closed time.Time
	// Duration is the time from the opening to the end, or of the attempt. With
	// StoodBefore it is less than the whole. An idle UDP flow ends with its last
	// datagram. Of a session of a live table that stands: its age when it was read,
	// zero if it is unknown.
	Duration time.Duration
	// End is the way it ended, or the failure of the connect.
	End End
	// By is the side that ended a TCP connection first.
	By Side
	// Errno is the kernel's error number, for EndError and for a failed connect.
	// Zero: none.
	Errno uint32
	// StoodBefore: the session stood before anybody followed it.
	StoodBefore bool
	// FirstSeen is the time when the session was first seen: Opened where that is
	// known, else the beginning of the time in which somebody followed it. Only
	// answers about the past have it. Zero: unknown.
	FirstSeen time.Time
	// Host is the name of the host of the session. Only answers about the past have
	// it. Empty: this host, or unknown.
	Host string
	// Counted: Sent and Received are known.
	Counted bool
	// Sent and Received count the traffic each way since the session opened.
	Sent, Received Traffic
}

// Ended reports whether the session ended, or the connect failed.
func (l *Lifetime) Ended() bool { return !l.Closed.IsZero() }

// Traffic counts the traffic of one direction.
type Traffic struct {
	// Bytes of payload, those sent again not counted twice.
	Bytes uint64
	// Datagrams, of UDP only: counted as they leave and arrive, not by calls.
	Datagrams uint64
}

// An End is the way a session ended, or the failure of a connect.
type End uint8

// The ends. EndNone, the zero value, stands for no end and for an unknown one.
const (
	EndNone End = iota
	// EndOrderly: both sides closed (FIN).
	EndOrderly
	// EndReset: one side reset the connection (RST).
	EndReset
	// EndTimedOut: the other side stopped answering (ETIMEDOUT).
	EndTimedOut
	// EndRefused: nobody listens there (ECONNREFUSED).
	EndRefused
	// EndUnreachable: no way to the host or the network (EHOSTUNREACH,
	// ENETUNREACH, and the kernel's substitutes for them).
	EndUnreachable
	// EndAborted: the caller gave up: it closed the socket of a connect under way.
	EndAborted
	// EndIdle: a UDP flow without a datagram for track.Options.UDPIdle.
	EndIdle
	// EndClosed: the socket of a UDP flow was closed, or the flow's place was
	// needed for another.
	EndClosed
	// EndError: another error, in Lifetime.Errno.
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
