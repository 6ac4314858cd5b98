package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// buildBoth builds both programs into a folder.
func buildBoth(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, args := range [][]string{{"-o", dir + "/whose"}, {"-tags", "whose_agent", "-o", dir + "/whose-agent"}} {
		build := exec.CommandContext(t.Context(), goTool(t), append(append([]string{"build"}, args...), ".")...)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build: %v: %s", err, out)
		}
	}
	return dir
}

// A keptHost is a host whose history an agent keeps.
type keptHost struct {
	t     *testing.T
	whose string
	dir   string
	netns string
	agent *exec.Cmd
	// socket is that of the agent, "" for none.
	socket string
	// ready is the line after which it is ready.
	ready string
}

// start starts an agent and waits until it keeps history.
func (h *keptHost) start() {
	h.t.Helper()
	h.agent = exec.Command(h.whose, "agent", "--history", h.dir, "--socket", cmp.Or(h.socket, "off"))
	stderr, err := h.agent.StderrPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := testenv.Start(h.t, h.agent); err != nil {
		h.t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if strings.Contains(lines.Text(), cmp.Or(h.ready, "keeping history")) {
			go func() {
				for lines.Scan() { // so that it never waits for a reader
				}
			}()
			return
		}
		h.t.Log(lines.Text())
	}
	h.t.Fatalf("the agent ended: %v", h.agent.Wait())
}

func (h *keptHost) end(sig os.Signal) {
	h.t.Helper()
	if err := h.agent.Process.Signal(sig); err != nil {
		h.t.Fatal(err)
	}
	_ = h.agent.Wait() // a kill is an error
}

// ask runs whose with the history and returns its output.
func (h *keptHost) ask(args ...string) (out, errs string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 30*time.Second)
	defer cancel()
	var stdout, stderr bytes.Buffer
	if !slices.Contains(args, "--source") && !slices.Contains(args, "--socket") { // it is about the past
		args = append(args, "--history", h.dir)
	}
	cmd := exec.CommandContext(ctx, h.whose, append(args, "-N", h.netns)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && (cmd.ProcessState.ExitCode() > exitNothing || ctx.Err() != nil) {
		h.t.Fatalf("whose %q: %v: %s", args, err, stderr.Bytes())
	}
	return stdout.String(), stderr.String()
}

func (h *keptHost) sessions(args ...string) []whose.Session {
	h.t.Helper()
	out, _ := h.ask(append(args, "-o", "jsonl")...)
	var all []whose.Session
	for line := range strings.Lines(out) {
		s, err := whose.ParseSession([]byte(line))
		if err != nil {
			h.t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// TestAgent opens sessions while an agent is killed and started again at moments by
// chance, WHOSE_AGENT_KILLS times, and asks what was there: what ended two seconds
// before a kill is there once, with its owner and its bytes; each time without an
// agent is a gap; the listing of a moment is the one taken then.
func TestAgent(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedCap(t, unix.CAP_BPF, unix.CAP_SYS_ADMIN)
	kills := 3
	if text := os.Getenv("WHOSE_AGENT_KILLS"); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil || kills < 1 {
			t.Fatalf("WHOSE_AGENT_KILLS=%q: want a number", text)
		}
	}
	ns := testenv.NewNetNS(t)
	h := &keptHost{t: t, whose: buildBoth(t) + "/whose", dir: filepath.Join(t.TempDir(), "history"), netns: strconv.FormatUint(uint64(ns.Inode()), 10)}
	var server net.Listener
	var err error
	ns.Do(func() { server, err = net.Listen("tcp", "127.0.0.1:7000") })
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	dial := func() (client, accepted net.Conn) {
		ns.Do(func() { client, err = net.Dial("tcp", "127.0.0.1:7000") })
		if err != nil {
			t.Fatal(err)
		}
		if accepted, err = server.Accept(); err != nil {
			t.Fatal(err)
		}
		return client, accepted
	}
	h.start()
	before := time.Now()
	long, longEnd := dial()
	defer long.Close()
	defer longEnd.Close()
	type made struct {
		port  int
		bytes int
		ended time.Time
	}
	var all []made
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	burst := func() {
		for range 20 {
			client, accepted := dial()
			n := 1 + r.IntN(1000)
			if _, err := client.Write(make([]byte, n)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(accepted, make([]byte, n)); err != nil {
				t.Fatal(err)
			}
			port := client.LocalAddr().(*net.TCPAddr).Port
			client.Close()
			accepted.Close()
			all = append(all, made{port, n, time.Now()})
		}
	}
	for range kills {
		burst()
		time.Sleep(2*time.Second + time.Duration(r.IntN(int(time.Second)))) // then it is to be there
		h.end(os.Kill)
		h.start()
	}
	burst()
	time.Sleep(12 * time.Second) // two looks at the standing sessions
	moment := time.Now()
	listed := h.sessions("--source", "netlink", "established")
	time.Sleep(4 * time.Second)
	h.end(unix.SIGTERM)

	from := before.Add(-time.Second).Format(time.RFC3339Nano)
	got := h.sessions("--from", from, "established")
	outgoing := make(map[int][]whose.Session)
	for _, s := range got {
		if s.Direction == whose.Out {
			outgoing[int(s.Local.Port())] = append(outgoing[int(s.Local.Port())], s)
		}
	}
	for _, m := range all {
		found := 0
		for _, s := range outgoing[m.port] {
			if s.Life == nil || s.Life.Closed.Sub(m.ended).Abs() > time.Second {
				continue // the port was used again
			}
			found++
			if sent := whose.FieldByName("bytes_sent").Value(s.Row()); sent.Num != uint64(m.bytes) || len(s.Owners) != 1 || int(s.Owners[0].PID) != os.Getpid() || s.Life.End != whose.EndOrderly {
				t.Errorf("port %d: %d bytes by %v, %v; want %d by %d", m.port, sent.Num, s.Owners, s.Life.End, m.bytes, os.Getpid())
			}
		}
		if found != 1 {
			t.Errorf("port %d, ended at %v: it is there %d times", m.port, m.ended, found)
		}
	}
	if s := outgoing[long.LocalAddr().(*net.TCPAddr).Port]; len(s) != 1 || s[0].Life == nil || s[0].Life.Opened.Sub(before).Abs() > time.Second {
		t.Errorf("the session that stood all the time: %+v", s)
	}
	_, said := h.ask("--from", from, "established")
	if n := strings.Count(said, "nothing is recorded from ") + strings.Count(said, "nothing is recorded at "); n != kills || !strings.Contains(said, "(the agent was down)") {
		t.Errorf("%d gaps after %d kills: %s", n, kills, said)
	}
	for format, want := range map[string]string{"csv": "proto,", "jsonl": `{"proto"`, "parquet": "PAR1"} {
		out, _ := h.ask("history", "export", "--format", format, "established")
		if lines := strings.Count(out, "\n"); !strings.HasPrefix(out, want) || format == "jsonl" && lines != len(got) || format == "csv" && lines != len(got)+1 {
			t.Errorf("export as %s begins with %.20q and has %d lines, for %d sessions", format, out, lines, len(got))
		}
	}
	then := h.sessions("--at", moment.Format(time.RFC3339Nano), "established")
	if text, want := endsOf(then), endsOf(listed); text != want {
		t.Errorf("the listing of then:\n%swant:\n%s", text, want)
	}
}

// endsOf writes the identity of sessions, in their order.
func endsOf(sessions []whose.Session) string {
	var b strings.Builder
	for _, s := range sessions {
		fmt.Fprintf(&b, "%v %v %v %v %d", s.Proto, s.Local, s.Remote, s.Direction, s.Cookie)
		for _, o := range s.Owners {
			fmt.Fprintf(&b, " %s %d", o.Comm, o.PID)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
