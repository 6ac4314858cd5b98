package track

import (
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// An engine turns records and snapshots into events and keeps the live table.
// It knows no goroutine, no clock but what it is told, and no kernel: whoever
// uses it serialises the calls.
//
// engine.go: records of TCP; accept.go: connections that nobody accepted yet;
// datagram.go: UDP; merge.go: the first snapshot and later ones; tell.go and
// life.go: how an event is made; order.go: when it is given out; ends.go and
// halves.go: other ends.
type engine struct {
	// base is the wall clock at boot, in nanoseconds, began the boot clock when
	// following began.
	base  int64
	began uint64
	// now is the boot clock as of the record or snapshot at hand.
	now uint64

	table     *table
	processes *processes
	names     *names
	ended     recent
	// scratch is the session of the record at hand, asked the one that a filter
	// is asked about.
	scratch entry
	asked   whose.Session
	waits   waits
	// connecting are the owners of connects that were under way when following
	// began, which no record names.
	connecting map[uint64]setID

	want want
	// emit takes events that are given out; the slice is used again.
	emit func([]moment)
	// order holds what is not emitted yet, halves the ends whose other end may come.
	order  order
	halves halves

	// knownOnly tells that the end of a session that is not known is not told:
	// the source tells of every socket that is closed, connected or not.
	knownOnly bool

	records uint64
	losses  Losses
	passes  passes
	// healAfter is how long something has to be missing, or to be there without
	// having been told, before it is believed that its record was lost.
	healAfter uint64
	// flowScans counts the looks at the kernel's flows.
	flowScans uint32
}

// want is what the caller wants to be told.
type want struct {
	match    *filter.Matcher
	protos   whose.Set[whose.Proto]
	families whose.Set[whose.Family]
	netns    func(inode uint32, name string) bool
	kinds    whose.Set[whose.EventKind]
	needs    whose.Needs
	// late tells that the filter names what is only known when an event is given
	// out, so that it is asked of each event and not of the session.
	late bool
}

// everything reports whether every session is wanted.
func (w *want) everything() bool {
	return (w.match == nil || w.late) && w.protos == whose.AllProtos && w.families == whose.AllFamilies && w.netns == nil
}

func newEngine(limit int, n *names, w want, emit func([]moment)) *engine {
	g := &engine{table: newTable(limit), names: n, want: w, emit: emit, connecting: make(map[uint64]setID)}
	g.processes = newProcesses(g.names.describe)
	g.waits.byID = make(map[uint64]*wait)
	g.passes, g.healAfter = newPasses(), uint64(defaultHealAfter)
	return g
}

// sweep forgets processes and sets of owners that nothing refers to. Nobody may
// have one in hand.
func (g *engine) sweep() {
	g.processes.sweep(func(mark func(setID)) {
		g.table.each(func(_ place, e *entry) bool { mark(e.owners); return true })
		for _, w := range g.waits.queue {
			mark(w.entry.owners)
		}
		for _, s := range g.passes.suspects {
			mark(s.owners)
		}
		for _, set := range g.connecting {
			mark(set)
		}
	})
}

// apply does what a record says.
func (g *engine) apply(r *bpfevent.Record) {
	if g.processes.due(g.table.len()) {
		g.sweep()
	}
	g.records++
	g.now = max(g.now, r.Time)
	switch r.Kind {
	case bpfevent.TCPOpen:
		g.tcpOpen(r)
	case bpfevent.TCPAccept:
		g.tcpAccept(r)
	case bpfevent.TCPClose:
		g.tcpClose(r)
	case bpfevent.TCPFail:
		if wasOpen.Has(whose.State(r.OldState)) {
			g.tcpClose(r) // programs that were attached one after the other missed that it opened
		} else {
			g.tcpFail(r)
		}
	case bpfevent.TCPListen:
		g.tcpListen(r)
	case bpfevent.TCPUnlisten:
		g.tcpUnlisten(r)
	case bpfevent.UDPBind:
		g.udpBind(r)
	case bpfevent.UDPOpen:
		g.udpOpen(r)
	case bpfevent.UDPClose:
		g.udpClose(r)
	case bpfevent.ProcessSeen, bpfevent.ProcessExec:
		g.processes.learn(&r.Task, g.names.startTime(r.Task.Start), r.Text, r.Exe)
	}
}

// wasOpen are the states that only a connection that was established can be in.
const wasOpen = whose.Set[whose.State](1<<whose.Established | 1<<whose.FinWait1 | 1<<whose.FinWait2 | 1<<whose.CloseWait |
	1<<whose.LastAck | 1<<whose.Closing | 1<<whose.TimeWait)

// entryOf returns the session of a record, without owners, until the next call.
func (g *engine) entryOf(r *bpfevent.Record, state whose.State) *entry {
	e := &g.scratch
	*e = entry{
		cookie: r.Cookie, inode: r.Inode, cgroup: r.Cgroup, opened: openedAt(r), uid: r.UID, mark: r.Mark,
		unknown: whose.FactRecvQueue | whose.FactSendQueue, // until a snapshot tells
	}
	e.Local, e.Remote, e.LocalPort, e.RemotePort = r.Local, r.Remote, r.LocalPort, r.RemotePort
	e.Proto, e.Family, e.State, e.V6Only = whose.Proto(r.Proto), whose.Family(r.Family), state, r.V6Only
	e.NetNS, e.Device = r.NetNS, uint32(g.names.device(r.NetNS, r.Device))
	if e.sharesCookie() {
		e.flags |= isFlow
	}
	if state != whose.Listen && state != whose.Unconn {
		e.direction = whose.In
		if r.Out {
			e.direction = whose.Out
		}
	}
	return e
}

// sharesCookie reports whether the cookie alone does not tell a session apart:
// MPTCP makes the socket of a connection that comes in as a copy of its
// listener, cookie included (sk_clone_lock in net/core/sock.c).
func (e *entry) sharesCookie() bool { return e.Proto == whose.MPTCP && e.RemotePort != 0 }

// openedAt is when the session of a record began.
func openedAt(r *bpfevent.Record) uint64 {
	if r.Opened != 0 {
		return r.Opened
	}
	return r.Time
}

// ownersOf returns the owners that a record names.
func (g *engine) ownersOf(r *bpfevent.Record) setID {
	if r.Task.PID == 0 {
		return 0
	}
	return g.processes.ofTask(&r.Task, g.names.startTime)
}

// give makes the process of a record the owner of a session that has none.
func (g *engine) give(e *entry, r *bpfevent.Record) {
	if e.owners != 0 {
		return
	}
	if set := g.ownersOf(r); set != 0 {
		g.names.meetBy(e.NetNS, r.Task.PID, g.table.netns[e.NetNS], g.now)
		g.setOwners(e, set)
		return
	}
	if set := g.connecting[r.Cookie]; set != 0 {
		g.setOwners(e, set)
		delete(g.connecting, r.Cookie)
		return
	}
	e.reason = whose.ReasonUnheld
	if r.Task.Start != 0 || r.Task.Comm[0] != 0 {
		e.reason = whose.ReasonHidden // a process of a pid namespace that is not below ours
	}
}

// setOwners changes the owners of a session, in the table or not yet in it.
func (g *engine) setOwners(e *entry, set setID) {
	e.owners = set
	if set != 0 {
		e.reason = whose.ReasonNone
	}
	g.rematch(e)
}

// rematch finds anew whether a session meets the filter, after its facts have
// changed.
func (g *engine) rematch(e *entry) {
	if g.want.everything() {
		if !e.is(inUse) {
			e.flags |= wanted
		}
		return
	}
	meets := g.meets(e)
	if e.is(inUse) {
		g.table.change(e, func(e *entry) { e.setFlag(wanted, meets) })
	} else {
		e.setFlag(wanted, meets)
	}
}

func (e *entry) setFlag(f entryFlags, on bool) {
	if on {
		e.flags |= f
	} else {
		e.flags &^= f
	}
}

// insert puts a session into the table. Where there is no room it is told all
// the same, and remembered as told for as long as can be.
func (g *engine) insert(e *entry) place {
	g.names.meet(e)
	g.rematch(e)
	p, ok := g.table.add(e)
	if !ok {
		g.losses.Table++
		g.ended.add(e.endedID(), ^e.opened)
	}
	return p
}

// drop takes a session out of the table and remembers that it ended.
func (g *engine) drop(p place) {
	e := g.table.at(p)
	if w := g.waits.byID[e.endedID()]; w != nil && w.place == p {
		w.done = true
		delete(g.waits.byID, e.endedID())
	}
	g.ended.add(e.endedID(), e.opened)
	if e.is(linked) && g.showsPeers() {
		g.halves.add(e, g.shownOwners(e), g.now)
	}
	g.table.remove(p)
}

// endedID is the cookie or, where that does not tell a session apart, a hash of
// the cookie and the remote end.
func (e *entry) endedID() uint64 {
	if e.is(isFlow) {
		return e.flowKey().hash()
	}
	return e.cookie
}

// lookup finds the session of a record by its cookie or, where a snapshot did
// not know the cookie, by its ends.
func (g *engine) lookup(e *entry) (place, bool) {
	if p, ok := g.table.find(e); ok {
		return p, true
	}
	if len(g.table.ends) == 0 {
		return noPlace, false
	}
	nameless := *e
	nameless.cookie = 0
	return g.table.find(&nameless)
}

// tcpOpen: a connection was established. One that came in is told when it is
// known who accepted it.
func (g *engine) tcpOpen(r *bpfevent.Record) {
	e := g.entryOf(r, whose.Established)
	id := e.endedID()
	if g.ended.has(id, e.opened) || g.waits.byID[id] != nil {
		return // told twice
	}
	if e.Proto == whose.MPTCP && e.RemotePort == 0 {
		return // the kernel does not know its ends yet: a snapshot or its end will tell of it
	}
	if p, ok := g.lookup(e); ok {
		old := g.table.at(p)
		if old.sameEnds(e) {
			return // told twice, or by the snapshot
		}
		g.vanish(p, e.opened) // its end was lost, and the socket connected anew
	}
	if !r.Out && r.Task.PID == 0 {
		g.await(e, r.Time)
		return
	}
	g.give(e, r)
	g.open(e, e.opened)
}

func (e *entry) sameEnds(o *entry) bool {
	return e.LocalPort == o.LocalPort && e.RemotePort == o.RemotePort && e.Local == o.Local && e.Remote == o.Remote
}

// open puts a session into the table and tells of it.
func (g *engine) open(e *entry, at uint64) place {
	return g.enter(e, whose.EventOpen, at)
}

// enter puts a session into the table and tells of it.
func (g *engine) enter(e *entry, kind whose.EventKind, at uint64) place {
	e.flags |= told
	p := g.insert(e)
	if p == noPlace {
		g.tell(kind, e, at)
		return p
	}
	g.tell(kind, g.table.at(p), at)
	return p
}

// tcpAccept: a process accepted a connection.
func (g *engine) tcpAccept(r *bpfevent.Record) {
	e := g.entryOf(r, whose.Established)
	id := e.endedID()
	if w := g.waits.byID[id]; w != nil {
		g.acceptWaiting(w, r)
		return
	}
	if g.ended.has(id, e.opened) {
		return
	}
	p, ok := g.lookup(e)
	if !ok { // the record of its opening was lost
		if g.ended.has(id, ^e.opened) {
			return
		}
		e.direction = whose.In
		e.flags |= accepted
		g.give(e, r)
		g.open(e, e.opened)
		return
	}
	g.acceptKnown(g.table.at(p), r)
}

// acceptKnown: a connection that was told without the process that accepts it,
// or that stood in the accept queue when following began, has its owner.
func (g *engine) acceptKnown(e *entry, r *bpfevent.Record) {
	if e.is(accepted | handedOver) {
		return // told twice
	}
	e.flags |= accepted
	if e.inode == 0 && e.cookie != 0 {
		e.inode = r.Inode
	}
	set := g.ownersOf(r)
	if set == 0 || set == e.owners && e.reason == whose.ReasonNone {
		return
	}
	if e.owners != 0 && e.reason == whose.ReasonNone {
		return // the snapshot saw who holds it now, which is more
	}
	g.setOwners(e, set)
	g.tellIf(e.is(told), whose.EventOwned, e, r.Time)
}

// tcpClose: a connection ended. What the record knows and the session does
// not, its owner and its very opening, is told first.
func (g *engine) tcpClose(r *bpfevent.Record) {
	e := g.entryOf(r, whose.Established)
	id := e.endedID()
	if w := g.waits.byID[id]; w != nil {
		g.closeWaiting(w, r)
		return
	}
	if p, ok := g.lookup(e); ok {
		known := g.table.at(p)
		if known.State == whose.Listen { // a source that does not tell what it was
			g.tellGone(whose.EventUnlisten, known, r.Time)
			g.drop(p)
			return
		}
		if known.owners == 0 || known.reason == whose.ReasonAcceptQueue {
			g.ownAtEnd(known, r)
		}
		g.tellEnd(known, r)
		g.drop(p)
		g.ended.add(id, r.Opened)
		return
	}
	if g.ended.has(id, r.Opened) {
		return // told twice
	}
	g.ended.add(id, r.Opened)
	if !g.knownOnly {
		g.closeUnknown(e, r)
	}
}

// ownAtEnd gives a session its owner by the record of its end.
func (g *engine) ownAtEnd(e *entry, r *bpfevent.Record) {
	if set := g.ownersOf(r); set != 0 {
		g.setOwners(e, set)
	}
}

// closeUnknown: the end of a connection that is not in the table. Its opening
// was lost or never told apart, or it stood before and no snapshot has it, or
// the table had no room.
func (g *engine) closeUnknown(e *entry, r *bpfevent.Record) {
	whole := false
	switch {
	case r.Opened == 0 || r.Opened < g.began:
		g.stoodBefore(e, r)
	case g.ended.has(e.endedID(), ^r.Opened): // told, and no room in the table
		g.give(e, r)
	case !r.Out && !r.Accepted && r.Task.PID == 0:
		g.await(e, r.Time)
		if w := g.waits.byID[e.endedID()]; w != nil {
			g.closeWaiting(w, r)
		}
		return
	default:
		whole = true
		g.give(e, r)
	}
	g.names.meet(e)
	g.rematch(e)
	if whole {
		g.tellWhole(e, r)
	} else {
		g.tellEnd(e, r)
	}
}

// stoodBefore: a session is met first by its end. It stood before following
// began and was gone before the snapshot came to it, so that nobody knows whose
// it was; the direction is then told from who listens, as in a snapshot.
func (g *engine) stoodBefore(e *entry, r *bpfevent.Record) {
	e.flags |= since
	g.give(e, r)
	if e.owners == 0 && e.reason == whose.ReasonUnheld {
		e.reason = whose.ReasonRaced
	}
	// Without a time of its opening the record knows neither who connected nor
	// whether it was accepted.
	if !r.Out && r.Opened == 0 && g.table.listenerOf(e) == noPlace {
		e.direction = whose.Out
	}
}

// tcpFail: a connect did not come about.
func (g *engine) tcpFail(r *bpfevent.Record) {
	e := g.entryOf(r, whose.SynSent)
	if g.ended.has(e.endedID(), e.opened) {
		return
	}
	g.ended.add(e.endedID(), e.opened)
	e.direction = whose.Out
	g.give(e, r)
	g.names.meet(e)
	g.rematch(e)
	g.tellFail(e, r)
}

// listening is the second half of the identity of a socket that ceased to
// listen, among those that ended.
const listening = 1

// tcpListen: a socket began to listen.
func (g *engine) tcpListen(r *bpfevent.Record) {
	e := g.entryOf(r, whose.Listen)
	e.sendQueue, e.unknown = r.Backlog, whose.FactRecvQueue
	if p, ok := g.lookup(e); ok {
		old := g.table.at(p)
		old.unknown &^= whose.FactSendQueue
		old.sendQueue = r.Backlog // listen may be called again, for another backlog
		return
	}
	e.opened = r.Time
	g.ended.drop(r.Cookie, listening)
	g.give(e, r)
	g.enter(e, whose.EventListen, r.Time)
}

// tcpUnlisten: a socket ceased to listen.
func (g *engine) tcpUnlisten(r *bpfevent.Record) {
	e := g.entryOf(r, whose.Listen)
	if p, ok := g.lookup(e); ok {
		known := g.table.at(p)
		if known.State != whose.Listen {
			return // a record of another life of the socket
		}
		if known.owners == 0 {
			g.ownAtEnd(known, r)
		}
		g.tellGone(whose.EventUnlisten, known, r.Time)
		g.drop(p)
		g.ended.add(r.Cookie, listening)
		return
	}
	if g.ended.has(r.Cookie, listening) {
		return
	}
	g.ended.add(r.Cookie, listening)
	e.flags |= since | told
	g.give(e, r)
	g.names.meet(e)
	g.rematch(e)
	g.tellGone(whose.EventUnlisten, e, r.Time)
}

// defaultHealAfter is longer than a record is under way on any machine that
// still runs: nothing is in a hurry here.
const defaultHealAfter = 5 * time.Second

// miss notes that a session was not found where it should be, and reports
// whether that has been so for long enough.
func (g *engine) miss(e *entry) bool {
	if e.missed == 0 {
		e.missedAt = g.now
	}
	e.missed = min(e.missed+1, 2)
	return e.missed > 1 && g.now-e.missedAt >= g.healAfter
}

// vanish removes a session whose end nobody told.
func (g *engine) vanish(p place, at uint64) {
	e := g.table.at(p)
	switch e.State {
	case whose.Listen:
		g.tellGone(whose.EventUnlisten, e, at)
	case whose.Unconn: // no kind of event tells of it
	default:
		g.tellGone(whose.EventClose, e, at)
	}
	g.drop(p)
}
