package zabbix

import (
	"net/netip"

	"github.com/seed-44df2ae6/whose"
)

// A groupKey is what sessions share that came in by the same listener: since
// sessions come in any order, which listener that was is found in the end.
type groupKey struct {
	netns  uint32
	port   uint16
	proto  string
	family whose.Family
	addr   netip.Addr
	// row is the place of the processes that hold them, -1 for none.
	row int32
}

// A group counts such sessions.
type group struct {
	key                                       groupKey
	established, closeWait, synRecv, timeWait int
}

// addConnection counts a session that came in.
func (a *Aggregate) addConnection(s *whose.Session, row int32, host uint32) {
	key := groupKey{
		netns: s.NetNS, port: s.Local.Port(), proto: protoName(s.Proto), family: s.Family,
		addr: localAddr(s), row: row,
	}
	at := a.lastGroup
	if at < 0 || key != a.lastKey {
		var known bool
		if at, known = a.byGroup[key]; !known {
			if len(a.groups) >= maxGroups {
				return
			}
			at = int32(len(a.groups))
			a.groups = append(a.groups, group{key: key})
			a.byGroup[key] = at
		}
		a.lastKey, a.lastGroup = key, at
	}
	a.visits.add(at, host)
	g := &a.groups[at]
	switch s.State {
	case whose.Established:
		g.established++
	case whose.CloseWait:
		g.closeWait++
	case whose.SynRecv, whose.NewSynRecv:
		g.synRecv++
	case whose.TimeWait:
		g.timeWait++
	}
}

// maxGroups bounds the groups: one for each local address of a listener and
// each kind of process that holds its connections.
const maxGroups = 1 << 16

// A door is what listeners that may accept the same connection share.
type door struct {
	netns uint32
	port  uint16
	proto string
}

// assign gives the sessions that came in to their listeners.
func (a *Aggregate) assign() {
	doors := map[door][]int32{}
	for i := range a.listeners {
		f := &a.listeners[i].facts
		d := door{f.netns, f.port, f.proto}
		doors[d] = append(doors[d], int32(i))
	}
	listenerOf := make([]int32, len(a.groups))
	for i := range a.groups {
		g := &a.groups[i]
		listenerOf[i] = a.accepted(g, doors[door{g.key.netns, g.key.port, g.key.proto}])
		if listenerOf[i] >= 0 {
			a.give(&a.listeners[listenerOf[i]], g)
		}
	}
	var hosts pairs
	a.visits.each(func(group int32, host uint32) {
		if at := listenerOf[group]; at >= 0 && hosts.add(at, host) {
			a.listeners[at].values.RemoteHosts++
		}
	})
}

// give counts a group's sessions for their listener, and those that nobody
// holds any more for its processes.
func (a *Aggregate) give(l *listenerRow, g *group) {
	l.values.Established += g.established
	l.values.CloseWait += g.closeWait
	l.values.SynRecv += g.synRecv
	l.values.TimeWait += g.timeWait
	if g.key.row < 0 && l.row >= 0 {
		a.processes[l.row].values.TimeWait += g.timeWait
	}
}

// accepted returns the place of the listener that accepted a group: of those
// that could, the one with the most specific address, and of several with that
// address the one whose processes hold the sessions. -1: none is known.
func (a *Aggregate) accepted(g *group, candidates []int32) int32 {
	best, bestRank := int32(-1), 0
	for _, at := range candidates {
		l := &a.listeners[at]
		r := 2 * closeness(l, g)
		if r == 0 {
			continue
		}
		if l.row >= 0 && l.row == g.key.row {
			r++
		}
		if r > bestRank || r == bestRank && less(&l.facts, &a.listeners[best].facts) {
			best, bestRank = at, r
		}
	}
	return best
}

// closeness tells how specific the listener's address is for the sessions of
// the group, 0 where it does not take them: its own address before the
// unspecified one of the socket's family before that of both.
func closeness(l *listenerRow, g *group) int {
	switch {
	case l.facts.addr == g.key.addr:
		return 3
	case !l.facts.addr.IsUnspecified():
		return 0
	case l.facts.addr.Is4():
		if !g.key.addr.Is4() {
			return 0
		}
		if g.key.family == whose.IPv4 {
			return 2
		}
		return 1
	case g.key.addr.Is4() && l.v6only:
		return 0
	case g.key.family == whose.IPv6:
		return 2
	}
	return 1
}
