package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
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
	"github.com/seed-44df2ae6/whose/history"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// A madeEnd is one end of a connection that a load made: its cookie, and when it was
// certain to be closed.
type madeEnd struct {
	cookie uint64
	closed time.Time
}

// A killLoad makes connections of all lengths to its own listener until it is stopped.
type killLoad struct {
	t      *testing.T
	ns     *testenv.NetNS
	server net.Listener
	stop   chan struct{}
	wait   sync.WaitGroup

	mu   sync.Mutex
	ends []madeEnd
}

// cookieOf returns the kernel's number of a socket.
func cookieOf(c net.Conn) (cookie uint64, err error) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { cookie, failed = unix.GetsockoptUint64(int(fd), unix.SOL_SOCKET, unix.SO_COOKIE) })
	if err == nil {
		err = failed
	}
	return cookie, err
}

// one makes a connection that stands for a time, and closes it at both ends. By reset
// it leaves no TIME_WAIT, so ports do not run out.
func (l *killLoad) one(stands time.Duration, reset bool) error {
	var client net.Conn
	var err error
	l.ns.Do(func() { client, err = net.Dial("tcp", l.server.Addr().String()) })
	if err != nil {
		return err
	}
	cookie, err := cookieOf(client)
	if err != nil {
		return err
	}
	select {
	case <-l.stop:
	case <-time.After(stands):
	}
	if reset {
		if err := client.(*net.TCPConn).SetLinger(0); err != nil {
			return err
		}
	} else if _, err := client.Write(make([]byte, 1+rand.IntN(3000))); err != nil {
		return err
	}
	if err := client.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	if !reset {
		_, _ = io.Copy(io.Discard, client) // until the server has closed
	}
	client.Close()
	l.note(cookie)
	return nil
}

func (l *killLoad) note(cookie uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ends = append(l.ends, madeEnd{cookie, time.Now()})
}

// serve closes each connection after its client.
func (l *killLoad) serve() {
	for {
		c, err := l.server.Accept()
		if err != nil {
			return
		}
		go func() {
			cookie, err := cookieOf(c)
			_, _ = io.Copy(io.Discard, c) // an error is the reset
			c.Close()
			if err == nil {
				l.note(cookie)
			}
		}()
	}
}

// start makes connections by several hands: most end at once, some stand over kills.
func (l *killLoad) start() {
	go l.serve()
	for hand := range 6 {
		l.wait.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				case <-time.After(time.Millisecond):
				}
				stands := time.Duration(0)
				switch {
				case hand == 0:
					stands = time.Duration(rand.IntN(int(8 * time.Second)))
				case hand < 3:
					stands = time.Duration(rand.IntN(int(200 * time.Millisecond)))
				}
				if err := l.one(stands, rand.IntN(8) > 0); err != nil {
					l.t.Errorf("connect: %v", err)
					return
				}
			}
		})
	}
}

// A downTime is a time without an agent: from a kill until the next one was started.
type downTime struct{ from, started time.Time }

// TestAgent_Kills kills an agent under load at moments by chance, WHOSE_KILLS times, some
// of them while it starts. Each end of a connection that was closed while an agent
// followed, and more than two seconds before its kill, is there once; no other is there
// twice, and none that nobody made. Each time without an agent lies within a gap.
func TestAgent_Kills(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedCap(t, unix.CAP_BPF, unix.CAP_SYS_ADMIN)
	kills := 6
	if text := os.Getenv("WHOSE_KILLS"); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil || kills < 1 {
			t.Fatalf("WHOSE_KILLS=%q: want a number", text)
		}
	}
	ns := testenv.NewNetNS(t)
	h := &keptHost{t: t, whose: buildBoth(t) + "/whose", dir: filepath.Join(t.TempDir(), "history"), netns: strconv.FormatUint(uint64(ns.Inode()), 10)}
	l := &killLoad{t: t, ns: ns, stop: make(chan struct{})}
	var err error
	ns.Do(func() { l.server, err = net.Listen("tcp", "127.0.0.1:7000") })
	if err != nil {
		t.Fatal(err)
	}
	defer l.server.Close()
	h.start()
	var downs []downTime
	ready := time.Now()
	type run struct{ ready, kill time.Time }
	var runs []run
	l.start()
	for i := range kills {
		time.Sleep(time.Duration(rand.IntN(int(5 * time.Second))))
		kill := time.Now()
		h.end(os.Kill)
		runs = append(runs, run{ready, kill})
		if i%5 == 4 { // another that does not come far, though it may keep some moments
			downs = append(downs, downTime{kill, time.Now()})
			h.launch()
			time.Sleep(time.Duration(rand.IntN(int(time.Second))))
			kill = time.Now()
			h.end(os.Kill)
		}
		downs = append(downs, downTime{kill, time.Now()})
		h.start()
		ready = time.Now()
	}
	close(l.stop)
	l.wait.Wait()
	time.Sleep(3 * time.Second)
	runs = append(runs, run{ready, time.Now()})
	h.end(unix.SIGTERM)
	l.server.Close()

	found, facts, wrong := make(map[uint64]int), make(map[uint64]string), 0
	complain := func(format string, args ...any) {
		if wrong++; wrong <= 20 {
			t.Errorf(format, args...)
		}
	}
	h.each(func(s *whose.Session) {
		if found[s.Cookie]++; s.Cookie == 0 {
			facts[0] += fmt.Sprintf("%+v %+v\n", *s, *s.Life)
		}
	}, "rport 7000 or lport 7000 and not listening")
	l.mu.Lock()
	defer l.mu.Unlock()
	certain := 0
	for _, e := range l.ends {
		n := found[e.cookie]
		delete(found, e.cookie)
		if n > 1 {
			complain("the session of cookie %d is there %d times", e.cookie, n)
		}
		for _, r := range runs {
			if e.closed.After(r.ready) && r.kill.Sub(e.closed) > 2*time.Second {
				if certain++; n == 0 {
					complain("cookie %d, closed %v after the agent was ready and %v before its kill, is not there",
						e.cookie, e.closed.Sub(r.ready), r.kill.Sub(e.closed))
				}
			}
		}
	}
	for cookie := range found {
		complain("nobody made cookie %d: %s", cookie, facts[cookie])
	}
	gaps := h.gaps()
	for _, d := range downs {
		if !d.within(gaps) {
			complain("no gap holds the time without an agent from %v to %v: %v", d.from, d.started, gaps)
		}
	}
	t.Logf("%d kills, %d ends of connections, %d of them certain to be there, %d gaps; %d wrong", kills, len(l.ends), certain, len(gaps), wrong)
	if certain < kills {
		t.Errorf("%d ends were certain to be there: too few to say anything", certain)
	}
}

// within reports whether gaps hold the time, without a hole between them.
func (d *downTime) within(gaps []whose.Gap) bool {
	at := d.from
	for range gaps {
		for _, g := range gaps {
			if !g.From.After(at) && g.To.After(at) {
				at = g.To
			}
		}
	}
	return !at.Before(d.started)
}

// each calls fn with all sessions of the history that match, however many there are.
func (h *keptHost) each(fn func(*whose.Session), filter string) {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), h.whose, "history", "export", "--history", h.dir, "--format", "jsonl", "-N", h.netns, filter)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = testenv.Start(h.t, cmd)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		s, err := whose.ParseSession(lines.Bytes())
		if err != nil {
			h.t.Fatal(err)
		}
		fn(&s)
	}
	if err := errors.Join(lines.Err(), cmd.Wait()); err != nil {
		h.t.Fatalf("whose history export: %v", err)
	}
}

// gaps are those of the history.
func (h *keptHost) gaps() []whose.Gap {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), h.whose, "history", "--history", h.dir, "-o", "json")
	out, err := cmd.Output()
	if err != nil {
		h.t.Fatalf("whose history: %v", err)
	}
	var o history.Overview
	if err := json.Unmarshal(out, &o); err != nil {
		h.t.Fatal(err)
	}
	return o.Gaps
}

// launch starts an agent and does not wait for it.
func (h *keptHost) launch() {
	h.t.Helper()
	h.agent = exec.Command(h.whose, "agent", "--history", h.dir, "--socket", "off")
	if err := testenv.Start(h.t, h.agent); err != nil {
		h.t.Fatal(err)
	}
}
