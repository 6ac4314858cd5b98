package bpfiter

import (
	"bytes"
	"net/netip"
	"slices"
	"sync"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/bpf"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// A reading is one Read under way: it gathers the records of the iterators into
// a snapshot. The hot loops are in descriptors.go. Its memory is kept from one Read
// to the next.
type reading struct {
	mu   sync.Mutex
	snap *source.Snapshot
	// filling is held for reading by those who write into their places in the arrays
	// of snap, and for writing by whoever moves the arrays.
	filling sync.RWMutex
	// netns are the namespaces, nil for all, and states the wanted states. marks: the
	// marks of processes are wanted.
	netns  []uint32
	states whose.Set[whose.State]
	marks  bool
	// wantInfo and wantTimer: the figures of TCP, and its timers, are wanted. hz is the
	// number of jiffies in a second.
	wantInfo, wantTimer bool
	// wantFlow: flow ids are wanted.
	wantFlow bool
	hz       uint32
	// any are the conditions on both ends, nil for none; listeners need not meet them.
	any       []filter.Endpoints
	listeners bool
	// beyond: a socket was met to which others belong that no descriptor shows.
	beyond bool
	// held are the inodes met with a descriptor; the socket of each is in snap.
	held inodeSet
	// doubtful are the holdings that may be in snap already, and sure those of the same
	// processes that are.
	doubtful []source.Holding
	sure     map[source.Holding]struct{}
	// unmet are sockets met by the walk before a descriptor; wanted are those
	// still unmet after it, and standing those of them that were met again.
	unmet    []sighting
	wanted   inodeSet
	standing []standing
	// keys are those of the files that are looked for once more or, with noteKeys, of
	// all.
	keys     []uint64
	noteKeys bool
	// pairs are the ports of wanted other ends; see around.go.
	pairs map[portPair]bool
	// loose are the sockets without a file, and ends those of them that are
	// connections: whether they were met with a descriptor.
	loose []source.Socket
	ends  map[tuple]bool
	// more are the elements of the walk not yet read to their end, or the
	// processes with descriptors beyond the window.
	more      []resumption
	processes int
	// bare are the sockets without a cookie yet.
	bare []bareSocket
	// shown: an earlier run showed the descriptors of all processes. later has those
	// that it did not read to their end.
	shown bool
	later map[uint32]place
	// insiders has the lowest process of each namespace; allInside: of all processes.
	insiders  map[uint32]insider
	allInside bool
	// ways are the namespaces with a way into them, nil if the walk sees all.
	ways map[uint32]bool
}

// A bareSocket is a socket without a cookie: its place in the snapshot, and a
// process that has it.
type bareSocket struct {
	inode uint64
	at    int
	pid   uint32
}

// A sighting is the place of the walk in which a socket was met: an element or,
// for an own table, the namespace. Numbers of namespaces are far above those of
// elements.
type sighting struct{ inode, place uint32 }

// A resumption is a place to go on with the walk, from a moreRecord.
type resumption struct{ element, done, from uint32 }

func (rd *reading) reset(q *source.Query, snap *source.Snapshot) {
	rd.snap, rd.netns, rd.states, rd.beyond = snap, q.NetNS, q.States, false
	rd.marks = q.Needs&source.NeedFacts != 0
	rd.wantInfo, rd.wantTimer = q.Needs.Has(whose.NeedTCPInfo), q.Needs.Has(whose.NeedTimer)
	rd.wantFlow = q.Needs.Has(whose.NeedFlow)
	rd.hz = bpf.HZ()
	rd.any, rd.listeners = q.Any, q.Listeners
	rd.held.reset()
	rd.wanted.reset()
	rd.doubtful, rd.unmet = rd.doubtful[:0], rd.unmet[:0]
	rd.loose, rd.more, rd.bare = rd.loose[:0], rd.more[:0], rd.bare[:0]
	rd.processes, rd.shown = 0, false
	rd.standing, rd.keys = rd.standing[:0], rd.keys[:0]
	rd.noteKeys, rd.pairs = false, nil
	clear(rd.insiders)
	rd.allInside = false
	rd.ways = nil
}

// wantsNetNS reports whether sockets of the namespace are wanted.
func (rd *reading) wantsNetNS(ino uint32) bool {
	return rd.netns == nil || slices.Contains(rd.netns, ino)
}

// wantsEnds reports whether the socket meets the conditions on its ends, as programs
// decide it.
func (rd *reading) wantsEnds(r *socketRecord) bool {
	if rd.any == nil || rd.listeners && r.rport == 0 || whose.Proto(r.proto) == whose.MPTCP {
		return true
	}
	local := netip.AddrPortFrom(netip.AddrFrom16(r.local).Unmap(), r.lport)
	remote := netip.AddrPortFrom(netip.AddrFrom16(r.remote).Unmap(), r.rport)
	return slices.ContainsFunc(rd.any, func(e filter.Endpoints) bool { return e.Holds(local, remote) })
}

// makeRoom makes room for as many sockets as the walk met.
func (rd *reading) makeRoom() {
	n := len(rd.unmet)
	rd.snap.Sockets = slices.Grow(rd.snap.Sockets, n)
	rd.snap.Holdings = slices.Grow(rd.snap.Holdings, n)
}

func (rd *reading) appendSocket(r *socketRecord) {
	rd.noteBare(r, len(rd.snap.Sockets))
	rd.snap.Sockets = append(rd.snap.Sockets, rd.socketOf(r))
}

// leadsOn reports whether other sockets may belong to this one that no descriptor
// shows: connections that wait for a listener, further subflows of an MPTCP session.
func (r *socketRecord) leadsOn() bool {
	if r.state == uint8(whose.Listen) {
		return r.recvq > 0
	}
	return r.proto == uint8(whose.MPTCP)
}

// noteKey notes the file of a socket, if those of all are wanted.
func (rd *reading) noteKey(r *socketRecord) {
	if rd.noteKeys {
		rd.keys = append(rd.keys, uint64(r.key))
	}
}

// noteBare notes a socket without a cookie, and its place in the snapshot.
func (rd *reading) noteBare(r *socketRecord, at int) {
	if r.cookie == 0 && r.pid != 0 {
		rd.bare = append(rd.bare, bareSocket{r.inode, at, r.pid})
	}
}

func (rd *reading) socketOf(r *socketRecord) source.Socket {
	s := source.Socket{
		End: pair.End{
			Local: r.local, Remote: r.remote, NetNS: r.netns, Device: r.device,
			LocalPort: r.lport, RemotePort: r.rport,
			Proto: whose.Proto(r.proto), Family: whose.Family(r.family), State: whose.State(r.state),
			V6Only: r.flags&flagV6Only != 0,
		},
		Cookie: r.cookie, Inode: r.inode, Cgroup: r.cgroup,
		UID: r.uid, Mark: r.mark, RecvQueue: r.recvq, SendQueue: r.sendq,
		Flags: socketFlags(r.flags),
	}
	if rd.wantFlow { // it stands in the place of the other
		s.Cgroup, s.Flow = 0, r.cgroup
	}
	return s
}

func socketFlags(flags uint8) source.SocketFlags {
	var f source.SocketFlags
	if flags&flagKernel != 0 {
		f |= source.SocketKernel
	}
	if flags&flagFile != 0 {
		f |= source.SocketFile
	}
	if flags&flagNoFile != 0 {
		f |= source.SocketNoFile
	}
	if flags&flagAccepted != 0 {
		f |= source.SocketAccepted
	}
	if flags&flagConnected != 0 {
		f |= source.SocketConnected
	}
	if flags&flagSubflow != 0 {
		f |= source.SocketSubflow
	}
	return f
}

// appendTCP adds the figures of the last of sockets.
func (rd *reading) appendTCP(sockets []source.Socket, r *tcpRecord) {
	last := &sockets[len(sockets)-1]
	if info, ok := rd.tcpInfo(r, last.State); ok {
		rd.snap.TCPInfo = append(rd.snap.TCPInfo, info)
		last.TCPInfo = uint32(len(rd.snap.TCPInfo))
	}
}

func holdingOf(r *socketRecord) source.Holding {
	return source.Holding{Inode: r.inode, PID: r.pid, FD: r.fd}
}

// noteWay notes the first way into a namespace, if ways are wanted.
func (rd *reading) noteWay(w source.Way) {
	if rd.ways == nil || rd.ways[w.NetNS] || !rd.wantsNetNS(w.NetNS) {
		return
	}
	rd.ways[w.NetNS] = true
	rd.snap.Ways = append(rd.snap.Ways, w)
}

func (rd *reading) appendTask(r *socketRecord) {
	rd.snap.Tasks = append(rd.snap.Tasks, source.Task{PID: r.pid, Start: bpf.Ticks(r.start), Comm: r.comm})
}

func (rd *reading) nameDevice(r *deviceRecord) {
	d := source.Device{NetNS: r.netns, Index: r.device}
	if _, ok := rd.snap.Devices[d]; !ok {
		rd.snap.NameDevice(d, text(r.name[:]))
	}
}

// settleDoubtful adds the descriptors met in tables of threads, unless the
// process has the same by its leader's table or another thread's.
func (rd *reading) settleDoubtful() {
	if len(rd.doubtful) == 0 {
		return
	}
	slices.SortFunc(rd.doubtful, compareHoldings)
	rd.doubtful = slices.Compact(rd.doubtful)
	rd.sure = emptied(rd.sure)
	for _, h := range rd.snap.Holdings {
		if rd.doubts(h.PID) {
			rd.sure[h] = struct{}{}
		}
	}
	for _, h := range rd.doubtful {
		if _, ok := rd.sure[h]; !ok {
			rd.snap.Holdings = append(rd.snap.Holdings, h)
		}
	}
}

// emptied returns a map without its elements, to be filled again. A huge one is given
// up: the next Read may need little.
func emptied[K comparable, V any](m map[K]V) map[K]V {
	const huge = 1 << 16
	if m == nil || len(m) > huge {
		return make(map[K]V)
	}
	clear(m)
	return m
}

// doubts reports whether the process has doubtful holdings.
func (rd *reading) doubts(pid uint32) bool {
	_, ok := slices.BinarySearchFunc(rd.doubtful, pid, func(h source.Holding, pid uint32) int {
		return int(int64(h.PID) - int64(pid))
	})
	return ok
}

func compareHoldings(a, b source.Holding) int {
	switch {
	case a.PID != b.PID:
		return int(int64(a.PID) - int64(b.PID))
	case a.FD != b.FD:
		return int(int64(a.FD) - int64(b.FD))
	case a.Inode < b.Inode:
		return -1
	case a.Inode > b.Inode:
		return 1
	}
	return 0
}

// text returns the bytes before the first NUL.
func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}
