package sockdiag

import (
	"cmp"
	"slices"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/netlink"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// fewSockets is up to how many TCP sockets of a namespace it is worth looking
// whether all of them are listeners.
const fewSockets = 256

// tcp reads the TCP and MPTCP sockets of a namespace.
//
// The subflows of an MPTCP socket are TCP sockets in the same tables and have its
// inode. By this the first is dropped, and the others are marked. MPTCP sockets
// are therefore read in every state, before the TCP sockets and once more after
// them: one made in between must not leave its subflows behind as TCP.
func (l *lane) tcp() {
	q := l.p.q
	states := kernelTCPStates(q.States)
	wantTCP, wantMPTCP := q.Protos.Has(whose.TCP), q.Protos.Has(whose.MPTCP)
	wantSubflows := wantMPTCP && l.lane == laneTCP
	if states == 0 || !wantTCP && !wantMPTCP {
		return
	}
	mp := &l.w.mptcp
	mp.truncate(mark{})
	l.mptcp(mp)
	begin := len(l.w.out.sockets)
	if wantTCP || wantSubflows && len(mp.sockets) > 0 {
		l.dumpStates(states)
	}
	if len(mp.sockets) > 0 {
		l.mptcp(mp)
		mp.sockets = once(mp.sockets)
		found := markSubflows(l.w.out.sockets[begin:], mp.sockets)
		found = slices.DeleteFunc(found, func(s source.Socket) bool { return !q.Protos.Has(s.Proto) })
		l.w.out.sockets = append(l.w.out.sockets[:begin], found...)
	}
	if wantMPTCP && l.lane == laneTCP {
		l.addMPTCP(mp.sockets)
	}
}

// mptcp reads all MPTCP sockets there are.
func (l *lane) mptcp(out *rows) {
	states := kernelTCPStates(whose.AllStates)
	l.eachFamily(whose.MPTCP, whose.AllFamilies, func(family uint8) bool {
		r := request{proto: netlink.ProtoMPTCP, family: family, states: states}
		d := dump{proto: whose.MPTCP, families: whose.AllFamilies, states: whose.AllStates}
		return l.report(l.ask(&r, &d, out), &d)
	})
}

// addMPTCP adds the wanted MPTCP sockets to the rows.
func (l *lane) addMPTCP(sockets []source.Socket) {
	d := dump{families: l.p.q.Families, states: l.p.q.States}
	for i := range sockets {
		s := &sockets[i]
		if !d.wanted(s) {
			continue
		}
		l.w.out.sockets = append(l.w.out.sockets, *s)
		if s.Device != 0 {
			l.w.out.device(source.Device{NetNS: s.NetNS, Index: s.Device})
		}
	}
}

// once sorts sockets by cookies and tuples and keeps the first row of each.
func once(sockets []source.Socket) []source.Socket {
	slices.SortStableFunc(sockets, func(a, b source.Socket) int {
		return cmp.Or(cmp.Compare(a.Cookie, b.Cookie), tupleOf(&a).compare(tupleOf(&b)))
	})
	return slices.CompactFunc(sockets, func(a, b source.Socket) bool { return sameSocket(&a, &b) })
}

// markSubflows removes from tcp the first subflows of the MPTCP sockets, which
// have the session's addresses and ports, and makes the others subflows. These
// are known by their inode, so those of a session without an open file stay TCP.
func markSubflows(tcp, mptcp []source.Socket) []source.Socket {
	inodes := make(map[uint64]struct{}, len(mptcp))
	firsts := make(map[tuple]struct{}, len(mptcp))
	for i := range mptcp {
		s := &mptcp[i]
		firsts[tupleOf(s)] = struct{}{}
		if s.Inode != 0 {
			inodes[s.Inode] = struct{}{}
		}
	}
	kept := tcp[:0]
	for _, s := range tcp {
		_, has := inodes[s.Inode]
		_, first := firsts[tupleOf(&s)]
		if first && (has || s.Inode == 0) {
			continue
		}
		if has {
			s.Proto = whose.MPTCP
			s.Flags |= source.SocketSubflow
		}
		kept = append(kept, s)
	}
	return kept
}

// dumpStates reads the TCP sockets in the given kernel states, subflows of MPTCP
// among them.
func (l *lane) dumpStates(states uint32) {
	if l.census.noTCP(states, l.n.sockets()) {
		return
	}
	if len(l.half) > 0 {
		l.dumpTCP(states, l.half, &l.w.out)
		return
	}
	const listen = 1 << stateListen
	if states&listen != 0 && states&uncounted == 0 && states != listen && l.census.known && l.census.tcpTotal() <= fewSockets {
		if done := l.listenersFirst(states); done {
			return
		}
		states &^= listen
	}
	l.dumpTCP(states, l.p.bytecode, &l.w.out)
}

// listenersFirst reads the listeners, whose table is small, and reports
// whether there is nothing else: then the walk of the large table is saved.
//
// The proof: the namespace counts as many TCP sockets in use as it has
// listeners, and the listeners are the same before and after it was counted.
func (l *lane) listenersFirst(states uint32) bool {
	out := &l.w.out
	first, ok := l.dumpTCP(1<<stateListen, nil, out)
	if !ok {
		return true // reported; the rest would fail likewise
	}
	c := l.n.census(l.w.buf, l.census.countsMPTCP)
	if !c.onlyListeners(states, first.seen) {
		return false
	}
	end := out.mark()
	second, ok := l.dumpTCP(1<<stateListen, nil, out)
	out.truncate(end)
	return ok && first == second
}

// A fingerprint identifies the sockets of a dump, wanted or not.
type fingerprint struct {
	seen    int
	cookies uint64
}

// dumpTCP makes one dump of both families, if the kernel can and both are
// wanted, or one of each.
func (l *lane) dumpTCP(states uint32, bytecode []byte, out *rows) (fingerprint, bool) {
	q := l.p.q
	d := dump{proto: whose.TCP, families: q.Families, states: q.States, wantInfo: q.Needs.Has(whose.NeedTCPInfo), wantTimer: q.Needs.Has(whose.NeedTimer)}
	r := request{proto: netlink.ProtoTCP, family: netlink.FamilyUnspec, states: states, bytecode: bytecode}
	if d.wantInfo {
		r.ext = extInfo | extCong
	}
	both := q.Families == whose.AllFamilies
	if (both || bytecode == nil && states == 1<<stateListen) && !l.p.s.kernel.oneFamily.Load() {
		one := d
		err := l.ask(&r, &one, out)
		if err == nil || one.errno == 0 {
			return fingerprint{one.seen, one.cookies}, l.report(err, &one)
		}
		l.p.s.kernel.oneFamily.Store(true)
	}
	var sum fingerprint
	for _, family := range [...]uint8{netlink.FamilyIPv4, netlink.FamilyIPv6} {
		if !both && !q.Families.Has(modelFamily(family)) {
			continue
		}
		one := d
		r.family = family
		if !l.report(l.ask(&r, &one, out), &one) {
			return sum, false
		}
		sum.seen += one.seen
		sum.cookies += one.cookies
	}
	return sum, true
}

func modelFamily(kernel uint8) whose.Family {
	if kernel == netlink.FamilyIPv4 {
		return whose.IPv4
	}
	return whose.IPv6
}
