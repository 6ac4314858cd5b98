package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// A follower is a whose watch whose events are kept.
type follower struct {
	cmd *exec.Cmd

	mu     sync.Mutex
	opens  map[uint64]int // by cookie
	closes map[uint64]int
	losses []whose.Event
	bad    error
}

func follow(t *testing.T, program string, args ...string) *follower {
	t.Helper()
	f := &follower{cmd: exec.Command(program, append([]string{"watch", "-o", "jsonl"}, args...)...), opens: make(map[uint64]int), closes: make(map[uint64]int)}
	f.cmd.Stderr = os.Stderr
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := testenv.Start(t, f.cmd); err != nil {
		t.Fatal(err)
	}
	go f.read(out)
	return f
}

func (f *follower) read(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		e, err := whose.ParseEvent(lines.Bytes())
		f.mu.Lock()
		switch {
		case err != nil:
			f.bad = err
		case e.Kind == whose.EventOpen || e.Kind == whose.EventStanding:
			f.opens[e.Session.Cookie]++
		case e.Kind == whose.EventClose:
			f.closes[e.Session.Cookie]++
		case e.Kind == whose.EventLost:
			f.losses = append(f.losses, e)
		}
		f.mu.Unlock()
	}
}

// has reports how often the opening and the end of a session came.
func (f *follower) has(cookie uint64) (opens, closes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.opens[cookie], f.closes[cookie]
}

func (f *follower) lost() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.losses)
}

// TestAgentStream_Restart ends and kills an agent under those who follow its events, and
// starts it again: what happened while it was there comes once, and what may have
// happened meanwhile is a loss. --follow of the past has all that the history has.
func TestAgentStream_Restart(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedCap(t, unix.CAP_BPF, unix.CAP_SYS_ADMIN)
	ns := testenv.NewNetNS(t)
	run, err := os.MkdirTemp("", "agent")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(run)
	netns := strconv.FormatUint(uint64(ns.Inode()), 10)
	h := &keptHost{
		t: t, whose: buildBoth(t) + "/whose", dir: filepath.Join(t.TempDir(), "history"), netns: netns,
		socket: filepath.Join(run, "agent.sock"), ready: "answering at",
	}
	var server net.Listener
	ns.Do(func() { server, err = net.Listen("tcp", "127.0.0.1:7000") })
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	began := time.Now()
	h.start()
	// dial opens a session, closes it and returns its cookie.
	dial := func() uint64 {
		var client net.Conn
		ns.Do(func() { client, err = net.Dial("tcp", "127.0.0.1:7000") })
		if err != nil {
			t.Fatal(err)
		}
		accepted, err := server.Accept()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := client.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var cookie uint64
		if err := raw.Control(func(fd uintptr) { cookie, err = unix.GetsockoptUint64(int(fd), unix.SOL_SOCKET, unix.SO_COOKIE) }); err != nil {
			t.Fatal(err)
		}
		client.Close()
		accepted.Close()
		return cookie
	}
	live := follow(t, h.whose, "--source", "agent", "--socket", h.socket, "-N", netns)
	past := follow(t, h.whose, "--from", began.Format(time.RFC3339Nano), "--follow", "--socket", h.socket, "-N", netns)
	var all []uint64
	once := func(what string, f *follower, cookies []uint64) {
		t.Helper()
		until(t, fmt.Sprintf("%s has each of %d sessions", what, len(cookies)), func() bool {
			for _, c := range cookies {
				if opens, closes := f.has(c); opens < 1 || closes < 1 {
					return false
				}
			}
			return true
		})
	}
	until(t, "the live stream begins", func() bool { // what comes before is not in it
		c := dial()
		time.Sleep(300 * time.Millisecond)
		opens, closes := live.has(c)
		return opens+closes > 0
	})
	for i, sig := range []os.Signal{unix.SIGTERM, os.Kill, unix.SIGTERM} {
		var some []uint64
		for range 10 {
			some = append(some, dial())
		}
		once("the live stream", live, some)
		if sig == os.Kill {
			time.Sleep(3 * time.Second) // by then the history has it
		}
		h.end(sig)
		dial() // nobody sees it
		h.start()
		all = append(all, some...)
		until(t, "the live stream says what was lost", func() bool { return live.lost() > i })
	}
	some := []uint64{dial(), dial()}
	all = append(all, some...)
	once("the live stream", live, some)
	once("the past", past, all)
	for name, f := range map[string]*follower{"live": live, "past": past} {
		f.mu.Lock()
		for c, n := range f.opens {
			if n != 1 || f.closes[c] > 1 {
				t.Errorf("%s: session %d opens %d times and closes %d times", name, c, n, f.closes[c])
			}
		}
		if f.bad != nil {
			t.Errorf("%s: %v", name, f.bad)
		}
		f.mu.Unlock()
	}
	if n := live.lost(); n != 3 {
		t.Errorf("%d losses after three ends of the agent: %+v", n, live.losses)
	}
	h.end(unix.SIGTERM)
}
