package ledger

import (
	"iter"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
)

// This file reconciles snapshots and records. With the first snapshot nothing
// is missed or reported twice between it and the records. Later ones correct
// owners and find losses. Where no records report opens, snapshots find them.

// LivingStates are the states of the sessions in the table. Connections being
// set up are reported when they open or fail. TIME_WAIT is the kernel's
// remainder of an ended connection.
var LivingStates = whose.SetOf(whose.Established, whose.FinWait1, whose.FinWait2, whose.CloseWait,
	whose.LastAck, whose.Closing, whose.Listen, whose.Unconn)

// Lives reports whether the table holds such a session of a snapshot. The further
// subflows of an MPTCP session are not sessions of the table. For a
// connection in FIN_WAIT2 without a file, the kernel may keep no more than for
// one in TIME_WAIT.
func Lives(s *whose.Session) bool {
	return !s.Subflow && LivingStates.Has(s.State) && (s.State != whose.FinWait2 || s.Inode != 0)
}

// A reconciler brings the table in line with snapshots. It keeps its notes from
// one to the next.
type reconciler struct {
	*book
	number uint32
	// at is the time when the current snapshot began, by the boot clock.
	at uint64
	// suspects are sessions whose owners differed in the last snapshot. If the
	// next one agrees, the owners change. A process that forks to execute a
	// program has all its sessions twice for a moment.
	suspects map[place]suspect
	// strangers are sessions of the last snapshot without an entry in the table.
	// Their record may be under way; if they stay, it was lost.
	strangers map[strangerID]stranger
	// netns are the namespaces with sessions in the current snapshot.
	netns map[uint32]bool
}

func newReconciler(b *book) reconciler {
	return reconciler{
		book: b, number: 1, suspects: make(map[place]suspect),
		strangers: make(map[strangerID]stranger), netns: make(map[uint32]bool),
	}
}

// entryFrom makes an entry of a session of a snapshot, without owners.
func (c *reconciler) entryFrom(s *whose.Session, opened uint64) entry {
	e := entry{
		End: pair.Of(s), cookie: s.Cookie, inode: s.Inode, flow: s.Flow, opened: opened, uid: s.UID, mark: s.Mark,
		recvQueue: s.RecvQueue, sendQueue: s.SendQueue, direction: s.Direction, unknown: s.Unknown,
		exposure: s.Exposure,
	}
	e.Device = uint32(c.names.deviceNamed(s.NetNS, s.BoundDev))
	if e.cookie != 0 && (e.sharesCookie() || s.Proto.IsDatagram() && e.RemotePort != 0) {
		e.flags |= isFlow
	}
	if s.NetNSName != "" {
		c.names.learn(s.NetNS, s.NetNSName)
	}
	return e
}

// apply gives an entry the owners of a snapshot, or the reason for none.
func (c *reconciler) apply(e *entry, s *whose.Session) {
	set := c.processes.setOf(s.Owners)
	e.owners, e.reason = set, s.Reason
	c.rematch(e)
}

type suspect struct {
	cookie uint64
	owners setID
	reason whose.Reason
	pass   uint32
}

// A stranger is in the snapshots from first to pass.
type stranger struct {
	first uint64 // by the boot clock
	pass  uint32
}

type strangerID struct {
	endsKey
	cookie uint64
}

// maxStrangers bounds the strangers kept from a snapshot.
const maxStrangers = 1 << 16

// A Snapshot is any snapshot after the first.
type Snapshot struct {
	// Sessions are its sessions. One and its lists are valid until the next.
	Sessions iter.Seq[*whose.Session]
	// Began is the time when it began, by the boot clock: newer sessions may be
	// absent.
	Began uint64
	// Whole: a session absent from it is really absent.
	Whole bool
	// Everywhere: no network namespace was out of its reach.
	Everywhere bool
	// Alone: no records report opens. A new session in it opened, and a missing
	// one has closed.
	Alone bool
}

// Reconcile brings the table in line with a later snapshot. It reports whether
// the next one has to confirm something, and so had better come soon.
func (g *Engine) Reconcile(l *Snapshot, now uint64) (unsure bool) {
	if g.processes.due(g.table.len()) {
		g.sweep()
	}
	g.outbox.batch(func() { unsure = g.reconciler.compare(l, now) })
	return unsure
}

func (c *reconciler) compare(l *Snapshot, now uint64) (unsure bool) {
	c.now = max(c.now, now)
	c.number, c.at = c.number+1, l.Began
	clear(c.netns)
	for s := range l.Sessions {
		c.netns[s.NetNS] = true
		if !Lives(s) {
			continue
		}
		e := c.entryFrom(s, now)
		p, ok := c.lookup(&e)
		if ok && replaced(c.table.at(p), &e) {
			c.vanish(p, c.now)
			ok = false
		}
		if ok {
			c.refresh(p, &e, s)
		} else {
			c.meetStranger(&e, s, l.Alone)
		}
	}
	if l.Whole {
		c.missing(l)
	}
	return c.end()
}

// replaced reports whether an entry of unknown cookie is another session than
// the one of the snapshot with the same ends.
func replaced(old, e *entry) bool {
	return old.cookie == 0 && old.inode != 0 && e.inode != 0 && old.inode != e.inode
}

// refresh brings a known session up to date.
func (c *reconciler) refresh(p place, e *entry, s *whose.Session) {
	old := c.table.at(p)
	old.pass, old.missed = c.number, 0
	old.learn(e)
	if e.inode != 0 || s.Reason == whose.ReasonOrphan { // an orphan has lost its inode
		old.inode = e.inode
	}
	c.names.sameDevice(&old.Device, e.Device)
	if old.State != e.State && old.State != whose.Listen && e.State != whose.Listen {
		c.table.change(old, func(o *entry) { o.State = e.State })
	}
	if !old.is(told) && c.pending.byID[old.endedID()] != nil {
		return // it waits for the process that accepts it
	}
	if s.Reason == whose.ReasonNone && len(s.Owners) > 0 || disowned(old, s) {
		c.compareOwners(p, old, s)
	}
}

// disowned reports whether a snapshot knows that nobody holds a session. A
// hidden owner does not contradict the one who opened the session, and "unheld"
// is weaker than another reason.
func disowned(old *entry, s *whose.Session) bool {
	switch s.Reason {
	case whose.ReasonOrphan, whose.ReasonKernel, whose.ReasonInFlight:
		return true
	case whose.ReasonUnheld:
		return old.reason == whose.ReasonNone || old.reason == whose.ReasonAcceptQueue
	}
	return false
}

// compareOwners corrects the owners of a session, or its reason for none, where
// two snapshots agree. Without a known owner one snapshot is enough.
func (c *reconciler) compareOwners(p place, old *entry, s *whose.Session) {
	set := c.processes.setOf(s.Owners)
	if set == old.owners && old.reason == s.Reason {
		return
	}
	before, met := c.suspects[p]
	known := old.owners != 0 && old.reason == whose.ReasonNone
	if known && (!met || before.cookie != old.cookie || before.owners != set || before.reason != s.Reason) {
		c.suspects[p] = suspect{old.cookie, set, s.Reason, c.number}
		return
	}
	old.reason = s.Reason
	if set == 0 { // the filter applies to its former owners until it ends
		old.owners = 0
	} else {
		c.assign(old, set)
	}
	old.flags |= handedOver
	// They were seen after the snapshot began, and before the session's end.
	c.outbox.emitIf(old.is(told), whose.EventOwned, old, max(c.at, old.opened))
}

// meetStranger: a snapshot has a session and the table does not.
func (c *reconciler) meetStranger(e *entry, s *whose.Session, alone bool) {
	if e.cookie != 0 && c.ended.has(e.endedID(), 0) {
		return // it ended while the snapshot was taken
	}
	if !alone && !c.confirmed(e) {
		return
	}
	e.pass = c.number
	c.apply(e, s)
	if !e.is(wanted) {
		return // the next snapshot brings it again: its owners may change
	}
	switch {
	case e.State == whose.Listen:
		c.enter(e, whose.EventListen, c.now)
	case !e.Proto.IsDatagram():
		c.open(e, c.now)
	case !alone:
		c.insert(e) // it has no datagram yet, or no process bound it on purpose
	case e.State == whose.Unconn:
		c.enter(e, whose.EventBind, c.now)
	default:
		c.open(e, c.now)
	}
}

// confirmed reports whether snapshots have had the stranger for long enough,
// and notes it for this one.
func (c *reconciler) confirmed(e *entry) bool {
	id := strangerID{e.endsKey(), e.cookie}
	met, again := c.strangers[id]
	switch {
	case !again && len(c.strangers) >= maxStrangers:
		return false
	case !again:
		met.first = c.now
	case c.now-met.first >= uint64(c.HealAfter):
		delete(c.strangers, id)
		return true
	}
	met.pass = c.number
	c.strangers[id] = met
	return false
}

// missing ends the sessions of the table that are absent from the snapshot: at
// once where only snapshots report, otherwise when they are missing for the
// second time.
func (c *reconciler) missing(l *Snapshot) {
	c.table.each(func(p place, e *entry) bool {
		if e.pass == c.number || e.opened >= l.Began || !c.couldSee(e, l) {
			return true
		}
		if l.Alone || c.miss(e) {
			if w := c.pending.byID[e.endedID()]; w != nil && !e.is(told) {
				return true // it is a pending accept and has its turn
			}
			c.vanish(p, c.now)
		}
		return true
	})
}

// couldSee reports whether a snapshot would have the session if it existed: not
// a flow of an unconnected socket, and nothing in a namespace out of its reach. One
// that is gone is none of these: nobody reports that its sockets are gone with it.
func (c *reconciler) couldSee(e *entry, l *Snapshot) bool {
	if e.is(counted) {
		return false
	}
	return e.pass != 0 || l.Everywhere || c.netns[e.NetNS]
}

// end forgets the unconfirmed suspects and strangers.
func (c *reconciler) end() (unsure bool) {
	for p, s := range c.suspects {
		if s.pass != c.number {
			delete(c.suspects, p)
		}
	}
	for id, met := range c.strangers {
		if met.pass != c.number {
			delete(c.strangers, id)
		}
	}
	return len(c.suspects) > 0
}
