package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// A bench is a network namespace with sockets of this process.
type bench struct {
	*testing.T
	*testenv.NetNS
}

func newBench(t *testing.T) bench {
	t.Helper()
	testenv.NeedRoot(t)
	return bench{t, testenv.NewNetNS(t)}
}

// socket makes a TCP socket in the namespace, bound to a port of 127.0.0.1; 0 for
// any. It is closed with the test.
func (b bench) socket(port int) int {
	b.Helper()
	fd := -1
	b.Do(func() {
		var err error
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err == nil {
			err = unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
		}
		if err != nil {
			b.Errorf("socket: %v", err)
		}
	})
	b.Cleanup(func() { _ = unix.Close(fd) }) // some are closed before
	return fd
}

func (b bench) check(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b bench) listener(port, backlog int) int {
	l := b.socket(port)
	b.check(unix.Listen(l, backlog))
	return l
}

// connected returns both ends of a connection to the listener.
func (b bench) connected(l, port int) (client, server int) {
	b.Helper()
	client = b.socket(0)
	b.check(unix.Connect(client, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}))
	server, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC)
	b.check(err)
	b.Cleanup(func() { _ = unix.Close(server) })
	return client, server
}

// become waits until a socket is in the state.
func (b bench) become(fd int, state uint8) {
	b.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		b.check(err)
		if info.State == state {
			return
		}
		if time.Now().After(end) {
			b.Fatalf("state %d, want %d", info.State, state)
		}
	}
}

// timeWaits leaves n connections to the listener in TIME_WAIT, closed at the
// listener's side.
func (b bench) timeWaits(l, port, n int) {
	b.Helper()
	for range n {
		client, server := b.connected(l, port)
		b.check(unix.Close(server))
		b.become(client, unix.BPF_TCP_CLOSE_WAIT)
		b.check(unix.Close(client))
	}
}

// leaked leaves a connection with CLOSE_WAIT here and FIN_WAIT2 at the other end.
func (b bench) leaked(l, port int) {
	b.Helper()
	client, server := b.connected(l, port)
	b.check(unix.Shutdown(client, unix.SHUT_WR))
	b.become(server, unix.BPF_TCP_CLOSE_WAIT)
	b.become(client, unix.BPF_TCP_FIN_WAIT2)
}

// stuck leaves a connection in SYN_SENT, to a listener without room in its queue.
func (b bench) stuck(port int) {
	b.Helper()
	b.listener(port, 0) // has room for one
	to := &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
	b.check(unix.Connect(b.socket(0), to))
	c := b.socket(0)
	b.check(unix.SetNonblock(c, true))
	if err := unix.Connect(c, to); err != unix.EINPROGRESS {
		b.Fatalf("connect to a full queue: %v", err)
	}
}

// says runs whose in the namespace at a terminal, and returns everything on it.
func (b bench) says(args ...string) string {
	b.Helper()
	master, terminal := openPTY(b.T, 120, 40)
	exe, err := os.Executable()
	b.check(err)
	cmd := exec.Command(exe, args...)
	cmd.Args[0] = "whose"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.Env = []string{"TERM=dumb", "PATH=" + os.Getenv("PATH")}
	b.check(b.Start(cmd))
	terminal.Close()
	said, _ := io.ReadAll(master) // EIO when the last writer has gone
	_ = cmd.Wait()                // its status is the business of the scripts
	return strings.ReplaceAll(string(said), "\r\n", "\n")
}

// TestOthers: no session that exists is denied. A filter that names a port shows
// its sessions in every state; without one the states that are left out are said.
func TestOthers(t *testing.T) {
	b := newBench(t)
	l := b.listener(7070, 16)
	b.timeWaits(l, 7070, 3)
	b.leaked(l, 7070)
	b.stuck(7071)
	const others = "1 CLOSE_WAIT, 1 FIN_WAIT2, 1 SYN_SENT, 3 TIME_WAIT"
	me := fmt.Sprint("pid ", os.Getpid())
	for _, test := range []struct{ args, want, not string }{
		{"-N self", "whose: " + others + " not shown; -a shows them\n", "SYN_SENT "},
		{"-N self tcp", "whose: " + others + " not shown; -a shows them\n", "no session"},
		{"-N self direction in", "whose: 1 CLOSE_WAIT, 3 TIME_WAIT not shown; -a shows them\n", "no session"},
		{"-N self not listen and not state established,close,syn_recv,close-wait,fin-wait-2,syn-sent", "TIME_WAIT", "not shown"},
		{"-N self rtt > 1h", "whose: no session in the network namespace self matches: rtt > 1h\n", "not shown"},
		{"-N self :7070", "TIME_WAIT", "not shown"},
		{"-N self rport 7071", "SYN_SENT", "not shown"},
		{"-N self " + me, "FIN_WAIT2", "not shown"},
		{"-N self -a", "TIME_WAIT", "not shown"},
		{"-N self -l", "LISTEN", "not shown"},
		{"-N self -e :7070", "no session", "TIME_WAIT"},
		{"-N self state established and :7070", "no session", "TIME_WAIT"},
		{"-N self -o jsonl", `"LISTEN"`, "not shown"},
		{"-N self -q tcp", "", "not shown"},
		{"count -N self --by proto", "whose: " + others + " not counted; -a counts them\n", "not shown"},
		{"count -N self --by state :7070", "TIME_WAIT", "not counted"},
	} {
		if said := b.says(strings.Fields(test.args)...); !strings.Contains(said, test.want) || strings.Contains(said, test.not) {
			t.Errorf("whose %s says\n%swant %q, and no %q", test.args, said, test.want, test.not)
		}
	}
}

// TestOthers_Rest: of a namespace with nothing but a socket in a state that no
// counter of the kernel has.
func TestOthers_Rest(t *testing.T) {
	b := newBench(t)
	b.socket(7072)
	const want = "whose: 1 CLOSE not shown; -a shows them\n"
	if said := b.says("-N", "self", "tcp"); !strings.HasPrefix(said, want) {
		t.Errorf("it says %q, want %q first", said, want)
	}
}
