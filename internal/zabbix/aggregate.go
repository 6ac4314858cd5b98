package zabbix

import (
	"net/netip"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
)

// DefaultEphemeralPorts is the kernel's own range of ports for sockets that ask
// for none (net.ipv4.ip_local_port_range).
var DefaultEphemeralPorts = filter.PortRange{First: 32768, Last: 60999}

// kernelProcess is the name of the process of a listener that the kernel holds.
const kernelProcess = "[kernel]"

// Options say how sessions are aggregated. The zero value works.
type Options struct {
	// Version of whose, for the document.
	Version string
	// HostNetNS is the host's own network namespace, by inode. Zero: not known,
	// and none is told apart from the others.
	HostNetNS uint32
	// NetNSNames are the names that `ip netns` gave, by inode.
	NetNSNames map[uint32]string
	// EphemeralPorts is the range of the host. Zero: DefaultEphemeralPorts.
	EphemeralPorts filter.PortRange
	// Ephemeral gives rows to unconnected UDP sockets on ephemeral ports too. A
	// resolver opens and closes thousands of them, so that by itself they are
	// only counted.
	Ephemeral bool
}

// maxRows bounds the rows of each kind that are kept in memory. It is far above
// what fits into a document.
const maxRows = 1 << 14

// An Aggregate takes the sessions of one collection, one after the other in any
// order, and makes a document of them. It keeps counts and never sessions:
// memory grows with the listeners, the processes and the distinct remote hosts,
// each up to a bound.
type Aggregate struct {
	opts     Options
	sessions int
	tcp, udp [int(whose.Unconn) + 1]int
	in, out  int
	// ephemeral counts unconnected UDP sockets on ephemeral ports.
	ephemeral int
	// dropped counts rows above maxRows.
	droppedListeners, droppedProcesses int

	hosts hosts
	// spaces are the network namespaces by inode.
	spaces map[uint32]*space

	processes []processRow
	byFacts   map[processFacts]int32
	byPID     map[uint32]int32
	lastPID   uint32
	lastRow   int32
	talks     pairs // of processes by their place

	listeners  []listenerRow
	byListener map[listenerFacts]int32

	groups    []group
	byGroup   map[groupKey]int32
	lastKey   groupKey
	lastGroup int32
	visits    pairs // of groups by their place
}

// A space is what names a network namespace.
type space struct {
	// name is what the collector calls it; container the least of those whose
	// processes were met in it.
	name, container string
}

// processFacts are what processes of one row share.
type processFacts struct{ process, unit, container, user string }

// A processRow gathers what is counted of a row's processes.
type processRow struct {
	facts  processFacts
	values Process
	// seen is the number of the session that was counted last.
	seen int
}

// New returns an empty aggregate.
func New(opts Options) *Aggregate {
	if opts.EphemeralPorts == (filter.PortRange{}) {
		opts.EphemeralPorts = DefaultEphemeralPorts
	}
	return &Aggregate{
		opts:       opts,
		spaces:     map[uint32]*space{},
		byFacts:    map[processFacts]int32{},
		byPID:      map[uint32]int32{},
		lastRow:    -1,
		byListener: map[listenerFacts]int32{},
		byGroup:    map[groupKey]int32{},
		lastGroup:  -1,
	}
}

// Add counts one session. It keeps nothing of s.
func (a *Aggregate) Add(s *whose.Session) {
	a.sessions++
	state := min(s.State, whose.Unconn)
	if isStream(s.Proto) {
		a.tcp[state]++
		switch s.Direction {
		case whose.In:
			a.in++
		case whose.Out:
			a.out++
		}
	} else {
		a.udp[state]++
	}
	host := a.hosts.number(s.Remote.Addr())
	a.noteSpace(s)
	row := a.addOwners(s, host)
	switch {
	case s.IsListener():
		a.addListener(s, row)
	case s.Direction == whose.In:
		a.addConnection(s, row, host)
	}
}

func isStream(p whose.Proto) bool { return p == whose.TCP || p == whose.MPTCP }

// noteSpace learns what names a namespace that is not the host's own.
func (a *Aggregate) noteSpace(s *whose.Session) {
	if s.NetNS == a.opts.HostNetNS {
		return
	}
	sp := a.spaces[s.NetNS]
	if sp == nil {
		sp = &space{name: s.NetNSName}
		a.spaces[s.NetNS] = sp
	}
	sp.meet(s.Container)
	for i := range s.Owners {
		sp.meet(s.Owners[i].Container)
	}
}

func (sp *space) meet(container string) {
	if container != "" && (sp.container == "" || container < sp.container) {
		sp.container = container
	}
}

// addOwners counts the session for each row of processes that holds it and
// returns the place of the one that has been there longest, -1 for none.
func (a *Aggregate) addOwners(s *whose.Session, host uint32) int32 {
	if s.Remote.Addr().IsLoopback() {
		host = 0
	}
	if len(s.Owners) == 0 {
		if s.Reason != whose.ReasonHidden || s.Unit == "" && s.Container == "" {
			return -1
		}
		row := a.row(processFacts{
			unit: Safe(stableUnit(s.Unit)), container: Safe(s.Container), user: Safe(s.User),
		})
		a.count(row, s, host)
		return row
	}
	first, eldest := int32(-1), &s.Owners[0]
	for i := range s.Owners {
		o := &s.Owners[i]
		row := a.rowOf(o, s)
		a.count(row, s, host)
		if i == 0 || elder(o, eldest) {
			first, eldest = row, o
		}
	}
	return first
}

// elder reports whether a began before b. One of which nothing is known but its
// number, because it has ended meanwhile, is younger than all others.
func elder(a, b *whose.Owner) bool {
	if known := a.Comm != ""; known != (b.Comm != "") {
		return known
	}
	if !a.StartTime.Equal(b.StartTime) {
		return a.StartTime.Before(b.StartTime)
	}
	return a.PID < b.PID
}

// rowOf returns the place of the row that the process belongs to, and counts
// the process when it is met first.
func (a *Aggregate) rowOf(o *whose.Owner, s *whose.Session) int32 {
	if o.PID == a.lastPID && a.lastRow >= 0 {
		return a.lastRow
	}
	row, met := a.byPID[o.PID]
	if !met {
		user := o.User
		if user == "" {
			user = s.User // the process may not be looked into
		}
		row = a.row(processFacts{
			process: commName(o.Comm), unit: Safe(stableUnit(o.Unit)), container: Safe(o.Container), user: Safe(user),
		})
		a.byPID[o.PID] = row
		if row >= 0 {
			a.processes[row].values.Processes++
		}
	}
	a.lastPID, a.lastRow = o.PID, row
	return row
}

// commName is the name of a process that is known. One that has none, or
// nothing but spaces, is not to look like one that is hidden.
func commName(comm string) string {
	if name := Safe(comm); name != "" {
		return name
	}
	return "?"
}

// row returns the place of the row with the facts, -1 where there are too many.
func (a *Aggregate) row(facts processFacts) int32 {
	if at, ok := a.byFacts[facts]; ok {
		return at
	}
	if len(a.processes) >= maxRows {
		a.droppedProcesses++
		return -1
	}
	at := int32(len(a.processes))
	a.processes = append(a.processes, processRow{facts: facts})
	a.byFacts[facts] = at
	return at
}

// count counts a session for a row, once however many of its processes hold it.
func (a *Aggregate) count(row int32, s *whose.Session, host uint32) {
	if row < 0 || a.processes[row].seen == a.sessions {
		return
	}
	p := &a.processes[row]
	p.seen = a.sessions
	v := &p.values
	v.Sessions++
	if a.talks.add(row, host) {
		v.RemoteHosts++
	}
	if !isStream(s.Proto) {
		v.UDP++
		return
	}
	switch s.State {
	case whose.Listen:
		v.Listening++
	case whose.Established:
		v.Established++
	case whose.CloseWait:
		v.CloseWait++
	case whose.TimeWait:
		v.TimeWait++
	case whose.SynSent:
		v.SynSent++
	default:
		v.Other++
	}
	switch s.Direction {
	case whose.In:
		v.In++
	case whose.Out:
		v.Out++
	}
}

// isEphemeral reports whether the socket is an unconnected one of UDP that
// looks as if nobody chose its port.
func (a *Aggregate) isEphemeral(s *whose.Session) bool {
	return !isStream(s.Proto) && s.State == whose.Unconn && s.Reason != whose.ReasonKernel &&
		a.opts.EphemeralPorts.Holds(s.Local.Port())
}

// localAddr is the local address with its zone.
func localAddr(s *whose.Session) netip.Addr {
	addr := s.Local.Addr()
	if s.Scope != "" && addr.Is6() {
		return addr.WithZone(Safe(s.Scope))
	}
	return addr
}
