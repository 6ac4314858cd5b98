package ledger

import (
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// An Engine turns records and snapshots into events and keeps the live table.
// It knows no goroutine, no kernel, and no clock but the times given to it. Its
// user serialises the calls.
type Engine struct {
	book
	// KnownOnly: the ends of unknown sessions are not reported. Some sources
	// report every closed socket, connected or not.
	KnownOnly bool
	// connecting are the owners of connects under way when following began. No
	// record names them.
	connecting map[uint64]setID
	reconciler reconciler
	// scratch is the session of the current record.
	scratch entry
	records uint64
	// scans counts the looks at the kernel's flows.
	scans uint32
}

// New returns an engine with an empty table of at most so many sessions. emit
// gets the emitted events; the slice is used again.
func New(limit int, names *Names, want Want, emit func([]Event)) *Engine {
	g := &Engine{connecting: make(map[uint64]setID)}
	g.view = view{newTable(limit), newProcesses(names.describe), names}
	g.want, g.HealAfter = want, defaultHealAfter
	g.peers = peers{view: &g.view, shown: want.Needs.Has(whose.NeedPeer) || want.Late}
	g.outbox = outbox{clock: &g.clock, want: &g.want, peers: &g.peers, deliver: emit}
	g.pending.byID = make(map[uint64]*pendingAccept)
	g.reconciler = newReconciler(&g.book)
	return g
}

// HoldEvents makes the engine hold events until [Engine.Settle]. Otherwise it
// emits each at once.
func (g *Engine) HoldEvents() { g.outbox.holds = true }

// Settle emits the events until a time by the boot clock, in the order of their
// times.
func (g *Engine) Settle(until uint64) { g.outbox.settle(until, maxHeld) }

// Lose emits an event for lost ones.
func (g *Engine) Lose(l Loss, now time.Time, at uint64) { g.outbox.hold(LossOf(l, now, at)) }

// Pending returns the number of pending accepts.
func (g *Engine) Pending() int { return len(g.pending.byID) }

// Stats are counts of an engine.
type Stats struct {
	// Records that were applied.
	Records uint64
	// Sessions are the wanted ones in the table; Flows are of UDP.
	Sessions, Flows, Processes int
	// Lost counts the sessions without room in the table.
	Lost uint64
}

// Stats returns the counts by now.
func (g *Engine) Stats() Stats {
	return Stats{
		Records: g.records, Sessions: g.table.wanted, Flows: g.table.flows.Len() - g.table.streams,
		Processes: len(g.processes.byID), Lost: g.lost,
	}
}

// sweep forgets unreferenced processes and sets of owners. Nobody may have one
// in hand.
func (g *Engine) sweep() {
	g.processes.sweep(func(mark func(setID)) {
		g.table.each(func(_ place, e *entry) bool { mark(e.owners); return true })
		for _, w := range g.pending.queue {
			mark(w.entry.owners)
		}
		for _, l := range g.ceased.all {
			mark(l.owners)
		}
		for _, s := range g.reconciler.suspects {
			mark(s.owners)
		}
		for _, set := range g.connecting {
			mark(set)
		}
	})
}

// Apply applies a record.
func (g *Engine) Apply(r *bpfevent.Record) {
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
			g.tcpClose(r) // programs attached one after the other missed its opening
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

// wasOpen are the states of connections that were established before.
const wasOpen = whose.Set[whose.State](1<<whose.Established | 1<<whose.FinWait1 | 1<<whose.FinWait2 | 1<<whose.CloseWait |
	1<<whose.LastAck | 1<<whose.Closing | 1<<whose.TimeWait)

// entryOf returns the session of a record, without owners. It is valid until
// the next call.
func (g *Engine) entryOf(r *bpfevent.Record, state whose.State) *entry {
	e := &g.scratch
	*e = entry{
		cookie: r.Cookie, inode: r.Inode, cgroup: r.Cgroup, flow: r.Flow, opened: openedAt(r), uid: r.UID, mark: r.Mark,
		unknown: whose.FactRecvQueue | whose.FactSendQueue, // until a snapshot
	}
	e.Local, e.Remote, e.LocalPort, e.RemotePort = r.Local, r.Remote, r.LocalPort, r.RemotePort
	e.Proto, e.Family, e.State, e.V6Only = whose.Proto(r.Proto), whose.Family(r.Family), state, r.V6Only
	e.NetNS, e.Device = r.NetNS, r.Device
	e.exposure = e.Exposure()
	e.Device = uint32(g.names.device(r.NetNS, r.Device))
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

// openedAt returns the time when the session of a record began.
func openedAt(r *bpfevent.Record) uint64 {
	if r.Opened != 0 {
		return r.Opened
	}
	return r.Time
}

// ownersOf returns the owners named by a record.
func (g *Engine) ownersOf(r *bpfevent.Record) setID {
	if r.Queued {
		return 0
	}
	return g.taskSet(r)
}

// taskSet returns the set of the process of a record.
func (b *book) taskSet(r *bpfevent.Record) setID {
	return b.processes.ofTask(&r.Task, b.names.startTime)
}

// assignBy makes the process of a record the owner of a session without one.
func (g *Engine) assignBy(e *entry, r *bpfevent.Record) {
	switch {
	case e.owners != 0:
		return
	case r.Queued:
		g.endQueued(e, r)
		return
	}
	if set := g.ownersOf(r); set != 0 {
		g.names.meetBy(e.NetNS, r.Task.PID, g.table.netns[e.NetNS], g.now)
		g.assign(e, set)
		return
	}
	if set := g.connecting[r.Cookie]; set != 0 {
		g.assign(e, set)
		delete(g.connecting, r.Cookie)
		return
	}
	e.reason = whose.ReasonUnheld
	if r.Task.Start != 0 || r.Task.Comm[0] != 0 {
		e.reason = whose.ReasonHidden // a process of a pid namespace not below ours
	}
}
