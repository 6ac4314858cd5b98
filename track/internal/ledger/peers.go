package ledger

import (
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
)

// peers finds the peer of a session, where the peer is a session of this host
// too: in the table, or among the recent ends.
type peers struct {
	*view
	recent recentEnds
	// shown: somebody wants to know the peers.
	shown bool
}

// sameOpening is less than the time between two connections with the same ends,
// and more than the time between the two ends of one on this host, in
// nanoseconds.
const sameOpening = uint64(5 * time.Millisecond)

// An otherEnd is the peer of a session: in the table, or gone from it.
type otherEnd struct {
	entry *entry
	gone  uint32 // its place among the recent ends plus one
}

// other finds the peer of a session; the session itself is in the table or not.
func (p *peers) other(e *entry) otherEnd {
	f := otherEnd{entry: p.table.other(e), gone: p.recent.other(e)}
	if f.entry != nil && f.gone != 0 {
		if h := p.recent.at(f.gone); e.Nearer(e.opened, h.NetNS, h.opened, f.entry.NetNS, f.entry.opened) {
			f.entry = nil
		} else {
			f.gone = 0
		}
	}
	return f
}

// ownersOf returns the owners of the peer and the time it opened, false where
// there is no peer. The peer may be a pending accept itself.
func (p *peers) ownersOf(f otherEnd) (owners []whose.Owner, opened uint64, found bool) {
	switch {
	case f.entry != nil:
		return p.view.owners(f.entry), f.entry.opened, true
	case f.gone != 0:
		h := p.recent.at(f.gone)
		return h.owners, h.opened, true
	}
	return nil, 0, false
}

// of returns the owners of a session's peer, nil if the peer is not on this
// host.
func (p *peers) of(e *entry) []whose.Owner {
	owners, _, found := p.ownersOf(p.other(e))
	if !found {
		return p.serverOf(e)
	}
	return owners
}

// serverOf returns the owners of the socket that takes the datagrams of a connected
// one, nil if none is known.
func (p *peers) serverOf(e *entry) []whose.Owner {
	end, here := e.Served()
	if !here {
		return nil
	}
	owners, _ := p.view.ownersAmong(&entry{End: end}, func(*entry) bool { return true })
	return owners
}

// face fills in the peer for an event of a session in the table, if the peer is
// known by now. A peer that opened at another time may belong to an earlier
// connection. Then the peer is looked for when the event is emitted.
func (p *peers) face(l *lifetime) {
	if !p.shown || l.entry.RemotePort == 0 {
		return
	}
	f := p.other(&l.entry)
	owners, opened, found := p.ownersOf(f)
	if !found || owners == nil || pair.Apart(opened, l.entry.opened) > sameOpening {
		l.seek = true
		return
	}
	l.peer = owners
	p.recent.assign(f.gone, l.owners)
}

// meet brings the end of a session known whole together with its peer. Both
// know each other from then on, and if both are gone neither is needed any
// more. l is the content of its events, nil for none.
func (p *peers) meet(e *entry, l *lifetime, now uint64) {
	if !p.shown || e.RemotePort == 0 {
		return
	}
	f := p.other(e)
	peer, opened, found := p.ownersOf(f)
	if l != nil {
		if l.peer = peer; !found {
			l.peer = p.serverOf(e)
		}
	}
	owners := p.owners(e)
	if f.gone != 0 && pair.Apart(opened, e.opened) <= sameOpening {
		p.recent.assign(f.gone, owners)
		p.recent.remove(f.gone)
		return
	}
	at := p.recent.add(e, owners, now)
	if l != nil && (!found || pair.Apart(opened, e.opened) > sameOpening) {
		p.recent.await(at, l)
	}
}
