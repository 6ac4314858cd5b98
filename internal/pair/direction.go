package pair

import "github.com/seed-44df2ae6/whose"

// An Origin is how a socket came to its connection. Of Accepted and Connected a
// caller is certain; UnknownOrigin is no guess.
type Origin uint8

// The origins.
const (
	// UnknownOrigin: the socket does not say, or nobody has asked it.
	UnknownOrigin Origin = iota
	// Accepted: it is the copy of a listener.
	Accepted
	// Connected: by connect, also where both ends called it at once.
	Connected
)

// A Taking says whether a listener takes a session by its address and port.
type Taking uint8

// The takings.
const (
	// NotTaken: no listener does.
	NotTaken Taking = iota
	// Taken: a listener does.
	Taken
	// MayBeTaken: the listeners are not all known, or one may take sessions to
	// addresses and ports of others.
	MayBeTaken
)

// OriginByState returns the origin that follows from state and file alone. hasFile
// is false for a socket that no file belongs to.
//
// Closing moves a socket out of ESTABLISHED and CLOSE_WAIT before it loses its
// file: without one it has not been accepted yet. A socket in SYN_RECV with a
// file may be one end of two that connected at once.
func (e *End) OriginByState(hasFile bool) Origin {
	if e.Proto.IsDatagram() {
		return UnknownOrigin
	}
	switch e.State {
	case whose.SynSent:
		return Connected
	case whose.NewSynRecv:
		return Accepted
	case whose.SynRecv, whose.Established, whose.CloseWait:
		if !hasFile {
			return Accepted
		}
	}
	return UnknownOrigin
}

// Direction returns which side began a session: by its origin or, where that is
// not known, by whether a listener takes it. It returns 0 for a listener, for a
// socket that is only bound, and where nothing decides: a session that this side
// has closed often outlives its listener.
func (e *End) Direction(o Origin, t Taking) whose.Direction {
	switch {
	case e.IsListener() || e.State == whose.Close && e.RemotePort == 0:
		return 0
	case o == Accepted:
		return whose.In
	case o == Connected:
		return whose.Out
	case t == Taken:
		return whose.In
	case t == NotTaken && !e.closedHere():
		return whose.Out
	}
	return 0
}

// closedHere reports whether this side has closed a TCP session.
func (e *End) closedHere() bool {
	switch e.State {
	case whose.FinWait1, whose.FinWait2, whose.Closing, whose.LastAck, whose.TimeWait:
		return true
	}
	return false
}
