package tally

import (
	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
)

// DefaultEphemeralPorts is the kernel's default range of ports for sockets
// without a chosen one (net.ipv4.ip_local_port_range).
var DefaultEphemeralPorts = filter.PortRange{First: 32768, Last: 60999}

// HostOptions say how to count the sessions of a host. The zero value works.
type HostOptions struct {
	// NetNS is the host's own network namespace, by inode. Zero: unknown, and no
	// namespace is distinguished from the others.
	NetNS uint32
	// EphemeralPorts is the range of the host. Zero: DefaultEphemeralPorts.
	EphemeralPorts filter.PortRange
	// Ephemeral makes listeners of unconnected UDP sockets on ephemeral ports too.
	// By default they are only counted: a resolver opens and closes thousands of
	// them.
	Ephemeral bool
}

// MaxRows bounds the programs and the listeners of a [Host], each. A user who is
// not root has a bound of his own, [MaxShare].
const MaxRows = 1 << 14

// A Host counts the sessions of one collection by program and by listener. It
// takes them one after the other in any order, and keeps counts but no sessions:
// its memory grows with the listeners, the processes and the distinct remote
// hosts, each up to a bound. It is not safe for concurrent use.
type Host struct {
	opts   HostOptions
	totals Totals

	remotes remotes
	// spaces are the network namespaces by inode, without the host's own.
	spaces map[uint32]*Space

	programs groups[Program, Process]
	byPID    map[uint32]int32 // to the place of the program
	lastPID  uint32
	lastAt   int32
	talks    pairs // of programs and remote hosts

	listeners groups[ListenerKey, Listener]
	ports     map[portsKey]ports

	connections    groups[connectionKey, connection]
	lastConnection connectionKey
	lastPlace      int32
	visits         pairs // of connections and remote hosts
}

// Totals count all sessions of a host.
type Totals struct {
	Sessions int
	// TCP and UDP count by state; MPTCP counts as TCP, UDP-Lite as UDP.
	TCP, UDP [int(whose.Unconn) + 1]int
	// In and Out count the TCP sessions by direction. Listeners are neither.
	In, Out int
	// Ephemeral counts the unconnected UDP sockets on ephemeral ports.
	Ephemeral int
	// RemoteHosts counts the distinct remote addresses without loopback. The count
	// ends at [MaxRemoteHosts], here and elsewhere.
	RemoteHosts int
	// LimitUnknown: the source does not know the limits of accept queues.
	LimitUnknown bool
	// BeyondPrograms and BeyondListeners count those above [MaxRows].
	BeyondPrograms, BeyondListeners int
}

// A Program is all processes with these facts. Its names are hostile input.
type Program struct {
	// Name is the name of the processes, empty for one without a name or already
	// ended.
	Name string
	// Hidden: the processes may not be looked into. Only the unit or the container
	// is known.
	Hidden bool
	// Unit is the systemd unit, with * for every part new at each start.
	Unit, Container, User string
	// Names are those of the container. They follow from Container, and are empty
	// where they are not known.
	Names ContainerNames
}

// ContainerNames are the names of a container, of its image and of its pod.
type ContainerNames struct{ Container, Image, Pod, PodNamespace string }

// namesOf returns the names of an owner's container, none for one of a user's.
func namesOf(o *whose.Owner) ContainerNames {
	if whose.Claimed(o.ContainerName) {
		return ContainerNames{}
	}
	return ContainerNames{o.ContainerName, o.Image, o.PodName, o.PodNamespace}
}

// least keeps the lesser of each name.
func (n *ContainerNames) least(o *ContainerNames) {
	n.Container, n.Image = least(n.Container, o.Container), least(n.Image, o.Image)
	n.Pod, n.PodNamespace = least(n.Pod, o.Pod), least(n.PodNamespace, o.PodNamespace)
}

// A Process holds the counts of the processes of one program.
type Process struct {
	// Processes counts them, 0 if they are hidden.
	Processes int
	// Sessions held by them.
	Sessions                          int
	Listening, Established, CloseWait int
	// TimeWait counts sessions in TIME_WAIT accepted by a listener of the program.
	// Nobody holds them any more; Sessions does not count them.
	TimeWait int
	SynSent  int
	// Other counts TCP sessions in another state.
	Other, UDP int
	// In and Out count the TCP sessions by direction.
	In, Out int
	// RemoteHosts counts the distinct remote addresses without loopback.
	RemoteHosts int
}

// A Space names a network namespace. Both names are hostile input.
type Space struct {
	// Name is the collector's name for it. Container is the least of the containers
	// with processes in it.
	Name, Container string
	// named: Name is the name of a container or pod with processes in it.
	named bool
}

// Stable returns the pod or container naming the namespace, empty if there is none. A
// name taken from some process in it does not last.
func (s *Space) Stable() string {
	if whose.Claimed(s.Name) {
		return s.Container
	}
	if s.named || s.Name == s.Container || len(s.Name) == 12 && isHex(s.Name) {
		return s.Name
	}
	return s.Container
}

// NewHost returns an empty count.
func NewHost(opts HostOptions) *Host {
	if opts.EphemeralPorts == (filter.PortRange{}) {
		opts.EphemeralPorts = DefaultEphemeralPorts
	}
	return &Host{
		opts:        opts,
		spaces:      map[uint32]*Space{},
		programs:    newGroups[Program, Process](MaxRows),
		byPID:       map[uint32]int32{},
		lastAt:      -1,
		listeners:   newGroups[ListenerKey, Listener](MaxRows),
		ports:       map[portsKey]ports{},
		connections: newGroups[connectionKey, connection](maxConnections),
		lastPlace:   -1,
	}
}

// Add counts one session. It keeps nothing of s but its strings.
func (h *Host) Add(s *whose.Session) {
	t := &h.totals
	t.Sessions++
	state := min(s.State, whose.Unconn)
	if isStream(s.Proto) {
		t.TCP[state]++
		switch s.Direction {
		case whose.In:
			t.In++
		case whose.Out:
			t.Out++
		}
	} else {
		t.UDP[state]++
	}
	remote := h.remotes.number(s.Remote.Addr())
	h.noteSpace(s)
	program := h.addOwners(s, remote)
	switch {
	case s.IsListener():
		h.addListener(s, program)
	case s.Direction == whose.In:
		h.addConnection(s, program, remote)
	}
}

func isStream(p whose.Proto) bool { return p == whose.TCP || p == whose.MPTCP }

// noteSpace learns the names of a namespace other than the host's own.
func (h *Host) noteSpace(s *whose.Session) {
	if s.NetNS == h.opts.NetNS {
		return
	}
	sp := h.spaces[s.NetNS]
	if sp == nil {
		sp = &Space{Name: s.NetNSName}
		h.spaces[s.NetNS] = sp
	}
	sp.Container = least(sp.Container, sure(s.Container))
	for i := range s.Owners {
		o := &s.Owners[i]
		sp.Container = least(sp.Container, sure(o.Container))
		sp.named = sp.named || sp.Name != "" && (sp.Name == o.PodName || sp.Name == o.ContainerName)
	}
}

// sure returns the name of a unit or container, "" for one that a user chose: his
// groups must not read like the system's, nor make a row each.
func sure(name string) string {
	if whose.Claimed(name) {
		return ""
	}
	return name
}

// least returns the lesser of two texts, leaving out empty ones.
func least(a, b string) string {
	if a == "" || b != "" && b < a {
		return b
	}
	return a
}

// addOwners counts the session for each program holding it. It returns the place
// of the program with the eldest process, -1 for none.
func (h *Host) addOwners(s *whose.Session, remote uint32) int32 {
	if s.Remote.Addr().IsLoopback() {
		remote = 0
	}
	if len(s.Owners) == 0 {
		if s.Reason != whose.ReasonHidden || s.Unit == "" && s.Container == "" {
			return -1
		}
		at := h.programs.placeFor(Program{Hidden: true, Unit: StableUnit(sure(s.Unit)), Container: sure(s.Container), User: s.User}, shareOfSession(s))
		h.count(at, s, remote)
		return at
	}
	first, eldest := int32(-1), &s.Owners[0]
	for i := range s.Owners {
		o := &s.Owners[i]
		at := h.programOf(o, s)
		h.count(at, s, remote)
		if i == 0 || elder(o, eldest) {
			first, eldest = at, o
		}
	}
	return first
}

// elder reports whether a began before b. An owner known by PID only has ended
// meanwhile and is younger than all others.
func elder(a, b *whose.Owner) bool {
	if known := a.Comm != ""; known != (b.Comm != "") {
		return known
	}
	if !a.StartTime.Equal(b.StartTime) {
		return a.StartTime.Before(b.StartTime)
	}
	return a.PID < b.PID
}

// programOf returns the place of a process's program. It counts the process when
// it comes first.
func (h *Host) programOf(o *whose.Owner, s *whose.Session) int32 {
	if o.PID == h.lastPID && h.lastAt >= 0 {
		return h.lastAt
	}
	at, met := h.byPID[o.PID]
	if !met {
		user := o.User
		if user == "" {
			user = s.User // the process may not be looked into
		}
		at = h.programs.placeFor(Program{Name: o.Comm, Unit: StableUnit(sure(o.Unit)), Container: sure(o.Container), User: user, Names: namesOf(o)}, shareOfOwner(o, s))
		h.byPID[o.PID] = at
		if at >= 0 {
			h.programs.all[at].Sum.Processes++
		}
	}
	h.lastPID, h.lastAt = o.PID, at
	return at
}

// count counts a session for a program, once for any number of its processes.
func (h *Host) count(at int32, s *whose.Session, remote uint32) {
	p := h.programs.once(at, h.totals.Sessions)
	if p == nil {
		return
	}
	p.Sessions++
	if h.talks.add(at, remote) {
		p.RemoteHosts++
	}
	if !isStream(s.Proto) {
		p.UDP++
		return
	}
	switch s.State {
	case whose.Listen:
		p.Listening++
	case whose.Established:
		p.Established++
	case whose.CloseWait:
		p.CloseWait++
	case whose.TimeWait:
		p.TimeWait++
	case whose.SynSent:
		p.SynSent++
	default:
		p.Other++
	}
	switch s.Direction {
	case whose.In:
		p.In++
	case whose.Out:
		p.Out++
	}
}

// A HostCount is the result of a [Host]. Its groups are in no order.
type HostCount struct {
	Totals    Totals
	Programs  []Group[Program, Process]
	Listeners []Group[ListenerKey, Listener]
	// ProgramShares and ListenerShares are whose rows they are, by place.
	ProgramShares, ListenerShares []Share
	// Spaces name the network namespaces by inode, without the host's own.
	Spaces map[uint32]*Space
}

// Count assigns the incoming connections to their listeners and returns the
// counts. Nothing may be added after it.
func (h *Host) Count() *HostCount {
	h.fold()
	h.assignConnections()
	t := h.totals
	t.RemoteHosts = h.remotes.public
	t.BeyondPrograms, t.BeyondListeners = h.programs.beyond, h.listeners.beyond
	return &HostCount{
		Totals: t, Programs: h.programs.all, Listeners: h.listeners.all,
		ProgramShares: h.programs.shares, ListenerShares: h.listeners.shares, Spaces: h.spaces,
	}
}
