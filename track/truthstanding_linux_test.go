// Many sessions that stand: what it takes to begin beside them, and to count them.

package track_test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/testenv"
	"github.com/seed-44df2ae6/whose/track"
)

// standingEnds is how many ends stand.
const standingEnds = 100_000

// A standing load holds ends of connections in a namespace of its own.
type standing struct {
	netns uint32
	// ends counts those of each process, listeners those that listen.
	ends      map[procID]int
	listeners int
	end       func()
}

// hold lets n ends stand until the test ends, or end is called.
func hold(t testing.TB, n int) *standing {
	t.Helper()
	program, ns := buildLoad(t), testenv.NewNetNS(t)
	dir := filepath.Dir(program)
	cmd := exec.Command(program, dir, "hold", strconv.Itoa(n/2))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stderr := new(bytes.Buffer)
	cmd.Stderr = stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Start(cmd); err != nil {
		t.Fatalf("start load: %v", err)
	}
	s := &standing{netns: ns.Inode(), ends: make(map[procID]int)}
	s.end = sync.OnceFunc(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("load: %v\n%s", err, stderr)
		}
	})
	t.Cleanup(func() {
		s.end()
		unix.Kill(-cmd.Process.Pid, unix.SIGKILL) // whoever is left of its group
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Fatalf("load: %q, %v\n%s", line, err, stderr)
	}
	s.read(t, filepath.Join(dir, "log"))
	return s
}

// read reads who holds how many.
func (s *standing) read(t testing.TB, log string) {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := fields{raw: make(map[string]string)}
		for pair := range strings.FieldsSeq(line) {
			name, value, _ := strings.Cut(pair, "=")
			f.raw[name] = value
		}
		s.ends[f.proc()] = int(f.number("ends"))
		s.listeners++
		if f.err != nil {
			t.Fatal(f.err)
		}
	}
}

// TestTruth_Standing begins beside many sessions. Each is told once, with its
// owner, counted while it stands, and told once as closed.
func TestTruth_Standing(t *testing.T) {
	needTracker(t)
	n := scaled(t, standingEnds)
	s := hold(t, n)
	f := follow(t, roomy)
	stats := f.tracker.Stats()
	t.Logf("%d ends stood: start took %v, %v of it the snapshot", n, stats.Start, stats.Snapshot)
	here := inNetNS(t, s.netns)
	began := time.Now()
	count := f.tracker.Count(here)
	t.Logf("counting took %v", time.Since(began))
	if want := n + s.listeners; count != want {
		t.Errorf("the live table counts %d, want %d", count, want)
	}
	s.end()
	for deadline := time.Now().Add(3 * patience); f.tracker.Count(here) > 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if left := f.tracker.Count(here); left > 0 {
		t.Errorf("%d sessions stay in the live table after all are closed", left)
	}
	events := f.stop(t)
	s.judge(t, newJudge(t, newTruth(), f), events, f.lost)
}

// judge wants each end told as standing and as closed, once.
func (s *standing) judge(t *testing.T, j *judge, events []whose.Event, lost uint64) {
	t.Helper()
	type seen struct{ standing, closed int }
	sockets, owned, strangers := make(map[uint64]*seen), make(map[procID]int), 0
	for i := range events {
		e := &events[i]
		if e.Session.NetNS != s.netns || e.Session.State == whose.Listen || e.Kind == whose.EventUnlisten || e.Kind == whose.EventOwned {
			continue
		}
		one := sockets[e.Session.Cookie]
		if one == nil {
			one = new(seen)
			sockets[e.Session.Cookie] = one
		}
		switch e.Kind {
		case whose.EventStanding:
			one.standing++
			if id, ok := s.owner(j, e); ok {
				owned[id]++
			} else {
				strangers++
			}
		case whose.EventClose:
			one.closed++
		default:
			t.Errorf("told: %s", describe(&told{*e, i}))
		}
	}
	wrong, open := 0, uint64(0)
	for _, one := range sockets {
		if one.standing != 1 || one.closed > 1 {
			wrong++
		} else if one.closed == 0 {
			open++
		}
	}
	if wrong > 0 || strangers > 0 {
		t.Errorf("of %d sockets %d were not told once as standing, or twice as closed, %d had another owner", len(sockets), wrong, strangers)
	}
	// All of them are closed at once, which is more than the ring holds.
	if open > lost {
		t.Errorf("%d closes are missing, %d are told as lost", open, lost)
	}
	t.Logf("%d closes were lost, %d told as lost", open, lost)
	for id, n := range s.ends {
		if owned[id] != n {
			t.Errorf("process %d holds %d ends, %d were told", id.pid, n, owned[id])
		}
	}
}

// owner returns the process of the load that an event names alone.
func (s *standing) owner(j *judge, e *whose.Event) (procID, bool) {
	if len(e.Session.Owners) == 1 {
		for id := range s.ends {
			if j.is(&e.Session.Owners[0], id) {
				return id, true
			}
		}
	}
	return procID{}, false
}

func inNetNS(t testing.TB, inode uint32) filter.Expr {
	t.Helper()
	e, err := filter.Parse("netns " + strconv.FormatUint(uint64(inode), 10))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// BenchmarkStart begins beside many sessions that stand.
func BenchmarkStart(b *testing.B) {
	needTracker(b)
	hold(b, scaled(b, standingEnds))
	var snapshot time.Duration
	for b.Loop() {
		tracker, err := track.Start(b.Context(), &track.Options{Source: "bpf", NoInitial: true})
		if err != nil {
			b.Fatal(err)
		}
		snapshot += tracker.Stats().Snapshot
		b.StopTimer()
		if err := tracker.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(snapshot.Milliseconds())/float64(b.N), "snapshot-ms/op")
}

// BenchmarkCount counts them in the live table.
func BenchmarkCount(b *testing.B) {
	needTracker(b)
	s := hold(b, scaled(b, standingEnds))
	tracker, err := track.Start(b.Context(), &track.Options{Source: "bpf", NoInitial: true})
	if err != nil {
		b.Fatal(err)
	}
	defer tracker.Close()
	for _, test := range []struct {
		name  string
		where filter.Expr
	}{{"all", nil}, {"netns", inNetNS(b, s.netns)}} {
		b.Run(test.name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				n = tracker.Count(test.where)
			}
			if n < scaled(b, standingEnds) {
				b.Errorf("counts %d", n)
			}
		})
	}
}
