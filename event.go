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

// An Event is one thing that happened to a session. The slices in it are never
// written again and may be kept. The zero value is no event.
type Event struct {
	// Time is when it happened, by the wall clock. The kernel notes its boot
	// clock, which does not jump; both are related once a minute.
	Time time.Time
	// Kind is what happened.
	Kind EventKind
	// Cause is why events were lost, with EventLost.
	Cause Cause
	// Lifetime is what is known of the session's life at that moment. End, By,
	// Errno, Duration and traffic are set for EventClose and EventFail only.
	Lifetime
	// Lost counts the events that were lost, with EventLost.
	Lost uint64
	// Why says where they were lost: "ring buffer full".
	Why string
	// Session is the session as the model has it; its Life is nil. Its owners
	// are those of the moment: for EventOpen the process that called connect,
	// accept, or sent first. TCP holds round-trip time, retransmits and bytes for
	// EventClose of TCP.
	Session Session
}

// Gap returns the gap that an event of lost ones tells of.
func (e *Event) Gap() Gap {
	return Gap{Kind: GapEvents, Cause: e.Cause, Count: int(e.Lost), Detail: e.Why}
}

var eventNames = enum{
	EventStanding: "standing", EventOpen: "open", EventClose: "close", EventFail: "fail", EventListen: "listen",
	EventUnlisten: "unlisten", EventBind: "bind", EventOwned: "owned", EventLost: "lost",
}

// String returns the kind's name as in --events and JSON: "open".
func (k EventKind) String() string { return eventNames.name(uint8(k)) }

// EventKinds returns all kinds in the order of their numbers.
func EventKinds() []EventKind { return valuesOf[EventKind](eventNames) }

// Ends reports whether events of the kind end something: a session, or an
// attempt to connect.
func (k EventKind) Ends() bool { return k == EventClose || k == EventFail }
