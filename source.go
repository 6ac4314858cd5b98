package whose

import (
	"context"
	"net/netip"
)

// A Source is one way to ask the kernel for its sockets. Every source answers
// the same Query with the same sockets, as far as it can see them.
//
// A Source is not safe for concurrent use; the collector serialises its calls.
// Whoever opened it closes it.
type Source interface {
	// Name is the source's name: "bpf", "netlink" or "procfs".
	Name() string
	// Read appends to snap what q asks for. What could not be seen goes into
	// snap.Gaps; an error means that there is no answer at all. Exit of a
	// process or of a namespace in the middle is neither.
	Read(ctx context.Context, q *Query, snap *Snapshot) error
	// Close gives back descriptors and programs.
	Close() error
}

// A Query is the part of a question that a source can apply, and into the
// kernel where the kernel can. The zero value asks for every socket there is.
//
// A source applies Protos, Families, States and NetNS exactly. Any and PIDs it
// may apply in part: what it appends is never less than what they ask for, and
// the collector removes the rest.
type Query struct {
	// Protos, Families and States that are wanted; empty means all.
	Protos, Families, States Set
	// NetNS are the namespaces that are wanted, by inode; empty means all.
	NetNS []uint32
	// Visit are the ways into the wanted namespaces, for a source that has to
	// enter each; one that sees all of them at once needs none.
	Visit []NetNSRef
	// Any holds conditions on the two ends: a socket is wanted if it meets at
	// least one. Empty means no condition.
	Any []Endpoints
	// Listeners tells that listeners are wanted whatever Any says: what comes
	// in is told from what goes out by who listens.
	Listeners bool
	// PIDs are the processes whose sockets are wanted; empty means all. A
	// source that reads descriptors itself then reads those only.
	PIDs []uint32
	// Needs says which facts the answer will show; a source leaves out others
	// that cost something.
	Needs Needs
}

// A NetNSRef is a network namespace and the ways into it.
type NetNSRef struct {
	// Inode is the namespace's number.
	Inode uint32
	// TID is a thread that is in it, whose /proc/TID/net shows it; 0 for none.
	TID uint32
	// Path is a file to enter it by: /proc/TID/ns/net, a bind mount, or a
	// descriptor /proc/PID/fd/N. Empty where there is none.
	Path string
}

// Endpoints is a condition on both ends of a session; all of it has to hold.
// The zero value holds for every session.
type Endpoints struct {
	// Local and Remote are prefixes that the addresses are in; the zero Prefix
	// is no condition. IPv4 prefixes also mean IPv4-mapped addresses.
	Local, Remote netip.Prefix
	// LocalPorts and RemotePorts are ranges, both ends included; a zero range
	// is no condition.
	LocalPorts, RemotePorts PortRange
}

// A PortRange is a range of ports, both ends included. The zero value means
// no condition, not port 0.
type PortRange struct{ First, Last uint16 }

// Holds reports whether port is in the range, or there is no range.
func (r PortRange) Holds(port uint16) bool {
	return r == PortRange{} || r.First <= port && port <= r.Last
}

// Holds reports whether the condition holds for the two ends.
func (e *Endpoints) Holds(local, remote netip.AddrPort) bool {
	return e.LocalPorts.Holds(local.Port()) && e.RemotePorts.Holds(remote.Port()) &&
		prefixHolds(e.Local, local.Addr()) && prefixHolds(e.Remote, remote.Addr())
}

func prefixHolds(p netip.Prefix, a netip.Addr) bool { return !p.IsValid() || p.Contains(a) }

// Swapped returns the condition for the other end of the same session.
func (e Endpoints) Swapped() Endpoints {
	return Endpoints{Local: e.Remote, Remote: e.Local, LocalPorts: e.RemotePorts, RemotePorts: e.LocalPorts}
}

// Needs is a set of facts that cost something to collect.
type Needs uint32

// The facts that cost something. What is not named here comes with the socket.
const (
	// NeedOwners: the processes that hold a session, their descriptors, names and start times.
	NeedOwners Needs = 1 << iota
	// NeedCmdline, NeedExe, NeedCreds and NeedCgroup: of a process its command
	// line; its executable; its user and parent; its unit, container and pod.
	NeedCmdline
	NeedExe
	NeedCreds
	NeedCgroup
	// NeedUser: the name of the session's user.
	NeedUser
	// NeedNetNSName: the name of the network namespace.
	NeedNetNSName
	// NeedDirection: which side began the session; needs the listeners too.
	NeedDirection
	// NeedPeer: the owners of the other end.
	NeedPeer
	// NeedTCPInfo: round-trip time, retransmits, bytes, congestion control.
	NeedTCPInfo
	// NeedCookie: the socket's cookie. The kernel makes it when it is first
	// asked for, so a source may have to look a second time.
	NeedCookie
)

// NeedDefault is what the listing shows where nothing else is asked for.
const NeedDefault = NeedOwners | NeedUser | NeedNetNSName | NeedDirection | NeedPeer | NeedCookie

// needsOwners are the needs that can only be met with owners.
const needsOwners = NeedCmdline | NeedExe | NeedCreds | NeedCgroup | NeedPeer

// Has reports whether all of n is needed.
func (s Needs) Has(n Needs) bool { return s&n == n }

// Owners reports whether owners have to be found to meet the needs.
func (s Needs) Owners() bool { return s&(NeedOwners|needsOwners) != 0 }

// A Socket is what a source read of one socket: the session before it is
// joined with its owners. It has no pointers, so that a million of them cost
// the garbage collector nothing. 96 bytes.
type Socket struct {
	// Local and Remote are 16-byte addresses, IPv4 as IPv4-mapped.
	Local, Remote [16]byte
	// Cookie, Inode, NetNS, UID, Mark, RecvQueue and SendQueue as in Session.
	Cookie, Inode uint64
	// Cgroup is the id of the socket's cgroup v2, 0 where it is not known.
	Cgroup               uint64
	NetNS, UID, Mark     uint32
	RecvQueue, SendQueue uint32
	// Device is the index of the device that the socket is bound to
	// (sk_bound_dev_if), 0 for none. Names are in Snapshot.Devices.
	Device uint32
	// TCPInfo is the place in Snapshot.TCPInfo plus one; 0: none was read.
	TCPInfo uint32
	// LocalPort and RemotePort in host byte order.
	LocalPort, RemotePort uint16
	Proto                 Proto
	Family                Family
	State                 State
	Flags                 SocketFlags
}

// SocketFlags tell what a source knows of a socket beyond its numbers.
type SocketFlags uint8

// The flags.
const (
	// SocketV6Only: IPV6_V6ONLY is set.
	SocketV6Only SocketFlags = 1 << iota
	// SocketKernel: the kernel made it for itself.
	SocketKernel
	// SocketFile: it has an open file. Only a source that looked tells.
	SocketFile
	// SocketNoFile: it has none. Only a source that looked tells.
	SocketNoFile
)

// A Holding says that a process has a socket open by a descriptor.
type Holding struct {
	// Inode of the socket.
	Inode uint64
	PID   uint32
	FD    int32
}

// A Task is what a source that sees processes itself read of one.
type Task struct {
	PID uint32
	// Start is when it started, in clock ticks of 10 ms since boot.
	Start uint64
	// Comm is the name of its main thread, padded with NUL.
	Comm [16]byte
}

// A Device is the index of a network device in its namespace.
type Device struct{ NetNS, Index uint32 }

// A Snapshot is what a source read. Its memory is the collector's and used
// again for the next pass.
type Snapshot struct {
	// Sockets, each once or, from a source that meets a socket again with each
	// of its descriptors, several times: the same inode is the same socket. A
	// socket without inode stands once.
	Sockets []Socket
	// TCPInfo of the sockets that refer to it.
	TCPInfo []TCPInfo
	// Holdings, where the source finds owners itself (FindsOwners).
	Holdings []Holding
	// Tasks are the processes of Holdings, each once or several times.
	Tasks []Task
	// Devices names the devices that sockets refer to.
	Devices map[Device]string
	// NetNS are the namespaces that were read, by inode, each once.
	NetNS []uint32
	// FindsOwners tells that the source found all owners that it may see:
	// Holdings and Tasks are complete and no walk of /proc is needed.
	FindsOwners bool
	// Pinned tells that the answer came through a pinned iterator.
	Pinned bool
	// Processes counts the processes looked into, where FindsOwners.
	Processes int
	// Gaps is what could not be seen.
	Gaps []Gap
}

// Reset empties the snapshot and keeps its memory.
func (s *Snapshot) Reset() {
	clear(s.Devices)
	*s = Snapshot{
		Sockets: s.Sockets[:0], TCPInfo: s.TCPInfo[:0], Holdings: s.Holdings[:0],
		Tasks: s.Tasks[:0], Devices: s.Devices, NetNS: s.NetNS[:0], Gaps: s.Gaps[:0],
	}
}

// NameDevice notes the name of a device.
func (s *Snapshot) NameDevice(d Device, name string) {
	if s.Devices == nil {
		s.Devices = make(map[Device]string)
	}
	s.Devices[d] = name
}
