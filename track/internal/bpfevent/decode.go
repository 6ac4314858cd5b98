package bpfevent

import (
	"bytes"
	"fmt"
	"syscall"
	"unsafe"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/bpf"
	"github.com/seed-44df2ae6/whose/internal/pair"
)

// A decoder turns raw records into records. It names the processes, which raw
// records give as numbers only, and splits raw records that stand for several.
type decoder struct {
	tasks  tasks
	recent [1024]closing
	rec    Record
	path   [pathSize]byte
	// whole is Config.Whole.
	whole bool
	// attached is the time from which all programs run, by the boot clock.
	attached uint64
}

// A closing is the reported end of a session, by its socket and the time of its
// opening. Sessions of MPTCP share the cookie of their listener, so their remote
// end is part of it; of others it is zero.
type closing struct {
	cookie, opened uint64
	remote         [16]byte
	rport          uint16
}

func closingOf(r *tcpRecord) closing {
	c := closing{cookie: r.cookie, opened: r.opened}
	if r.proto == uint8(whose.MPTCP) {
		c.remote, c.rport = r.remote, r.rport
	}
	return c
}

func newDecoder() *decoder { return &decoder{} }

// errRecord: the ring held something other than a record of the programs.
type errRecord struct{ kind, size int }

func (e errRecord) Error() string { return fmt.Sprintf("record of kind %d: %d bytes", e.kind, e.size) }

// decode calls fn for each record in the raw one. b is aligned to 8.
func (d *decoder) decode(b []byte, fn func(*Record) error) error {
	if len(b) == 0 {
		return errRecord{}
	}
	switch b[0] {
	case recordTCP:
		if r, ok := view[tcpRecord](b); ok {
			return d.tcp(r, fn)
		}
	case recordUDP:
		if r, ok := view[udpRecord](b); ok {
			return d.udp(r, fn)
		}
	case recordProcess:
		if r, ok := view[processRecord](b); ok && r.argsSize <= argsSize && r.pathSize <= pathSize {
			return d.process(r, fn)
		}
	case recordExit:
		if r, ok := view[exitRecord](b); ok {
			return d.exit(r, fn)
		}
	}
	return errRecord{int(b[0]), len(b)}
}

// view returns the bytes as the struct in them.
func view[T any](b []byte) (*T, bool) {
	p := (*T)(unsafe.Pointer(unsafe.SliceData(b)))
	return p, uintptr(len(b)) >= unsafe.Sizeof(*p)
}

// task names the process of a record. A process that was not reported, because
// the ring was full, or was let go of, has only its numbers.
func (d *decoder) task(tgid, pid uint32, start uint64) Task {
	if tgid == 0 {
		return Task{}
	}
	if t, ok := d.tasks.find(tgid, start); ok {
		return t
	}
	return Task{PID: pid, Start: bpf.Ticks(start)}
}

// emitted reports whether the close of a session was emitted before: at most
// twice, where two copies of a program ran for one event. A socket connected
// anew has another session, opened at another time; the second copy knows no
// time.
func (d *decoder) emitted(r *tcpRecord) bool {
	id := closingOf(r)
	slot := d.recently(r.cookie)
	if *slot == id || r.opened == 0 && slot.cookie == id.cookie && slot.remote == id.remote && slot.rport == id.rport {
		return true
	}
	*slot = id
	return false
}

// anew notes that a socket was connected, so its next close is a new one.
func (d *decoder) anew(r *tcpRecord) {
	if slot := d.recently(r.cookie); slot.cookie == r.cookie {
		*slot = closing{}
	}
}

func (d *decoder) recently(cookie uint64) *closing {
	return &d.recent[cookie*31%uint64(len(d.recent))]
}

// orderly are the states from which a connection closes after both ends did.
const orderly = whose.Set[whose.State](1<<whose.FinWait2 | 1<<whose.LastAck | 1<<whose.Closing | 1<<whose.TimeWait)

// originOf returns how the socket of a raw record came to its connection.
func originOf(r *tcpRecord) pair.Origin {
	switch {
	case r.flags&flagOut != 0:
		return pair.Connected
	case r.flags&flagIn != 0 || r.what&(whatOpen|whatAccept) != 0:
		return pair.Accepted
	}
	return pair.UnknownOrigin
}

func (d *decoder) tcp(r *tcpRecord, fn func(*Record) error) error {
	rec := &d.rec
	*rec = Record{
		Time: r.time, Cookie: r.cookie, Inode: uint64(r.inode), Cgroup: r.cgroup,
		NetNS: r.netns, UID: r.uid, Mark: r.mark, Device: r.device,
		Local: r.local, Remote: r.remote, LocalPort: r.lport, RemotePort: r.rport,
		Proto: r.proto, Family: r.family, Out: r.flags&flagOut != 0, V6Only: r.flags&flagV6Only != 0,
	}
	rec.Origin = originOf(r)
	if r.flags&flagISNs != 0 {
		rec.Flow = bpf.FlowID(r.isn, r.otherISN, nil)
	}
	task := d.task(r.tgid, r.pid, r.start)
	if d.whole && r.what&whatClose != 0 {
		rec.Task = task
		return d.tcpEnd(r, rec, fn)
	}
	if r.what&whatOpen != 0 {
		if r.what&whatClose == 0 {
			d.anew(r)
		}
		rec.Kind, rec.Time, rec.Opened = TCPOpen, r.opened, r.opened
		if rec.Out {
			rec.Task = task
		}
		if err := fn(rec); err != nil {
			return err
		}
	}
	rec.Task = task
	if r.what&whatAccept != 0 {
		rec.Kind, rec.Time, rec.Opened, rec.Accepted = TCPAccept, r.called, r.opened, true
		if err := fn(rec); err != nil {
			return err
		}
	}
	if r.what&whatListen != 0 {
		rec.Kind, rec.Time, rec.Backlog = TCPListen, r.called, r.retrans
		if err := fn(rec); err != nil {
			return err
		}
	}
	rec.Time = r.time
	return d.tcpEnd(r, rec, fn)
}

// tcpEnd reports the end of a session; there is at most one.
func (d *decoder) tcpEnd(r *tcpRecord, rec *Record, fn func(*Record) error) error {
	end := r.what & (whatUnlisten | whatFail | whatClose)
	if end == 0 || end == whatClose && d.emitted(r) {
		return nil
	}
	rec.OldState, rec.Err = r.oldState, r.err
	switch end {
	case whatUnlisten:
		rec.Kind, rec.Opened = TCPUnlisten, r.called
	case whatFail:
		if r.oldState == 0 && r.called < d.attached {
			// No program saw the socket leave CLOSE. The program at that place may
			// have been attached later.
			return nil
		}
		rec.Kind, rec.Opened = TCPFail, r.called
		// OldState may show that it was open all the same, which programs not yet
		// attached missed. Then these count.
		rec.BytesSent, rec.BytesReceived = r.sent, r.received
		rec.RTT, rec.Retrans = r.rtt, r.retrans
		if r.err == 0 && r.flags&flagUnsent != 0 && r.oldState == uint8(whose.SynSent) {
			// Nothing else keeps a connect with a route from sending. One that puts
			// off its SYN (TCP_FASTOPEN_CONNECT) comes back.
			rec.Err = uint32(syscall.EADDRNOTAVAIL)
		}
	case whatClose:
		rec.Kind, rec.Opened = TCPClose, r.opened
		rec.BytesSent, rec.BytesReceived = r.sent, r.received
		rec.RTT, rec.Retrans = r.rtt, r.retrans
		rec.Accepted = r.flags&flagAccepted != 0 && !rec.Out
		rec.Queued = r.flags&flagQueued != 0
		rec.ResetHere = r.err == 0 && !orderly.Has(whose.State(r.oldState))
	default: // a session has one end
		return errRecord{int(r.kind), int(unsafe.Sizeof(*r))}
	}
	return fn(rec)
}

func (d *decoder) udp(r *udpRecord, fn func(*Record) error) error {
	rec := &d.rec
	*rec = Record{
		Time: r.time, Opened: r.opened, Cookie: r.cookie, Inode: r.inode, Cgroup: r.cgroup,
		NetNS: r.netns, UID: r.uid, Mark: r.mark, Device: r.device,
		BytesSent: r.sent, BytesReceived: r.received,
		DatagramsSent: r.sentDatagrams, DatagramsReceived: r.receivedDatagrams,
		Local: r.local, Remote: r.remote, LocalPort: r.lport, RemotePort: r.rport,
		Proto: r.proto, Family: r.family, Out: r.flags&flagOut != 0, V6Only: r.flags&flagV6Only != 0,
		RemoteUnknown: r.flags&flagUnknown != 0, Evicted: r.flags&flagEvicted != 0,
		Task: d.task(r.tgid, r.pid, r.start),
	}
	switch r.what {
	case whatBind:
		rec.Kind = UDPBind
	case whatOpen:
		rec.Kind = UDPOpen
	case whatClose:
		rec.Kind = UDPClose
	default:
		return errRecord{recordUDP, int(r.what)}
	}
	return fn(rec)
}

func (d *decoder) process(r *processRecord, fn func(*Record) error) error {
	rec := &d.rec
	*rec = Record{Time: r.time, Kind: ProcessSeen, Task: Task{
		PID: r.pid, Parent: r.parent, UID: r.uid, Start: bpf.Ticks(r.start), Cgroup: r.cgroup, Comm: r.comm,
	}}
	if r.what&whatExec != 0 {
		rec.Kind = ProcessExec
	}
	d.tasks.add(r.tgid, namedTask{r.start, rec.Task})
	rec.Text, rec.Exe = r.args[:r.argsSize], d.joinPath(r.path[:r.pathSize])
	return fn(rec)
}

// joinPath makes a path of its names, which come from the last to the first.
func (d *decoder) joinPath(names []byte) []byte {
	at := len(d.path)
	for len(names) > 0 {
		name, rest, whole := bytes.Cut(names, []byte{0})
		if !whole || len(name) >= at {
			return nil
		}
		names = rest
		at -= len(name) + 1
		d.path[at] = '/'
		copy(d.path[at+1:], name)
	}
	return d.path[at:]
}

func (d *decoder) exit(r *exitRecord, fn func(*Record) error) error {
	rec := &d.rec
	*rec = Record{Time: r.time, Kind: ProcessExit, Task: d.task(r.tgid, r.pid, r.start)}
	d.tasks.exit(r.tgid, r.start, r.time)
	return fn(rec)
}
