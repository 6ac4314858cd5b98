package whose

import "time"

// An EventKind is the kind of an [Event].
type EventKind uint8

// The kinds of events. The zero value is none of them.
const (
	// EventStanding: the session was there when the tracker began. Each comes once,
	// before all other events, unless track.Options.NoInitial is set.
	EventStanding EventKind = iota + 1
	// EventOpen: a TCP connection was established, or the first datagram of a UDP
	// flow went either way.
	EventOpen
	// EventClose: a TCP connection ended, or a UDP flow did: its socket was closed,
	// or it was idle for track.Options.UDPIdle.
	EventClose
	// EventFail: a TCP connect failed.
	EventFail
	// EventListen and EventUnlisten: a TCP socket began or ceased to listen.
	EventListen
	EventUnlisten
	// EventBind: a UDP socket was bound to a port by its process.
	EventBind
	// EventOwned: an already reported session has new owners, because its socket
	// was inherited, passed or handed over.
	EventOwned
	// EventLost: Event.Lost events were lost at the place Event.Why, with the
	// cause Event.Cause. Only the time is set besides.
	EventLost
)

// An Event is one thing that happened to a session. Its slices are never written
// again and may be kept. The zero value is no event. [ParseEvent] reads one from
// JSON.
type Event struct {
	// Time is the time of the event by the wall clock. The kernel stamps its
	// records by the boot clock, which does not jump; both are compared once a
	// minute.
	Time time.Time
	// Kind is the kind of the event.
	Kind EventKind
	// Cause is the cause of a loss, for EventLost.
	Cause Cause
	// Lifetime is the known life of the session at that moment. End, By, Errno,
	// Duration and traffic are set for EventClose and EventFail only.
	Lifetime
	// Lost counts the lost events, for EventLost.
	Lost uint64
	// Why is the place of the loss: "ring buffer full".
	Why string
	// Seq is the number of the event in the stream of an agent, from which a reader
	// goes on after it left. Zero: it is of no such stream.
	Seq uint64
	// Session is the session at that moment; its Life is nil. The owner of
	// EventOpen is the process that called connect or accept, or sent first. TCP
	// holds round-trip time, retransmits and bytes for EventClose of TCP, and all
	// figures for EventStanding with track.Options.Traffic.
	Session Session
}

// Gap returns the gap of an EventLost.
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

// Ends reports whether the kind is an end of a session or of an attempt to
// connect.
func (k EventKind) Ends() bool { return k == EventClose || k == EventFail }
