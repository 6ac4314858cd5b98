//go:build zabbix

package zabbixtest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// actorEnv makes the test program play an actor instead.
const actorEnv = "WHOSE_ZABBIX_ACTOR"

// An actor is a process with a name and a user whose sockets are what a test
// told it to open, and nothing else.
type actor struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	reply *bufio.Scanner
}

// A step is what an actor is told to do; it answers with a result.
type step struct {
	// Do is "listen", "bind", "dial", "address" (connect UDP), "hang-up"
	// (close all that was dialled) or "shut" (close all).
	Do      string
	Addr    string
	Count   int
	Backlog int
	// Idle leaves connections in the accept queue; Leak never closes them.
	Idle, Leak bool
}

type result struct {
	Port  int
	Error string
}

// newActor starts an actor as the user, under a name of at most 15 bytes.
func newActor(t *testing.T, name string, uid uint32) *actor {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	a := &actor{cmd: exec.Command(self)}
	a.cmd.Env = []string{actorEnv + "=" + name}
	a.cmd.Stderr = os.Stderr
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if a.stdin, err = a.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	a.reply = bufio.NewScanner(out)
	if err := testenv.Start(t, a.cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.leave)
	a.do(t, step{Do: "nothing"}) // it has its name now
	return a
}

// leave ends the actor and all its sockets.
func (a *actor) leave() {
	if a.stdin != nil {
		a.stdin.Close()
		a.cmd.Wait()
		a.stdin = nil
	}
}

// do lets the actor do a step and returns the port where it listens.
func (a *actor) do(t *testing.T, s step) int {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.stdin.Write(append(text, '\n')); err != nil {
		t.Fatalf("actor: %v", err)
	}
	if !a.reply.Scan() {
		t.Fatalf("actor ended at %+v", s)
	}
	var r result
	if err := json.Unmarshal(a.reply.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if r.Error != "" {
		t.Fatalf("actor: %+v: %s", s, r.Error)
	}
	return r.Port
}

// A stage is what an actor's process holds.
type stage struct {
	standing, dialled []io.Closer
}

// act is the actor's process: it reads steps until its input ends.
func act(name string) {
	if err := os.WriteFile("/proc/self/comm", []byte(name), 0); err != nil {
		fmt.Fprintln(os.Stderr, "actor:", err)
		os.Exit(1)
	}
	var s stage
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var next step
		err := json.Unmarshal(in.Bytes(), &next)
		port := 0
		if err == nil {
			port, err = s.play(next)
		}
		r := result{Port: port}
		if err != nil {
			r.Error = err.Error()
		}
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return
		}
	}
}

func (s *stage) play(next step) (int, error) {
	switch next.Do {
	case "listen":
		return s.listen(next)
	case "bind":
		c, err := net.ListenPacket("udp", next.Addr)
		if err != nil {
			return 0, err
		}
		s.standing = append(s.standing, c)
		return c.LocalAddr().(*net.UDPAddr).Port, nil
	case "dial", "address":
		return 0, s.dial(next)
	case "hang-up":
		closeAll(&s.dialled)
	case "shut":
		closeAll(&s.dialled)
		closeAll(&s.standing)
	}
	return 0, nil
}

func closeAll(list *[]io.Closer) {
	for _, c := range *list {
		c.Close()
	}
	*list = nil
}

// dial opens connections; with a %d in the address each goes elsewhere.
func (s *stage) dial(next step) error {
	network := "tcp"
	if next.Do == "address" {
		network = "udp"
	}
	for n := range next.Count {
		addr := next.Addr
		if network == "udp" {
			addr = fmt.Sprintf(next.Addr, n+1)
		}
		c, err := net.Dial(network, addr)
		if err != nil {
			return err
		}
		s.dialled = append(s.dialled, c)
	}
	return nil
}

// listen listens on a socket with a backlog of its own, which the net package
// does not offer.
func (s *stage) listen(next step) (int, error) {
	addr, err := net.ResolveTCPAddr("tcp4", next.Addr)
	if err != nil {
		return 0, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	sa := unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte(addr.IP.To4())}
	if next.Backlog == 0 {
		next.Backlog = 100
	}
	for _, err := range []error{
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.Bind(fd, &sa), unix.Listen(fd, next.Backlog),
	} {
		if err != nil {
			return 0, err
		}
	}
	file := os.NewFile(uintptr(fd), "listener "+strconv.Itoa(addr.Port))
	l, err := net.FileListener(file) // a duplicate; one of both is kept
	file.Close()
	if err != nil {
		return 0, err
	}
	s.standing = append(s.standing, l)
	if !next.Idle {
		go serve(l, next.Leak)
	}
	return l.Addr().(*net.TCPAddr).Port, nil
}

// serve accepts; unless it leaks, it closes what the other side closed.
func serve(l net.Listener, leak bool) {
	var kept []net.Conn
	for {
		c, err := l.Accept()
		if err != nil {
			closeLeaked(kept)
			return
		}
		if leak {
			kept = append(kept, c)
			continue
		}
		go func() {
			io.Copy(io.Discard, c)
			c.Close()
		}()
	}
}

func closeLeaked(kept []net.Conn) {
	for _, c := range kept {
		c.Close()
	}
}
