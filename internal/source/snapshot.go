package source

import (
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
)

// A Socket is what a source read of one socket: the session before it is
// joined with its owners. It has no pointers, so that a million of them cost
// the garbage collector nothing. 104 bytes.
type Socket struct {
	// End has the ends. Its Device is the index of the device that the socket is
	// bound to (sk_bound_dev_if); names are in Snapshot.Devices.
	pair.End
	// Cookie, Inode, UID, Mark, RecvQueue and SendQueue as in Session.
	Cookie, Inode uint64
	// Cgroup is the id of the socket's cgroup v2, 0 where it is not known.
	Cgroup uint64
	// Flow is the id of the connection, 0 where it is not known or not asked for.
	Flow                 uint64
	UID, Mark            uint32
	RecvQueue, SendQueue uint32
	// TCPInfo is the place in Snapshot.TCPInfo plus one; 0: none was read.
	TCPInfo uint32
	Flags   SocketFlags
}

// SocketFlags tell what a source knows of a socket beyond its numbers.
type SocketFlags uint16

// The flags.
const (
	// SocketKernel: the kernel made it for itself.
	SocketKernel SocketFlags = 1 << iota
	// SocketFile: it has an open file. Only a source that looked tells.
	SocketFile
	// SocketNoFile: it has none. Only a source that looked tells.
	SocketNoFile
	// SocketNoV6Only: the source does not tell whether IPV6_V6ONLY is set.
	SocketNoV6Only
	// SocketNoLimit: it listens, and the source does not tell the limit of its
	// accept queue.
	SocketNoLimit
	// SocketAccepted and SocketConnected: by its own word it was accepted from a
	// listener, or connected. With neither it does not say, or the source does not
	// ask it.
	SocketAccepted
	SocketConnected
	// SocketTransparent: it has IP_TRANSPARENT. Only a source that cannot ask for
	// the origin notes it.
	SocketTransparent
	// SocketSubflow: it is a subflow of the MPTCP session with its inode, beside
	// the first, whose ends are the session's.
	SocketSubflow
)

// Origin returns how the socket came to its connection: by its own word, else by
// its state.
func (s *Socket) Origin() pair.Origin {
	switch {
	case s.Flags&SocketAccepted != 0:
		return pair.Accepted
	case s.Flags&SocketConnected != 0:
		return pair.Connected
	}
	return s.OriginByState(s.Inode != 0)
}

// A Holding says that a process has a socket open by a descriptor.
type Holding struct {
	// Inode of the socket.
	Inode uint64
	PID   uint32
	FD    int32
}

// A Way is a descriptor of a process that leads into a network namespace: a
// socket that was opened there or, where Inode is 0, the namespace itself.
type Way struct {
	Holding
	NetNS uint32
}

// Tick is the unit of start times, in /proc and here: USER_HZ is 100 on every
// kind of processor that this runs on.
const Tick = 10 * time.Millisecond

// A Task is what a source that sees processes itself read of one.
type Task struct {
	PID uint32
	// Start is when it started, in [Tick] since boot.
	Start uint64
	// Comm is the name of its main thread, padded with NUL.
	Comm [16]byte
}

// A Mark is a number of a process that is another once the process has executed a
// program, or has another name, user, parent or place among the control groups.
type Mark struct{ PID, Mark uint32 }

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
	TCPInfo []whose.TCPInfo
	// Holdings, from a source that FindsHolders.
	Holdings []Holding
	// Tasks are the processes of Holdings, each once or several times.
	Tasks []Task
	// Devices names the devices that sockets refer to.
	Devices map[Device]string
	// Inside is the lowest process in each network namespace, by inode, from a source
	// that sees which process is in which: of the main threads or, where none of them
	// is in it, another thread. Empty: nobody looked. Seen are the processes that were
	// looked at for it, in no order.
	Inside map[uint32]uint32
	Seen   []uint32
	// Marks of the processes looked into, from a source that has them, if the query
	// needs [NeedFacts].
	Marks []Mark
	// NetNS are the namespaces that were read, by inode, each once.
	NetNS []uint32
	// Ways lead into namespaces that descriptors were met in, one for each, from
	// a source that does not find every socket there.
	Ways []Way
	// Pinned tells that the answer came through a pinned iterator.
	Pinned bool
	// Processes counts the processes looked into, from a source that FindsHolders.
	Processes int
	// Gaps is what could not be seen.
	Gaps whose.Gaps
}

// Reset empties the snapshot and keeps its memory.
func (s *Snapshot) Reset() {
	clear(s.Devices)
	clear(s.Inside)
	*s = Snapshot{
		Sockets: s.Sockets[:0], TCPInfo: s.TCPInfo[:0], Holdings: s.Holdings[:0],
		Tasks: s.Tasks[:0], Devices: s.Devices, Inside: s.Inside, Seen: s.Seen[:0], Marks: s.Marks[:0], NetNS: s.NetNS[:0], Ways: s.Ways[:0], Gaps: s.Gaps[:0],
	}
}

// NoteInside notes the thread by which a network namespace is named.
func (s *Snapshot) NoteInside(netns, tid uint32) {
	if s.Inside == nil {
		s.Inside = make(map[uint32]uint32)
	}
	s.Inside[netns] = tid
}

// NameDevice notes the name of a device.
func (s *Snapshot) NameDevice(d Device, name string) {
	if s.Devices == nil {
		s.Devices = make(map[Device]string)
	}
	s.Devices[d] = name
}
