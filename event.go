package whose

import "time"

// An EventKind is the kind of what happened.
type EventKind uint8

// The kinds of events. The zero value is none of them.
const (
	// EventStanding: the session was there when the tracker began. Told once for
	// each before all else, unless track.Options.NoInitial.
	EventStanding EventKind = iota + 1
	// EventOpen: a TCP connection was established, or the first datagram of a UDP
	// flow went either way.
	EventOpen
	// EventClose: a TCP connection ended, or a UDP flow did: its socket was closed,
	// or it was idle for track.Options.UDPIdle.
	EventClose
	// EventFail: a TCP connect did not come about.
	EventFail
	// EventListen and EventUnlisten: a TCP socket began or ceased to listen.
	EventListen
	EventUnlisten
	// EventBind: a UDP socket was bound to a port by its process.
	EventBind
	// EventOwned: the owners of a session that was told before are others now: its
	// socket was inherited, passed or handed over.
	EventOwned
	// EventLost: events were lost, Event.Lost of them; Event.Why says where. Nothing
	// else of the event is set but its time.
	EventLost
)

// An End tells how a session ended, or why a connect failed.
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
	// EndError: another error; Event.Errno tells which.
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

// An Event is one thing that happened to a session. The slices in it are never
// written again and may be kept. The zero value is no event.
type Event struct {
	// Time is when it happened, by the wall clock. The kernel notes its boot
	// clock, which does not jump; both are related once a minute.
	Time time.Time
	// EventKind is what happened.
	Kind EventKind
	// End tells how it ended (Close, Fail).
	End End
	// By tells who ended it first (Close of TCP).
	By Side
	// Errno is the kernel's error number with EndError, and with Fail; 0 for none.
	Errno uint32
	// Duration is how long the session lasted (Close; of one that stood
	// before, since the tracker began), or how long the attempt took (Fail).
	Duration time.Duration
	// Since tells that the session stood before the tracker began, so that
	// Duration is less than the whole.
	Since bool
	// Sent and Received count what went each way since the session opened.
	Sent, Received Traffic
	// Lost counts the events that were lost, with EventKind Lost.
	Lost uint64
	// Why says where they were lost: "ring buffer full".
	Why string
	// Session is the session as the model has it. Its owners are those of the
	// moment: for Open the process that called connect, accept, or sent first.
	// TCP holds round-trip time, retransmits and bytes for Close of TCP.
	Session Session
}

// Traffic counts what went one way.
type Traffic struct {
	// Bytes of payload, those sent again not counted twice.
	Bytes uint64
	// Datagrams, of UDP only.
	Datagrams uint64
}

var (
	eventNames = enum{
		EventStanding: "standing", EventOpen: "open", EventClose: "close", EventFail: "fail", EventListen: "listen",
		EventUnlisten: "unlisten", EventBind: "bind", EventOwned: "owned", EventLost: "lost",
	}
	endNames = enum{
		EndOrderly: "orderly", EndReset: "reset", EndTimedOut: "timed-out", EndRefused: "refused",
		EndUnreachable: "unreachable", EndAborted: "aborted", EndIdle: "idle", EndClosed: "closed", EndError: "error",
	}
	sideNames = enum{Here: "here", There: "there"}
)

// String returns the kind's name as in --events and JSON: "open".
func (k EventKind) String() string { return eventNames.name(uint8(k)) }

// String returns the end's name as in JSON: "refused"; "" for EndNone.
func (e End) String() string { return endNames.name(uint8(e)) }

// String returns "here", "there" or "".
func (s Side) String() string { return sideNames.name(uint8(s)) }

// EventKinds returns all kinds in the order of their numbers.
func EventKinds() []EventKind {
	all := make([]EventKind, 0, len(eventNames)-1)
	for k := EventStanding; int(k) < len(eventNames); k++ {
		all = append(all, k)
	}
	return all
}
