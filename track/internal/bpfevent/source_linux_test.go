package bpfevent

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestLosses makes the ring too small: what is read and what is lost are
// together what happened.
func TestLosses(t *testing.T) { eachWay(t, testLosses) }

func testLosses(t *testing.T, packets bool) {
	const all = 500
	ns := testenv.NewNetNS(t)
	testenv.NeedRoot(t)
	c := countingIn(ns, packets)
	c.BufferSize, c.Text = minBuffer, false
	c.Kinds = whose.SetOf(UDPOpen, UDPClose)
	source, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	to := netip.MustParseAddrPort("127.0.0.1:9")
	ns.Do(func() {
		for range all {
			s := open(t, unix.SOCK_DGRAM, to)
			s.sendTo(1, to)
			s.close()
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	read, processes := uint64(0), uint64(0)
	err = source.Read(ctx, func(r *Record) error {
		if r.Kind == ProcessSeen {
			processes++
		} else {
			read++
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("read: %v", err)
	}
	losses, err := source.Losses()
	if err != nil {
		t.Fatal(err)
	}
	// Each open names this process anew as long as that finds no room.
	unnamed := losses.Ring + read - 2*all
	if processes > 1 || processes == 0 && unnamed < all || read == 0 || losses.Ring == 0 || processes == 1 && unnamed != 0 {
		t.Errorf("%d events: read %d and %d processes, lost %d", 2*all, read, processes, losses.Ring)
	}
	if losses.Flows+losses.Sockets+losses.Recursion != 0 {
		t.Errorf("losses %+v", losses)
	}
}

// TestClose_Detaches shows that nothing is told of what comes after Close, and
// that no program stays.
func TestClose_Detaches(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.CheckLeaks(t)
	source, err := Open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	ids := programsOf(t, source)
	done := make(chan error, 1)
	go func() { done <- source.Read(context.Background(), func(*Record) error { return nil }) }()
	for {
		source.mu.Lock()
		reading := source.reading
		source.mu.Unlock()
		if reading {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := source.Read(context.Background(), nil); err == nil {
		t.Error("two reads at a time")
	}
	must(t, "close", source.Close())
	if err := <-done; !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read: %v, want %v", err, fs.ErrClosed)
	}
	must(t, "close again", source.Close())
	if _, err := source.Losses(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("losses: %v", err)
	}
	if err := source.Flows(func(*Flow) bool { return true }); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("flows: %v", err)
	}
	waitGone(t, ids)
}

// TestKill_Detaches shows the same of a process that is killed.
func TestKill_Detaches(t *testing.T) {
	testenv.NeedRoot(t)
	before := allPrograms(t)
	cmd := actor(t, "watch", "")
	out, err := cmd.StdoutPipe()
	must(t, "make pipe", err)
	must(t, "start", testenv.Start(t, cmd))
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		t.Fatalf("%q, %v", line, err)
	}
	var fresh []ebpf.ProgramID
	for id := range allPrograms(t) {
		if !before[id] {
			fresh = append(fresh, id)
		}
	}
	if len(fresh) == 0 {
		t.Error("no program was loaded")
	}
	must(t, "kill", cmd.Process.Signal(os.Kill))
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the process ended otherwise: %v", err)
	}
	waitGone(t, fresh)
}

func programsOf(t *testing.T, s *Source) []ebpf.ProgramID {
	t.Helper()
	var ids []ebpf.ProgramID
	for name, p := range s.object.Programs {
		info, err := p.Info()
		must(t, "read "+name, err)
		id, _ := info.ID()
		ids = append(ids, id)
	}
	return ids
}

// allPrograms returns the programs of this package's names in the kernel.
func allPrograms(t *testing.T) map[ebpf.ProgramID]bool {
	t.Helper()
	all := make(map[ebpf.ProgramID]bool)
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, fs.ErrNotExist) {
			return all
		}
		must(t, "list programs", err)
		id = next
		if name := programName(id); name == eventsProgTcpState || name == eventsProgUdpRelease {
			all[id] = true
		}
	}
}

func programName(id ebpf.ProgramID) string {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return "" // gone by now
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return ""
	}
	return info.Name
}

// waitGone waits until the kernel has none of the programs.
func waitGone(t *testing.T, ids []ebpf.ProgramID) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for _, id := range ids {
		for {
			p, err := ebpf.NewProgramFromID(id)
			if errors.Is(err, fs.ErrNotExist) {
				break
			}
			if err == nil {
				p.Close()
			}
			if time.Now().After(deadline) {
				t.Fatalf("program %d is still there", id)
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// TestKinds shows that no program is loaded that nobody needs.
func TestKinds(t *testing.T) {
	testenv.NeedRoot(t)
	for _, c := range []struct {
		name       string
		config     Config
		has, lacks []string
	}{
		{"TCP alone", Config{Query: asking(source.Query{Protos: whose.SetOf(whose.TCP)})},
			[]string{eventsProgTcpState, eventsProgTcpStateAgain, eventsProgTcpConnect4, eventsProgTcpPeer6},
			[]string{eventsProgUdpSent, eventsProgUdpRelease, eventsProgUdpBind4}},
		{"UDP alone", Config{Query: asking(source.Query{Protos: whose.SetOf(whose.UDP)})},
			[]string{eventsProgUdpBind4, eventsProgUdpBind6},
			[]string{eventsProgTcpState, eventsProgFlush, eventsProgRoute4}},
		{"listeners", Config{Kinds: whose.SetOf(TCPListen, TCPUnlisten)},
			[]string{eventsProgTcpState, eventsProgFlush},
			[]string{eventsProgTcpConnect4, eventsProgTcpPeer4, eventsProgUdpSent, eventsProgProcessExit}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Open(c.config)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for _, name := range c.has {
				if s.object.Programs[name] == nil {
					t.Errorf("%s is not loaded", name)
				}
			}
			for _, name := range c.lacks {
				if s.object.Programs[name] != nil {
					t.Errorf("%s is loaded", name)
				}
			}
		})
	}
}

// TestQuery shows that the kernel tells of no other ends and families.
func TestQuery(t *testing.T) {
	ns := testenv.NewNetNS(t)
	var l, other *sock
	ns.Do(func() {
		l, other = listen(t, loopbacks["IPv4"]), listen(t, loopbacks["IPv4"])
	})
	port := l.name().Port()
	w := newWatch(t, Config{Query: asking(source.Query{
		NetNS: []uint32{ns.Inode()}, Families: whose.SetOf(whose.IPv4),
		Any: []filter.Endpoints{filter.OnLocal(netip.MustParsePrefix("127.0.0.0/8"), filter.PortRange{First: port, Last: port}).Swapped()},
	})})
	var last *sock
	ns.Do(func() {
		for _, to := range []netip.AddrPort{other.name(), l.name()} {
			last = connect(t, to)
			last.close()
		}
	})
	w.one("open", of(TCPOpen, last.cookie))
	w.one("close", of(TCPClose, last.cookie))
	if told := w.all(func(r *Record) bool { return r.Cookie != 0 && r.Cookie != last.cookie }); len(told) > 0 {
		t.Errorf("told of others: %+v", told)
	}
}

// TestRead_Error ends a read by the error of its function.
func TestRead_Error(t *testing.T) {
	ns := testenv.NewNetNS(t)
	testenv.NeedRoot(t)
	source, err := Open(inNetNS(ns))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	ns.Do(func() { bound(t, loopbacks["IPv4"]) })
	mine := errors.New("mine")
	if err := source.Read(context.Background(), func(*Record) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("read: %v", err)
	}
}

// BenchmarkConnections has connections made and closed, both ends here, as
// fast as one thread can.
func BenchmarkConnections(b *testing.B) {
	for _, watched := range []bool{false, true} {
		name := "unwatched"
		if watched {
			name = "watched"
		}
		b.Run(name, func(b *testing.B) { benchmarkConnections(b, watched) })
	}
}

func benchmarkConnections(b *testing.B, watched bool) {
	ns := testenv.NewNetNS(b)
	testenv.NeedRoot(b)
	var events atomic.Int64
	if watched {
		source, err := Open(Config{Text: true})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- source.Read(ctx, func(*Record) error { events.Add(1); return nil }) }()
		defer func() {
			cancel()
			<-done
			source.Close()
			b.ReportMetric(float64(events.Load())/float64(b.N), "events/op")
		}()
	}
	ns.Do(func() {
		l := listen(b, loopbacks["IPv4"])
		to := sockaddr(l.name())
		for b.Loop() {
			c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
			must(b, "socket", err)
			must(b, "connect", unix.Connect(c, to))
			s, _, err := unix.Accept4(l.fd, 0)
			must(b, "accept", err)
			must(b, "linger", unix.SetsockoptLinger(c, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
			unix.Close(c)
			unix.Close(s)
		}
	})
}

// TestMissing shows that nothing is missing on any kernel that the programs are
// for, and that each counts UDP in the cheaper way that it has.
func TestMissing(t *testing.T) {
	testenv.NeedRoot(t)
	s, err := Open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if missing := s.Missing(); len(missing) != 0 {
		t.Errorf("missing: %v", missing)
	}
	major, minor := testenv.Kernel(t)
	old := major < 6 || major == 6 && minor < 3
	for name, wanted := range map[string]bool{
		eventsProgUdpSent: !old, eventsProgUdpReceived: !old, eventsProgUdpRelease: true,
		eventsProgPacketIn: old, eventsProgPacketOut: old, eventsProgUdpConnect4: old, eventsProgFlushFlows: old,
	} {
		if got := s.object.Programs[name] != nil; got != wanted {
			t.Errorf("%s is loaded: %v", name, got)
		}
	}
}
