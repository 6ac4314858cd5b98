package bpfiter

import (
	"os"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestRead_GoesOn has tables that go on after a run in every way: many sockets side
// by side, a few far apart, behind other descriptors, behind sockets that are not
// asked for, and in a table of a thread. fd_walk shows each descriptor that
// task_file does, once.
func TestRead_GoesOn(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "bpf_rdonly_cast")
	ns := testenv.NewNetNS(t)
	s := open(t, Options{})
	must(t, s.needTaskFile())
	for _, n := range []int{1, 128, 129, 159, 160, 161, 700} {
		startSockets(t, ns, n)
	}
	fd := reusing(t, ns, 1)[0]
	dup := func(from, n int) {
		for i := range n {
			got, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, from+i)
			must(t, err)
			t.Cleanup(func() { unix.Close(got) })
		}
	}
	for range 700 { // sockets of no interest
		other, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		t.Cleanup(func() { unix.Close(other) })
	}
	for i := range 30 {
		dup(1000+i*100, 1)
	}
	dup(4090, 12)
	dup(9000, 400)
	parted(t, fd, 9350, 200)
	for _, needs := range []whose.Needs{0, whose.NeedTCPInfo} {
		q := inNetNS(ns, source.Query{Needs: needs})
		fast := holdingsIn(read(t, s, q), ns)
		walk := s.fdWalk
		s.fdWalk = nil
		plain := holdingsIn(read(t, s, q), ns)
		s.fdWalk = walk
		if !slices.Equal(fast, plain) {
			t.Errorf("%d holdings, %d by task_file", len(fast), len(plain))
		}
		if want := 1438 + 443 + 200; len(plain) != want {
			t.Errorf("%d holdings by task_file, want %d", len(plain), want)
		}
	}
}

// TestRead_OneRun has a process with many descriptors, and few of them sockets: one
// run over all processes shows them.
func TestRead_OneRun(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "bpf_rdonly_cast")
	ns := testenv.NewNetNS(t)
	s := open(t, Options{})
	fd := reusing(t, ns, 1)[0]
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(null) })
	for range 1500 {
		dup, err := unix.FcntlInt(uintptr(null), unix.F_DUPFD_CLOEXEC, 0)
		must(t, err)
		t.Cleanup(func() { unix.Close(dup) })
	}
	far, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 1500)
	must(t, err)
	t.Cleanup(func() { unix.Close(far) })
	snap := read(t, s, inNetNS(ns, source.Query{}))
	if n := len(holders(snap, inodeOf(t, fd))); n != 2 {
		t.Errorf("held by %d descriptors, want 2", n)
	}
	if p, ok := s.reading.later[uint32(os.Getpid())]; ok {
		t.Errorf("this process was read again from descriptor %d on", p.from)
	}
}

// TestRead_Windows compares what fd_walk finds, run by run, with what task_file
// does. A table of this process goes on beyond several runs.
func TestRead_Windows(t *testing.T) {
	ns := testenv.NewNetNS(t)
	s := open(t, Options{})
	testenv.NeedKernel(t, 6, 2, "bpf_rdonly_cast")
	if s.fdWalk == nil {
		t.Fatal("no fd_walk")
	}
	var fds []int
	for range 20 {
		l, addr := listen(t, ns)
		c := socket(t, ns, unix.AF_INET, unix.SOCK_STREAM, 0)
		must(t, unix.Connect(c, addr))
		fds = append(fds, l, c)
	}
	fds = append(fds, reusing(t, ns, 20)...)
	for range 2000 { // more than a run shows
		dup, err := unix.FcntlInt(uintptr(fds[0]), unix.F_DUPFD_CLOEXEC, 0)
		must(t, err)
		t.Cleanup(func() { unix.Close(dup) })
	}
	q := inNetNS(ns, source.Query{Needs: whose.NeedTCPInfo | whose.NeedCookie})
	must(t, s.needTaskFile())
	walk := s.fdWalk
	s.fdWalk = nil
	before := read(t, s, q)
	s.fdWalk = walk
	fast := read(t, s, q)
	s.fdWalk = nil
	plain := read(t, s, q)
	if len(fast.Sockets) != len(plain.Sockets) || len(fast.TCPInfo) != len(plain.TCPInfo) {
		t.Errorf("%d sockets and %d figures of TCP, %d and %d by task_file",
			len(fast.Sockets), len(fast.TCPInfo), len(plain.Sockets), len(plain.TCPInfo))
	}
	for _, fd := range fds {
		ino := inodeOf(t, fd)
		a, b := find(fast, ino), find(plain, ino)
		if len(a) != 1 || len(b) != 1 {
			t.Fatalf("inode %d: %d sockets, %d by task_file", ino, len(a), len(b))
		}
		a[0].TCPInfo, b[0].TCPInfo = 0, 0 // places
		if a[0] != b[0] {
			t.Errorf("inode %d: %+v, by task_file %+v", ino, a[0], b[0])
		}
		h, w := holders(fast, ino), holders(plain, ino)
		slices.SortFunc(h, compareHoldings)
		slices.SortFunc(w, compareHoldings)
		if !slices.Equal(h, w) {
			t.Errorf("inode %d: %d holdings, %d by task_file", ino, len(h), len(w))
		}
	}
	least, most := min(before.Processes, plain.Processes), max(before.Processes, plain.Processes)
	if fast.Processes < least-5 || fast.Processes > most+5 {
		t.Errorf("%d processes, %d to %d by task_file", fast.Processes, least, most)
	}
}

// TestRead_OneProcess asks for this process, with and without links to it.
func TestRead_OneProcess(t *testing.T) {
	ns := testenv.NewNetNS(t)
	s := open(t, Options{})
	l, addr := listen(t, ns)
	c := socket(t, ns, unix.AF_INET, unix.SOCK_STREAM, 0)
	must(t, unix.Connect(c, addr))
	me := uint32(os.Getpid())
	many := []uint32{me}
	for pid := range uint32(maxProcessLinks) {
		many = append(many, 4_000_000+pid) // above every pid there can be
	}
	for name, pids := range map[string][]uint32{"a link": {me}, "no links": many, "nobody": {4_000_000}} {
		snap := read(t, s, inNetNS(ns, source.Query{PIDs: pids, States: whose.SetOf(whose.Established)}))
		want := 2 // the client and what waits for the listener
		if name == "nobody" {
			want = 0
		}
		if len(snap.Sockets) != want || len(find(snap, inodeOf(t, l))) != 0 {
			t.Errorf("%s: %d sockets, want %d: %+v", name, len(snap.Sockets), want, snap.Sockets)
		}
		for _, h := range snap.Holdings {
			if h.PID != me {
				t.Errorf("%s: held by %d too", name, h.PID)
			}
		}
	}
}

// parted holds n duplicates of fd in a descriptor table of its own, from the first
// one on, until the test ends. Returns the thread that has them.
func parted(t *testing.T, fd, first, n int) (tid int) {
	t.Helper()
	stop, ready := make(chan struct{}), make(chan error)
	var thread sync.WaitGroup
	thread.Go(func() {
		must(t, testenv.OnThread(func() error {
			tid = unix.Gettid()
			err := unix.Unshare(unix.CLONE_FILES)
			for i := 0; i < n && err == nil; i++ {
				_, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, first+i)
			}
			ready <- err
			<-stop
			return nil
		}))
	})
	t.Cleanup(func() { close(stop); thread.Wait() })
	must(t, <-ready)
	return tid
}

// TestRead_Alone asks for one process whose table goes on after a run, and for
// threads of it with tables of their own, and compares with task_file.
func TestRead_Alone(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "bpf_rdonly_cast")
	ns := testenv.NewNetNS(t)
	s := open(t, Options{})
	must(t, s.needTaskFile())
	fd := reusing(t, ns, 300)[0]
	for _, from := range []int{700, 4090, 5000, 9000} {
		for i := range 200 {
			dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, from+i)
			must(t, err)
			t.Cleanup(func() { unix.Close(dup) })
		}
	}
	tid := parted(t, fd, 9100, 300)
	parted(t, fd, 12_000, 10)
	other := startSockets(t, ns, 3)
	me := uint32(os.Getpid())
	for _, c := range []struct {
		name string
		pids []uint32
		want int
	}{
		{"this process", []uint32{me}, 300 + 4*200 + 300 + 10}, {"another", []uint32{other}, 3}, {"both", []uint32{me, other}, 1413},
		{"a thread", []uint32{uint32(tid)}, 0}, {"nobody", []uint32{maxPID}, 0}, {"no number", []uint32{0}, 0}, {"too high", []uint32{1<<32 - 1, 1 << 24}, 0},
	} {
		for _, needs := range []whose.Needs{0, whose.NeedTCPInfo} {
			q := inNetNS(ns, source.Query{PIDs: c.pids, Needs: needs})
			snap := read(t, s, q)
			fast := holdingsIn(snap, ns)
			if len(fast) != c.want {
				t.Errorf("%s: %d holdings, want %d", c.name, len(fast), c.want)
			}
			if live := min(c.want, len(c.pids)); snap.Processes != live {
				t.Errorf("%s: %d processes, want %d", c.name, snap.Processes, live)
			}
			if c.want == 0 {
				continue
			}
			walk := s.fdWalk
			s.fdWalk = nil
			plain := holdingsIn(read(t, s, q), ns)
			s.fdWalk = walk
			if !slices.Equal(fast, plain) {
				t.Errorf("%s: %d holdings, %d by task_file", c.name, len(fast), len(plain))
			}
		}
	}
}

// TestRead_Alone_Work counts what a question for one process takes: no visit for any
// other.
func TestRead_Alone_Work(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "bpf_rdonly_cast")
	ns := testenv.NewNetNS(t)
	var last uint32
	for range 30 {
		last = startSockets(t, ns, 2)
	}
	s := open(t, Options{})
	visits := countVisits(t, s)
	snap := read(t, s, inNetNS(ns, source.Query{PIDs: []uint32{last}}))
	if n := len(holdingsIn(snap, ns)); n != 2 {
		t.Errorf("%d holdings, want 2", n)
	}
	// One for the leader, one that ends the read, and once more for its EAGAIN.
	if n := visits(); n > 4 {
		t.Errorf("%d visits for one process among 30 others", n)
	}
}
