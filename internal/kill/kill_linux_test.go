package kill_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/kill"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ask returns the sessions of a namespace that meet a filter, in any state.
func ask(t *testing.T, ns *testenv.NetNS, where string) []whose.Session {
	t.Helper()
	expr, err := filter.Parse(where)
	must(t, err)
	answer, err := collect.Collect(t.Context(), &collect.Options{
		Filter: expr, States: whose.AllStates, NetNS: fmt.Sprint(ns.Inode()), Source: collect.Netlink,
	})
	must(t, err)
	defer answer.Close()
	return answer.Append(nil)
}

// end ends the sessions, and returns the spared and the failed ones.
func end(t *testing.T, sessions []whose.Session) (ended int, spared, failed []kill.Failure) {
	t.Helper()
	k, err := kill.Open()
	must(t, err)
	defer k.Close()
	p := k.Sessions(sessions, false)
	defer p.Close()
	ended, failed = p.Run(t.Context())
	return ended, p.Spared, failed
}

// in runs fn in the namespace and ends the test if it fails.
func in(t *testing.T, ns *testenv.NetNS, fn func() error) {
	t.Helper()
	var err error
	ns.Do(func() { err = fn() })
	must(t, err)
}

// A link is a connection of TCP in a namespace.
type link struct {
	listener         *net.TCPListener
	client, accepted *net.TCPConn
}

func connect(t *testing.T, ns *testenv.NetNS, addr string, opts ...func(fd int) error) link {
	t.Helper()
	var l link
	control := func(_, _ string, c syscall.RawConn) (err error) {
		ctl := c.Control(func(fd uintptr) {
			for _, opt := range opts {
				err = errors.Join(err, opt(int(fd)))
			}
		})
		return errors.Join(err, ctl)
	}
	in(t, ns, func() error {
		config := net.ListenConfig{Control: control}
		config.SetMultipathTCP(false)
		listener, err := config.Listen(t.Context(), "tcp", addr)
		if err != nil {
			return err
		}
		l.listener = listener.(*net.TCPListener)
		client, err := (&net.Dialer{Control: control}).DialContext(t.Context(), "tcp", listener.Addr().String())
		if err != nil {
			return err
		}
		l.client = client.(*net.TCPConn)
		l.accepted, err = l.listener.AcceptTCP()
		return err
	})
	t.Cleanup(func() { l.listener.Close(); l.client.Close(); l.accepted.Close() })
	return l
}

// readError reads from a connection until it fails.
func readError(t *testing.T, c net.Conn) error {
	t.Helper()
	must(t, c.SetReadDeadline(time.Now().Add(20*time.Second)))
	for {
		if _, err := c.Read(make([]byte, 1)); err != nil {
			return err
		}
	}
}

func TestSessions_BothEndsSeeIt(t *testing.T) {
	device := func(fd int) error { return unix.BindToDevice(fd, "lo") }
	for name, c := range map[string]struct {
		addr string
		opts []func(int) error
	}{
		"ipv4": {addr: "127.0.0.1:0"}, "ipv6": {addr: "[::1]:0"}, "mapped": {addr: "[::ffff:127.0.0.1]:0"},
		"bound to a device": {"127.0.0.1:0", []func(int) error{device}},
	} {
		t.Run(name, func(t *testing.T) {
			ns := testenv.NewNetNS(t)
			l, other := connect(t, ns, c.addr, c.opts...), connect(t, ns, "127.0.0.1:0")
			port := l.client.LocalAddr().(*net.TCPAddr).Port
			victims := ask(t, ns, fmt.Sprintf("lport %d", port))
			if len(victims) != 1 {
				t.Fatalf("%d sessions with the port, want 1", len(victims))
			}
			ended, spared, failed := end(t, victims)
			if ended != 1 || len(spared)+len(failed) != 0 {
				t.Fatalf("ended %d, spared %v, failed %v", ended, spared, failed)
			}
			if err := readError(t, l.client); !errors.Is(err, unix.ECONNABORTED) {
				t.Errorf("the ended side read: %v, want ECONNABORTED", err)
			}
			if err := readError(t, l.accepted); !errors.Is(err, unix.ECONNRESET) {
				t.Errorf("the other side read: %v, want ECONNRESET", err)
			}
			if left := ask(t, ns, fmt.Sprintf("port %d and state est", port)); len(left) != 0 {
				t.Errorf("%d sessions are left of it", len(left))
			}
			if left := ask(t, ns, fmt.Sprintf("port %d and state est", other.client.LocalAddr().(*net.TCPAddr).Port)); len(left) != 2 {
				t.Errorf("of a session that nobody asked for %d ends are left, want 2", len(left))
			}
		})
	}
}

// Of an SO_REUSEPORT group the kernel finds a member by who comes.
func TestSessions_OneListenerOfGroup(t *testing.T) {
	ns := testenv.NewNetNS(t)
	reuse := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		ctl := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		return errors.Join(err, ctl)
	}}
	reuse.SetMultipathTCP(false)
	const members = 8
	in(t, ns, func() error {
		for range members {
			l, err := reuse.Listen(t.Context(), "tcp", "127.0.0.1:7000")
			if err != nil {
				return err
			}
			t.Cleanup(func() { l.Close() })
		}
		return nil
	})
	for left := members; left > 0; left-- {
		group := ask(t, ns, "lport 7000 and listen")
		if len(group) != left {
			t.Fatalf("%d listeners, want %d", len(group), left)
		}
		victim := group[len(group)/2]
		if ended, spared, failed := end(t, []whose.Session{victim}); ended != 1 {
			t.Fatalf("ended %d, spared %v, failed %v", ended, spared, failed)
		}
		if slices.ContainsFunc(ask(t, ns, "lport 7000 and listen"), func(s whose.Session) bool { return s.Cookie == victim.Cookie }) {
			t.Fatal("the listener still listens")
		}
	}
}

func TestSessions_UDP(t *testing.T) {
	ns := testenv.NewNetNS(t)
	var bound, connected *net.UDPConn
	in(t, ns, func() (err error) {
		if bound, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:7001"))); err != nil {
			return err
		}
		connected, err = net.DialUDP("udp4", nil, bound.LocalAddr().(*net.UDPAddr))
		return err
	})
	defer bound.Close()
	defer connected.Close()
	ended, spared, failed := end(t, ask(t, ns, "udp"))
	if ended != 1 || len(spared) != 1 || len(failed) != 0 {
		t.Fatalf("ended %d, spared %v, failed %v; want the connected one ended and the other spared", ended, spared, failed)
	}
	if s := spared[0].Session; s.State != whose.Unconn || whose.Hint(spared[0].Err) == "" {
		t.Errorf("spared %v: %v; want the unconnected one, and what to do instead", s.State, spared[0].Err)
	}
	if err := readError(t, connected); !errors.Is(err, unix.ECONNABORTED) {
		t.Errorf("the ended side read: %v, want ECONNABORTED", err)
	}
	if left := ask(t, ns, "udp and state est"); len(left) != 0 {
		t.Errorf("%d connected sessions are left", len(left))
	}
}

// A session that nobody holds any more, or not yet, ends like others.
func TestSessions_WithoutOwner(t *testing.T) {
	ns := testenv.NewNetNS(t)
	waits := connect(t, ns, "127.0.0.1:0")
	in(t, ns, func() error { // it waits to be accepted
		c, err := net.Dial("tcp", waits.listener.Addr().String())
		if err == nil {
			t.Cleanup(func() { c.Close() })
		}
		return err
	})
	orphan := connect(t, ns, "127.0.0.1:0")
	must(t, orphan.client.Close())
	timeWait := connect(t, ns, "127.0.0.1:0")
	must(t, timeWait.client.Close())
	must(t, timeWait.accepted.Close())
	port := func(l link) int { return l.listener.Addr().(*net.TCPAddr).Port }
	for name, where := range map[string]string{
		"waits to be accepted": fmt.Sprintf("lport %d and est and no_such", port(waits)),
		"orphan":               fmt.Sprintf("rport %d and state fin_wait2", port(orphan)),
		"time wait":            fmt.Sprintf("port %d and state time_wait", port(timeWait)),
	} {
		t.Run(name, func(t *testing.T) {
			where = strings.ReplaceAll(where, "no_such", "reason accept-queue")
			var victims []whose.Session
			for began := time.Now(); len(victims) == 0 && time.Since(began) < 20*time.Second; time.Sleep(5 * time.Millisecond) {
				victims = ask(t, ns, where)
			}
			ended, spared, failed := end(t, victims)
			if len(failed) == 1 && name == "time wait" && errors.Is(failed[0].Err, whose.ErrUnsupported) {
				testenv.Missing(t, "a kernel that ends TIME_WAIT", failed[0].Err.Error())
			}
			if len(victims) != 1 || ended != 1 {
				t.Fatalf("of %d sessions ended %d, spared %v, failed %v", len(victims), ended, spared, failed)
			}
			if left := ask(t, ns, where); len(left) != 0 {
				t.Errorf("%d are left", len(left))
			}
		})
	}
}

const protoMPTCP = 262

func TestSessions_MPTCP(t *testing.T) {
	ns := testenv.NewNetNS(t)
	var listener, client, accepted int
	in(t, ns, func() (err error) {
		if listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, protoMPTCP); err != nil {
			return err
		}
		addr := &unix.SockaddrInet4{Port: 7002, Addr: [4]byte{127, 0, 0, 1}}
		if err = errors.Join(unix.Bind(listener, addr), unix.Listen(listener, 5)); err != nil {
			return err
		}
		if client, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, protoMPTCP); err != nil {
			return err
		}
		if err = unix.Connect(client, addr); err != nil {
			return err
		}
		accepted, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
		return err
	})
	for _, fd := range []int{listener, client, accepted} {
		defer unix.Close(fd)
	}
	if _, spared, _ := end(t, ask(t, ns, "mptcp and listen")); len(spared) != 1 || whose.Hint(spared[0].Err) == "" {
		t.Errorf("of the listener, which the kernel does not end: spared %v", spared)
	}
	ended, spared, failed := end(t, ask(t, ns, "mptcp and rport 7002"))
	if ended != 1 || len(spared)+len(failed) != 0 {
		t.Fatalf("ended %d, spared %v, failed %v", ended, spared, failed)
	}
	// The session itself waits a while for another path; it has none any more.
	answer, err := collect.Collect(t.Context(), &collect.Options{
		States: whose.SetOf(whose.Established), NetNS: fmt.Sprint(ns.Inode()), Source: collect.Procfs,
	})
	must(t, err)
	defer answer.Close()
	for s := range answer.Sessions() {
		t.Errorf("the path %v - %v is left", s.Local, s.Remote)
	}
}

// TestHostileReused gives the kill another session under the ends of the one that
// was asked for, and another process under its number.
func TestHostileReused(t *testing.T) {
	ns := testenv.NewNetNS(t)
	l := connect(t, ns, "127.0.0.1:0")
	tried, wrong := 0, 0
	for _, s := range ask(t, ns, "est") {
		s.Cookie++ // as the session before it had one
		tried++
		if ended, _, failed := end(t, []whose.Session{s}); ended != 0 || len(failed) != 1 || !errors.Is(failed[0].Err, kill.ErrGone) {
			wrong++
			t.Errorf("ended %d, failed %v", ended, failed)
		}
	}
	if _, err := l.client.Write([]byte("x")); err != nil {
		wrong++
		t.Errorf("a session of another cookie was ended: %v", err)
	}
	child := exec.Command("sleep", "600")
	must(t, testenv.Start(t, child))
	k, err := kill.Open()
	must(t, err)
	defer k.Close()
	owner := whose.Owner{Process: &whose.Process{PID: uint32(child.Process.Pid), StartTime: time.Now().Add(-time.Hour), Comm: "sleep"}}
	tried++
	p := k.Owners([]whose.Session{{Owners: []whose.Owner{owner}}}, int(unix.SIGKILL), false)
	defer p.Close()
	if ended, failed := p.Run(context.Background()); ended != 0 || len(failed) != 0 || len(p.Spared) != 1 || !errors.Is(p.Spared[0].Err, kill.ErrGone) {
		wrong++
		t.Errorf("a process of another start: ended %d, failed %v, spared %v", ended, failed, p.Spared)
	}
	if err := child.Process.Signal(syscall.Signal(0)); err != nil {
		wrong++
		t.Errorf("a process of another start was ended: %v", err)
	}
	testenv.Tried(t, tried, wrong)
}

func TestOwners(t *testing.T) {
	self := func(pid int) whose.Owner { return whose.Owner{Process: &whose.Process{PID: uint32(pid), Comm: "x"}} }
	k, err := kill.Open()
	must(t, err)
	defer k.Close()
	sessions := []whose.Session{
		{Owners: []whose.Owner{self(os.Getpid()), self(os.Getppid()), self(1)}},
		{Owners: []whose.Owner{self(os.Getppid())}},
		{Reason: whose.ReasonOrphan},
	}
	p := k.Owners(sessions, int(unix.SIGTERM), false)
	defer p.Close()
	if len(p.Targets) != 0 || len(p.Spared) != 4 {
		t.Errorf("targets %v, spared %v; want none to go, and whose itself, its parent, the first process and the ownerless session spared", p.Targets, p.Spared)
	}
	if p := k.Sessions(sessions[1:2], false); len(p.Targets) != 0 {
		t.Error("a session of the caller's own parent is to go")
	}
}

func TestOwners_Signal(t *testing.T) {
	ns := testenv.NewNetNS(t)
	l := connect(t, ns, "127.0.0.1:0")
	file, err := l.listener.File()
	must(t, err)
	defer file.Close()
	child := exec.Command("sleep", "600")
	child.ExtraFiles = []*os.File{file}
	must(t, testenv.Start(t, child))
	var sessions []whose.Session
	for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(5 * time.Millisecond) {
		if sessions = ask(t, ns, "listen"); len(sessions) == 1 && len(sessions[0].Owners) == 2 && sessions[0].Owners[1].Comm == "sleep" {
			break
		}
	}
	k, err := kill.Open()
	must(t, err)
	defer k.Close()
	p := k.Owners(sessions, int(unix.SIGUSR1), false)
	defer p.Close()
	ended, failed := p.Run(t.Context())
	if ended != 1 || len(failed) != 0 || len(p.Spared) != 1 || p.Targets[0].Process.PID != uint32(child.Process.Pid) {
		t.Fatalf("ended %d, failed %v, spared %v", ended, failed, p.Spared)
	}
	var exit *exec.ExitError
	if err := child.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGUSR1 {
		t.Errorf("the process ended by %v, want SIGUSR1", err)
	}
}

func TestParseSignal(t *testing.T) {
	for name, want := range map[string]int{"TERM": 15, "term": 15, "SIGHUP": 1, "sigkill": 9, "9": 9, "64": 64, "0": 0, "65": 0, "-9": 0, "NOPE": 0, "": 0} {
		n, err := kill.ParseSignal(name)
		if n != want || (err != nil) != (want == 0) {
			t.Errorf("signal %q is %d, %v; want %d", name, n, err, want)
		}
	}
}
