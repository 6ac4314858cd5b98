package store

import (
	"net/netip"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// This file makes lifetimes and events of entries.

// ends returns the two ends of an entry that is not made yet.
func ends(v *view, p *packed) (local, remote netip.AddrPort) {
	return netip.AddrPortFrom(v.addrs[p.local], p.localPort), netip.AddrPortFrom(v.addrs[p.remote], p.remotePort)
}

// stood returns the state of the session while it stood.
func (e *entry) stood() whose.State {
	switch e.kind {
	case closed:
		return whose.Established
	case failed:
		return whose.SynSent
	}
	return e.state
}

// lifetime is all that is known of the session's life.
func (e *entry) lifetime(zone *time.Location) whose.Lifetime {
	l := whose.Lifetime{
		FirstSeen: fromMicros(e.from).In(zone), End: e.end, By: e.by, Errno: e.errno,
		StoodBefore: e.flags&knownOpen == 0 && e.kind != failed,
		Counted:     e.flags&counted != 0, Sent: e.sent, Received: e.received,
	}
	if e.flags&knownOpen != 0 {
		l.Opened = l.FirstSeen
	}
	switch e.kind {
	case closed, failed:
		l.Closed, l.Duration = fromMicros(e.at).In(zone), time.Duration(e.duration)*time.Microsecond
	case unlistened:
		l.Closed, l.Duration = fromMicros(e.at).In(zone), time.Duration(e.at-e.from)*time.Microsecond
	}
	return l
}

func (e *entry) tcp() whose.TCPInfo {
	return whose.TCPInfo{
		RTT: time.Duration(e.rtt) * time.Microsecond, Retrans: e.retrans, BytesSent: e.sent.Bytes, BytesReceived: e.received.Bytes,
	}
}

// beginning makes the event that began the session, false where none did or an
// entry of its own has it.
func (e *entry) beginning(ev *whose.Event, zone *time.Location) bool {
	if e.flags&knownOpen == 0 || e.flags&apart != 0 && e.kind != opened || e.kind == failed || e.kind == owned {
		return false
	}
	at := fromMicros(e.from).In(zone)
	*ev = whose.Event{Time: at, Kind: whose.EventOpen, Lifetime: whose.Lifetime{Opened: at}}
	e.session(&ev.Session)
	switch ev.Session.State = e.opening(); ev.Session.State {
	case whose.Listen:
		ev.Kind = whose.EventListen
	case whose.Unconn:
		ev.Kind = whose.EventBind
	}
	return true
}

// eventKinds are the events of the kinds of entries.
var eventKinds = [...]whose.EventKind{
	closed: whose.EventClose, failed: whose.EventFail, unlistened: whose.EventUnlisten, owned: whose.EventOwned, gone: 0,
}

// event makes the event that the entry itself is, false where it is none. info is
// memory for the figures of TCP.
func (e *entry) event(ev *whose.Event, info *whose.TCPInfo, zone *time.Location) bool {
	kind := eventKinds[e.kind]
	if kind == 0 {
		return false
	}
	*ev = whose.Event{Time: fromMicros(e.at).In(zone), Kind: kind}
	e.session(&ev.Session)
	ev.StoodBefore = e.flags&knownOpen == 0 && kind != whose.EventFail
	if e.flags&knownOpen != 0 {
		ev.Opened = fromMicros(e.from).In(zone)
	}
	ev.End, ev.By, ev.Errno, ev.Sent, ev.Received = e.end, e.by, e.errno, e.sent, e.received
	ev.Counted = e.flags&counted != 0
	if kind.Ends() {
		ev.Closed, ev.Duration = ev.Time, time.Duration(e.duration)*time.Microsecond
	}
	if e.flags&hasTCP != 0 {
		*info = e.tcp()
		ev.Session.TCP = info
	}
	return true
}
