package track

import (
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// This file brings snapshots and records together: the first snapshot, so that
// nothing is missed or told twice between it and the records; later ones, to
// correct owners and to find what was lost; and, where no records tell of
// opens, to find these.

// livingStates are those of sessions that the table holds. What is being set
// up is told when it is; TIME_WAIT is what the kernel keeps of a connection
// that has ended.
var livingStates = whose.SetOf(whose.Established, whose.FinWait1, whose.FinWait2, whose.CloseWait,
	whose.LastAck, whose.Closing, whose.Listen, whose.Unconn)

// lives reports whether a session of a snapshot is one that the table holds.
// Of a connection in FIN_WAIT2 that no file refers to, the kernel may keep no
// more than of one in TIME_WAIT.
func lives(s *whose.Session) bool {
	return livingStates.Has(s.State) && (s.State != whose.FinWait2 || s.Inode != 0)
}

// opening is what the records that came during the first snapshot open: the
// snapshot may have it too, and is then not believed.
type opening struct {
	sockets map[uint64]bool
	flows   map[flowKey]bool
}

// openingOf finds what the records open, or tell whole, since following began.
func openingOf(records []bpfevent.Record, began uint64) opening {
	o := opening{sockets: make(map[uint64]bool), flows: make(map[flowKey]bool)}
	for i := range records {
		r := &records[i]
		switch r.Kind {
		case bpfevent.TCPOpen:
			o.add(r)
		case bpfevent.TCPListen, bpfevent.UDPBind:
			o.sockets[r.Cookie] = true
		case bpfevent.TCPClose:
			if r.Opened >= began {
				o.add(r)
			}
		case bpfevent.UDPOpen:
			o.flows[flowKey{r.Cookie, r.Remote, r.RemotePort}] = true
		}
	}
	return o
}

// add notes a connection that a record opens.
func (o *opening) add(r *bpfevent.Record) {
	if whose.Proto(r.Proto) == whose.MPTCP {
		o.flows[flowKey{r.Cookie, r.Remote, r.RemotePort}] = true
	} else {
		o.sockets[r.Cookie] = true
	}
}

func (o *opening) has(e *entry) bool {
	if e.is(isFlow) {
		return o.flows[e.flowKey()]
	}
	return e.cookie != 0 && o.sockets[e.cookie]
}

// begin fills the table with what stood when following began, and then applies
// the records that came meanwhile. It returns the sessions that are to be told
// as standing, in the memory of the snapshot.
func (g *engine) begin(snapshot []whose.Session, meanwhile []bpfevent.Record) []whose.Session {
	g.table.expect(len(snapshot))
	news := openingOf(meanwhile, g.began)
	standing := snapshot[:0]
	for i := range snapshot {
		s := &snapshot[i]
		if s.State == whose.SynSent && s.Cookie != 0 {
			if set := g.processes.setOf(s.Owners); set != 0 {
				g.connecting[s.Cookie] = set
			}
		}
		if !lives(s) {
			continue
		}
		e := g.entryFrom(s, g.began)
		if news.has(&e) {
			continue
		}
		if _, met := g.lookup(&e); met {
			continue
		}
		e.flags |= since | told
		e.pass = g.passes.number
		g.take(&e, s)
		g.insert(&e)
		if e.is(wanted) {
			standing = append(standing, *s)
		}
	}
	standing = g.facing(standing)
	g.together(func() {
		for i := range meanwhile {
			g.apply(&meanwhile[i])
		}
	})
	return standing
}

// facing gives the sessions of the first snapshot the owners of their other
// ends, and leaves out those that do not meet a filter that asks for these.
func (g *engine) facing(standing []whose.Session) []whose.Session {
	if !g.want.needs.Has(whose.NeedPeer) && !g.want.late {
		return standing
	}
	kept := standing[:0]
	for i := range standing {
		s := &standing[i]
		e := entry{End: endOf(s), opened: g.began}
		s.Peer = g.peerOf(&e)
		stood := whose.Event{
			Time: time.Unix(0, g.base+int64(g.began)), Kind: whose.EventStanding,
			Lifetime: whose.Lifetime{StoodBefore: true}, Session: *s,
		}
		if !g.want.late || g.want.match.MatchEvent(&stood) {
			kept = append(kept, *s)
		}
	}
	return kept
}

// entryFrom makes an entry of a session of a snapshot, without owners.
func (g *engine) entryFrom(s *whose.Session, opened uint64) entry {
	e := entry{
		End: endOf(s), cookie: s.Cookie, inode: s.Inode, opened: opened, uid: s.UID, mark: s.Mark,
		recvQueue: s.RecvQueue, sendQueue: s.SendQueue, direction: s.Direction, unknown: s.Unknown,
	}
	e.Device = uint32(g.names.deviceNamed(s.NetNS, s.BoundDev))
	if e.cookie != 0 && (e.sharesCookie() || pair.IsDatagram(s.Proto) && e.RemotePort != 0) {
		e.flags |= isFlow
	}
	if s.NetNSName != "" {
		g.names.learn(s.NetNS, s.NetNSName)
	}
	return e
}

// endOf returns the ends of a session, without its device.
func endOf(s *whose.Session) pair.End {
	return pair.End{
		Local: pair.Mapped(s.Local.Addr(), s.Family), Remote: pair.Mapped(s.Remote.Addr(), s.Family),
		LocalPort: s.Local.Port(), RemotePort: s.Remote.Port(), NetNS: s.NetNS,
		Proto: s.Proto, Family: s.Family, State: s.State, V6Only: s.V6Only,
	}
}

// take gives an entry the owners that a snapshot knows, or the reason for none.
func (g *engine) take(e *entry, s *whose.Session) {
	set := g.processes.setOf(s.Owners)
	e.owners, e.reason = set, s.Reason
	g.rematch(e)
}

// passes is what is kept from one snapshot to the next.
type passes struct {
	number uint32
	// began is when the snapshot at hand was begun, by the boot clock.
	began uint64
	// suspects are sessions whose owners were others in the last snapshot: if
	// the next one agrees, they are. A process that forks to execute a program
	// has all its sessions twice for a moment.
	suspects map[place]suspect
	// strangers are sessions that the last snapshot had and the table had not.
	// Their record may be under way; if they stay, it was lost.
	strangers map[strangerID]stranger
	// netns are the namespaces that the snapshot at hand had sessions of.
	netns map[uint32]bool
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

// maxStrangers bounds what is kept of a snapshot that the table knows nothing of.
const maxStrangers = 1 << 16

func newPasses() passes {
	return passes{
		number: 1, suspects: make(map[place]suspect),
		strangers: make(map[strangerID]stranger), netns: make(map[uint32]bool),
	}
}

// A later is a snapshot that was taken after the first.
type later struct {
	sessions []whose.Session
	// began is when it was begun, by the boot clock: what is newer need not be in it.
	began uint64
	// whole tells that it may be believed where a session is not in it.
	whole bool
	// alone tells that snapshots alone tell of opens: what is new in it opened,
	// and what is not in it has closed.
	alone bool
}

// reconcile brings the table in line with a later snapshot. It reports whether
// something was seen that the next one has to confirm, so that it had better
// come soon.
func (g *engine) reconcile(l *later, now uint64) (unsure bool) {
	g.together(func() { unsure = g.compare(l, now) })
	return unsure
}

func (g *engine) compare(l *later, now uint64) (unsure bool) {
	if g.processes.due(g.table.len()) {
		g.sweep()
	}
	g.now = max(g.now, now)
	g.passes.number, g.passes.began = g.passes.number+1, l.began
	clear(g.passes.netns)
	for i := range l.sessions {
		s := &l.sessions[i]
		g.passes.netns[s.NetNS] = true
		if !lives(s) {
			continue
		}
		e := g.entryFrom(s, now)
		p, ok := g.lookup(&e)
		if ok && replaced(g.table.at(p), &e) {
			g.vanish(p, g.now)
			ok = false
		}
		if ok {
			g.refresh(p, &e, s)
		} else {
			g.meetStranger(&e, s, l.alone)
		}
	}
	if l.whole {
		g.missing(l)
	}
	return g.endPass()
}

// replaced reports whether an entry whose cookie is not known is another
// session than the one of the snapshot with the same ends.
func replaced(old, e *entry) bool {
	return old.cookie == 0 && old.inode != 0 && e.inode != 0 && old.inode != e.inode
}

// refresh brings a known session up to date.
func (g *engine) refresh(p place, e *entry, s *whose.Session) {
	old := g.table.at(p)
	old.pass, old.missed = g.passes.number, 0
	old.learn(e)
	if e.inode != 0 {
		old.inode = e.inode
	}
	g.names.sameDevice(&old.Device, e.Device)
	if old.State != e.State && old.State != whose.Listen && e.State != whose.Listen {
		g.table.change(old, func(o *entry) { o.State = e.State })
	}
	if !old.is(told) && g.waits.byID[old.endedID()] != nil {
		return // it waits for the process that accepts it
	}
	if s.Reason == whose.ReasonNone && len(s.Owners) > 0 || disowned(old, s) {
		g.compareOwners(p, old, s)
	}
}

// learn takes over what a snapshot tells of facts that change, or that were not
// known.
func (e *entry) learn(news *entry) {
	e.recvQueue = news.recvQueue
	if !news.unknown.Has(whose.FactSendQueue) {
		e.sendQueue = news.sendQueue
	}
	if e.unknown.Has(whose.FactUID) {
		e.uid = news.uid
	}
	if e.unknown.Has(whose.FactV6Only) {
		e.V6Only = news.V6Only
	}
	e.unknown &= news.unknown
}

// disowned reports whether a snapshot knows that nobody holds a session. That
// an owner is hidden says nothing against the one who opened it, and that a
// session is unheld says less than another reason.
func disowned(old *entry, s *whose.Session) bool {
	switch s.Reason {
	case whose.ReasonOrphan, whose.ReasonKernel, whose.ReasonInFlight:
		return true
	case whose.ReasonUnheld:
		return old.reason == whose.ReasonNone || old.reason == whose.ReasonAcceptQueue
	}
	return false
}

// compareOwners corrects the owners of a session, or the reason why it has
// none, where two snapshots agree. Where no owner was known the first one will do.
func (g *engine) compareOwners(p place, old *entry, s *whose.Session) {
	set := g.processes.setOf(s.Owners)
	if set == old.owners && old.reason == s.Reason {
		return
	}
	before, met := g.passes.suspects[p]
	known := old.owners != 0 && old.reason == whose.ReasonNone
	if known && (!met || before.cookie != old.cookie || before.owners != set || before.reason != s.Reason) {
		g.passes.suspects[p] = suspect{old.cookie, set, s.Reason, g.passes.number}
		return
	}
	old.reason = s.Reason
	if set == 0 { // whose it was is wanted until it ends
		old.owners = 0
	} else {
		g.setOwners(old, set)
	}
	old.flags |= handedOver
	// They were seen after the snapshot began, and before the session's end.
	g.tellIf(old.is(told), whose.EventOwned, old, max(g.passes.began, old.opened))
}

// meetStranger: a snapshot has a session that the table has not.
func (g *engine) meetStranger(e *entry, s *whose.Session, alone bool) {
	if e.cookie != 0 && g.ended.has(e.endedID(), 0) {
		return // it ended while the snapshot was taken
	}
	if !alone && !g.confirmed(e) {
		return
	}
	e.pass = g.passes.number
	g.take(e, s)
	if !e.is(wanted) {
		return // it will be looked at again: its owners may become others
	}
	switch {
	case e.State == whose.Listen:
		g.enter(e, whose.EventListen, g.now)
	case !pair.IsDatagram(e.Proto):
		g.open(e, g.now)
	case !alone:
		g.insert(e) // it has no datagram yet, or no process bound it on purpose
	case e.State == whose.Unconn:
		g.enter(e, whose.EventBind, g.now)
	default:
		g.open(e, g.now)
	}
}

// confirmed reports whether snapshots have had the stranger for long enough,
// and notes that this one has.
func (g *engine) confirmed(e *entry) bool {
	id := strangerID{e.endsKey(), e.cookie}
	met, again := g.passes.strangers[id]
	switch {
	case !again && len(g.passes.strangers) >= maxStrangers:
		return false
	case !again:
		met.first = g.now
	case g.now-met.first >= g.healAfter:
		delete(g.passes.strangers, id)
		return true
	}
	met.pass = g.passes.number
	g.passes.strangers[id] = met
	return false
}

// missing ends what the table has and the snapshot has not: at once where
// snapshots alone tell, else when it is missing for the second time.
func (g *engine) missing(l *later) {
	g.table.each(func(p place, e *entry) bool {
		if e.pass == g.passes.number || e.opened >= l.began || !g.couldSee(e) {
			return true
		}
		if l.alone || g.miss(e) {
			if w := g.waits.byID[e.endedID()]; w != nil && !e.is(told) {
				return true // its turn comes
			}
			g.vanish(p, g.now)
		}
		return true
	})
}

// couldSee reports whether a snapshot would have the session if it were there:
// not a flow of a socket that is not connected, and nothing in a namespace
// that snapshots do not reach.
func (g *engine) couldSee(e *entry) bool {
	if e.is(counted) {
		return false
	}
	return e.pass != 0 || g.passes.netns[e.NetNS]
}

// endPass forgets what was to be confirmed and was not.
func (g *engine) endPass() (unsure bool) {
	for p, s := range g.passes.suspects {
		if s.pass != g.passes.number {
			delete(g.passes.suspects, p)
		}
	}
	for id, met := range g.passes.strangers {
		if met.pass != g.passes.number {
			delete(g.passes.strangers, id)
		}
	}
	return len(g.passes.suspects) > 0
}
