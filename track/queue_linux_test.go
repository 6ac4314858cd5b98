// Connections in the queue of a listener that goes: what a restart kills.

package track

import (
	"bufio"
	"context"
	"fmt"
	"io"
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
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// envListens makes this test binary a process that listens at an address.
const envListens = "WHOSE_TRACK_LISTENS"

// TestQueue_Listener is such a process. It says where it listens, and ends with
// its input. As a test it does nothing.
func TestQueue_Listener(*testing.T) {
	addr := os.Getenv(envListens)
	if addr == "" {
		return
	}
	if addr == "inherited" {
		fmt.Println("at it")
	} else {
		l, err := grouped.Listen(context.Background(), "tcp", addr)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(l.Addr())
	}
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// grouped makes listeners that share their address.
var grouped = func() net.ListenConfig {
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if e := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }); e != nil {
			return e
		}
		return err
	}}
	c.SetMultipathTCP(false)
	return c
}()

// A listening process.
type listening struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   io.Closer
	addr string
}

// listenElsewhere starts a process of the namespace that listens, or holds the
// inherited listener.
func listenElsewhere(t *testing.T, ns *testenv.NetNS, addr string, inherited ...*os.File) *listening {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestQueue_Listener$")
	cmd.Env = append(os.Environ(), envListens+"="+addr)
	cmd.ExtraFiles = inherited
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Start(cmd); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || inherited == nil && !strings.Contains(line, ":") {
		t.Fatalf("listen elsewhere: %q %v", line, err)
	}
	return &listening{t, cmd, in, strings.TrimSpace(line)}
}

func (l *listening) exit() { l.in.Close(); l.cmd.Wait() }
func (l *listening) kill() { l.cmd.Process.Kill(); l.cmd.Wait() }
func (l *listening) pid() uint32 {
	return uint32(l.cmd.Process.Pid)
}

// dial connects in the namespace and says the connection as the events of the
// other end have it, once it is in the queue.
func dial(t *testing.T, ns *testenv.NetNS, addr string) (client net.Conn, in string) {
	t.Helper()
	ns.Do(func() {
		var err error
		if client, err = net.Dial("tcp", addr); err != nil {
			t.Error(err)
		}
	})
	if client == nil {
		t.FailNow()
	}
	t.Cleanup(func() { client.Close() })
	return client, fmt.Sprintf("in tcp %v>%v", client.RemoteAddr(), client.LocalAddr())
}

// queuedBy checks the owners of a connection that nobody accepted.
func queuedBy(t *testing.T, e *whose.Event, pids ...uint32) {
	t.Helper()
	var got []uint32
	for _, o := range e.Session.Owners {
		got = append(got, o.PID)
	}
	slices.Sort(pids)
	if !slices.Equal(got, pids) || e.Session.Reason != whose.ReasonAcceptQueue {
		t.Errorf("%v of %v: owners %v, reason %v; want %v of the accept queue", e.Kind, e.Session.Local, got, e.Session.Reason, pids)
	}
}

// resetHere checks how a connection ended that went with its listener.
func resetHere(t *testing.T, e *whose.Event) {
	t.Helper()
	if e.End != whose.EndReset || e.By != whose.Here {
		t.Errorf("%v of %v: %v by %v, want a reset from here", e.Kind, e.Session.Local, e.End, e.By)
	}
}

// TestLive_QueueGoes: a connection that nobody accepted has the owners of its
// listener as it opens and as it ends, however and whenever the listener ends.
func TestLive_QueueGoes(t *testing.T) {
	us := uint32(os.Getpid())
	addrs := map[string]string{"IPv4": "127.0.0.1:0", "IPv6": "[::1]:0", "both families": "[::]:0"}
	for family, addr := range addrs {
		for _, reported := range []bool{false, true} {
			for _, how := range []string{"close", "shutdown", "exit", "kill"} {
				name := fmt.Sprintf("%s/%s", family, how)
				if reported {
					name += " once it is reported"
				}
				t.Run(name, func(t *testing.T) {
					tr, ns := live(t, SourceBPF, Options{})
					owner, at := us, ""
					var end func()
					switch how {
					case "exit", "kill":
						l := listenElsewhere(t, ns, addr)
						owner, at, end = l.pid(), l.addr, l.exit
						if how == "kill" {
							end = l.kill
						}
					default:
						l := listenHere(t, ns, addr)
						at, end = l.Addr().String(), func() { l.Close() }
						if how == "shutdown" {
							end = func() { shutdown(t, l) }
						}
					}
					client, in := dial(t, ns, strings.Replace(at, "[::]", "127.0.0.1", 1))
					if reported {
						e := until(t, tr, "open "+in)[0]
						queuedBy(t, &e, owner)
					}
					end()
					if n, err := client.Read(make([]byte, 1)); n != 0 || err == nil || err == io.EOF {
						t.Errorf("client: read %d, %v, want a reset", n, err)
					}
					want := []string{"close " + in, "close out"}
					if !reported {
						want = append(want, "open "+in)
					}
					client.Close()
					events := until(t, tr, want...)
					queuedBy(t, &events[0], owner)
					resetHere(t, &events[0])
					if p := events[1].Session.Peer; len(p) != 1 || p[0].PID != owner || events[1].By != whose.There {
						t.Errorf("the other end: peer %v, %v by %v, want %d, reset from there", p, events[1].End, events[1].By, owner)
					}
					if !reported {
						queuedBy(t, &events[2], owner)
					}
				})
			}
		}
	}
}

func listenHere(t *testing.T, ns *testenv.NetNS, addr string) (l *net.TCPListener) {
	t.Helper()
	ns.Do(func() {
		some, err := grouped.Listen(context.Background(), "tcp", addr)
		if err != nil {
			t.Error(err)
			return
		}
		l = some.(*net.TCPListener)
	})
	if l == nil {
		t.FailNow()
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// withFD calls fn with the descriptor of a listener.
func withFD(t *testing.T, l *net.TCPListener, fn func(fd int) error) {
	t.Helper()
	raw, err := l.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = fn(int(fd)) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
}

func shutdown(t *testing.T, l *net.TCPListener) {
	withFD(t, l, func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RDWR) })
}

// waiting reports whether a connection is in the queue of a listener of ours.
func waiting(t *testing.T, l *net.TCPListener) (some bool) {
	withFD(t, l, func(fd int) error {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		some = n > 0
		return err
	})
	return some
}

// inQueueOf makes connections until one is in the queue of the other process,
// where ours shares its address.
func inQueueOf(t *testing.T, ns *testenv.NetNS, ours *net.TCPListener, addr string) (client net.Conn, in string) {
	t.Helper()
	for range 1000 {
		client, in := dial(t, ns, addr)
		if _, err := client.Write([]byte{0}); err != nil {
			t.Fatal(err)
		}
		acknowledged(t, client)
		if !waiting(t, ours) {
			return client, in
		}
		c, err := ours.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		client.Close()
	}
	t.Fatal("the other process got no connection of 1000")
	return nil, ""
}

// acknowledged waits until the other end has all: then it is in the queue.
func acknowledged(t *testing.T, c net.Conn) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		left := 0
		if err := raw.Control(func(fd uintptr) { left, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }); err != nil {
			t.Fatal(err)
		}
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("it is not acknowledged")
		}
	}
}

// TestLive_QueueOfGroup: of a group one member goes. The connections in its
// queue are its own, or go to another member where the kernel moves them.
func TestLive_QueueOfGroup(t *testing.T) {
	for _, moves := range []bool{false, true} {
		name := "ends"
		if moves {
			name = "is moved"
		}
		t.Run(name, func(t *testing.T) {
			tr, ns := live(t, SourceBPF, Options{})
			if moves {
				ns.Do(func() {
					if err := os.WriteFile("/proc/sys/net/ipv4/tcp_migrate_req", []byte("1"), 0); err != nil {
						t.Error(err)
					}
				})
			}
			other := listenElsewhere(t, ns, "127.0.0.1:0")
			ours := listenHere(t, ns, other.addr)
			_, in := inQueueOf(t, ns, ours, other.addr)
			other.kill()
			if !moves {
				events := until(t, tr, "open "+in, "close "+in)
				queuedBy(t, &events[0], other.pid())
				queuedBy(t, &events[1], other.pid())
				resetHere(t, &events[1])
				return
			}
			if !waiting(t, ours) {
				t.Fatal("the connection was not moved")
			}
			e := until(t, tr, "open "+in)[0]
			queuedBy(t, &e, uint32(os.Getpid()))
			ours.Close()
			e = until(t, tr, "close "+in)[0]
			queuedBy(t, &e, uint32(os.Getpid()))
			resetHere(t, &e)
		})
	}
}

// TestLive_QueueOfSeveral: a listener that two processes share.
func TestLive_QueueOfSeveral(t *testing.T) {
	tr, ns := live(t, SourceBPF, Options{Interval: 100 * time.Millisecond})
	l := listenHere(t, ns, "127.0.0.1:0")
	file, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	other := listenElsewhere(t, ns, "inherited", file)
	file.Close()
	for {
		if e := until(t, tr, fmt.Sprintf("owned tcp %v", l.Addr()))[0]; len(e.Session.Owners) == 2 {
			break
		}
	}
	_, in := dial(t, ns, l.Addr().String())
	l.Close()
	other.exit()
	events := until(t, tr, fmt.Sprintf("unlisten tcp %v", l.Addr()), "open "+in, "close "+in)
	var owners []uint32
	for _, o := range events[0].Session.Owners {
		owners = append(owners, o.PID)
	}
	if !slices.Contains(owners, other.pid()) {
		t.Errorf("the listener was of %v, want %d among them", owners, other.pid())
	}
	queuedBy(t, &events[1], owners...)
	queuedBy(t, &events[2], owners...)
}

// TestLive_QueueAnew: a program that begins to listen at once where another
// has gone does not own what waited for that.
func TestLive_QueueAnew(t *testing.T) {
	tr, ns := live(t, SourceBPF, Options{})
	old := listenElsewhere(t, ns, "127.0.0.1:0")
	_, in := dial(t, ns, old.addr)
	old.kill()
	l := listenHere(t, ns, old.addr)
	defer l.Close()
	events := until(t, tr, "open "+in, "close "+in)
	queuedBy(t, &events[0], old.pid())
	queuedBy(t, &events[1], old.pid())
}

// TestLive_QueueStands: every source names the listener's owners for what
// waits, and still as it ends.
func TestLive_QueueStands(t *testing.T) {
	for _, source := range SourceNames()[1:] {
		t.Run(source, func(t *testing.T) {
			tr, ns := live(t, source, Options{})
			l := listenHere(t, ns, "127.0.0.1:0")
			_, in := dial(t, ns, l.Addr().String())
			e := until(t, tr, "open "+in)[0]
			queuedBy(t, &e, uint32(os.Getpid()))
			if got := tr.Append(nil, expr(t, "reason accept-queue")); len(got) != 1 {
				t.Errorf("the live table has %d connections of the queue, want 1", len(got))
			}
			l.Close()
			e = until(t, tr, "close "+in)[0]
			queuedBy(t, &e, uint32(os.Getpid()))
		})
	}
}

// TestLive_QueueStoodBefore: what waited before the tracker began.
func TestLive_QueueStoodBefore(t *testing.T) {
	testenv.NeedRoot(t)
	ns := testenv.NewNetNS(t)
	l := listenElsewhere(t, ns, "127.0.0.1:0")
	client, in := dial(t, ns, l.addr)
	tr, err := Start(t.Context(), &Options{Source: SourceBPF, Filter: expr(t, fmt.Sprintf("netns %d", ns.Inode()))})
	if err != nil {
		testenv.Missing(t, "bpf events", err.Error())
	}
	defer tr.Close()
	l.kill()
	e := until(t, tr, "close "+in)[0]
	queuedBy(t, &e, l.pid())
	resetHere(t, &e)
	if e.Session.Remote != netip.MustParseAddrPort(client.LocalAddr().String()) || !e.StoodBefore {
		t.Errorf("%v, stood before %v", e.Session.Remote, e.StoodBefore)
	}
}
