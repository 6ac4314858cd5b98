package ledger

import (
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// An Engine turns records and snapshots into events and keeps the live table. It
// knows no goroutine, no clock but what it is told, and no kernel: whoever uses
// it serialises the calls.
type Engine struct {
	book
	// KnownOnly: the end of a session that is not known is not told. Some sources
	// tell of every socket that is closed, connected or not.
	KnownOnly bool
	// connecting are the owners of connects that were under way when following
	// began, which no record names.
	connecting map[uint64]setID
	reconciler reconciler
	// scratch is the session of the record at hand.
	scratch entry
	records uint64
	// scans counts the looks at the kernel's flows.
	scans uint32
}

// New returns an engine with an empty table of at most so many sessions. emit
// gets the events that are given out; the slice is used again.
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

// HoldEvents has events held until Settle. Else each is given out at once.
func (g *Engine) HoldEvents() { g.outbox.holds = true }

// Settle gives out the events until a time by the boot clock, in the order of
// their times.
func (g *Engine) Settle(until uint64) { g.outbox.settle(until, maxHeld) }

// Lose has it told that events were lost.
func (g *Engine) Lose(l Loss, now time.Time, at uint64) { g.outbox.hold(LossOf(l, now, at)) }

// Pending returns how many connections wait for the process that accepts them.
func (g *Engine) Pending() int { return len(g.pending.byID) }

// Stats are counts of an engine.
type Stats struct {
	// Records that were applied.
	Records uint64
	// Sessions in the table that are wanted, UDP flows and processes.
	Sessions, Flows, Processes int
	// Lost counts the sessions that found no room in the table.
	Lost uint64
}

// Stats returns the counts by now.
func (g *Engine) Stats() Stats {
	return Stats{
		Records: g.records, Sessions: g.table.wanted, Flows: len(g.table.flows) - g.table.streams,
		Processes: len(g.processes.byID), Lost: g.lost,
	}
}

// sweep forgets processes and sets of owners that nothing refers to. Nobody may
// have one in hand.
func (g *Engine) sweep() {
	g.processes.sweep(func(mark func(setID)) {
		g.table.each(func(_ place, e *entry) bool { mark(e.owners); return true })
		for _, w := range g.pending.queue {
			mark(w.entry.owners)
		}
		for _, s := range g.reconciler.suspects {
			mark(s.owners)
		}
		for _, set := range g.connecting {
			mark(set)
		}
	})
}

// Apply does what a record says.
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
func (g *Engine) entryOf(r *bpfevent.Record, state whose.State) *entry {
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

// openedAt is when the session of a record began.
func openedAt(r *bpfevent.Record) uint64 {
	if r.Opened != 0 {
		return r.Opened
	}
	return r.Time
}

// ownersOf returns the owners that a record names.
func (g *Engine) ownersOf(r *bpfevent.Record) setID {
	if r.Task.PID == 0 {
		return 0
	}
	return g.processes.ofTask(&r.Task, g.names.startTime)
}

// assignBy makes the process of a record the owner of a session that has none.
func (g *Engine) assignBy(e *entry, r *bpfevent.Record) {
	if e.owners != 0 {
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
		e.reason = whose.ReasonHidden // a process of a pid namespace that is not below ours
	}
}
