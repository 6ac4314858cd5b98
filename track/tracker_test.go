package track

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
	"github.com/seed-44df2ae6/whose/track/internal/ledger"
	"github.com/seed-44df2ae6/whose/track/internal/script"
)

// A fakeKernel is a source whose records the test gives.
type fakeKernel struct {
	records chan bpfevent.Record
	broken  chan error
	mu      sync.Mutex
	losses  Losses
	flows   []ledger.Flow
	closed  bool
}

func newFakeKernel() *fakeKernel {
	return &fakeKernel{records: make(chan bpfevent.Record), broken: make(chan error)}
}

func (k *fakeKernel) Read(ctx context.Context, fn func(*bpfevent.Record) error) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-k.broken:
			return err
		case r := <-k.records:
			if err := fn(&r); err != nil {
				return err
			}
		}
	}
}

func (k *fakeKernel) Losses() (Losses, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.losses, nil
}

func (k *fakeKernel) Flows(fn func(*ledger.Flow) bool, ended func(*ledger.Flow)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.flows {
		if fn(&k.flows[i]) {
			ended(&k.flows[i])
		}
	}
	return nil
}

func (k *fakeKernel) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	return nil
}

// fakeClock is the clock of a synctest bubble.
type fakeClock struct{ start time.Time }

func (c fakeClock) Now() time.Time                         { return time.Now() }
func (c fakeClock) Boot() time.Duration                    { return time.Since(c.start) + began*time.Millisecond }
func (c fakeClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// fakeTracker starts a tracker over a fake kernel. snapshot is called for each
// snapshot; nil: there is nothing.
func fakeTracker(t *testing.T, opts Options, kernel kernelSource, source string, snapshot func(first bool) ([]whose.Session, error)) *Tracker {
	t.Helper()
	opts.Clock = fakeClock{time.Now()}
	opts.Collector = collect.Open()
	p := &plan{opts: opts}
	p.setDefaults()
	p.env.Now = time.Now()
	p.needs = whose.NeedOwners
	p.setWant()
	tr := newTracker(p)
	tr.follow(kernel, Source{Name: source})
	tr.snapshot = func(_ context.Context, first bool) (*sight, error) {
		if snapshot == nil {
			return sightOf(nil), nil
		}
		s, err := snapshot(first)
		return sightOf(s), err
	}
	if err := tr.start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return tr
}

// all closes the tracker and returns what it told, as lines without times.
func all(t *testing.T, tr *Tracker) []string {
	t.Helper()
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	return next(t, tr, 1<<30)
}

// next returns the next n events as lines without times.
func next(t *testing.T, tr *Tracker, n int) (lines []string) {
	t.Helper()
	for e, err := range tr.Events(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		line := lineOf(&e)
		if e.Kind != whose.EventStanding {
			_, line, _ = strings.Cut(line, " ")
		}
		if lines = append(lines, line); len(lines) == n {
			break
		}
	}
	return lines
}

func TestTracker_SnapshotAndRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kernel := newFakeKernel()
		tr := fakeTracker(t, Options{}, kernel, SourceBPF, func(first bool) ([]whose.Session, error) {
			if first { // programs are attached before the snapshot is taken
				kernel.records <- record(bpfevent.TCPOpen, 0, 2, out, by("curl", 7))
				synctest.Wait() // until it was taken
				return []whose.Session{stood(1, whose.Established, owner("a", 1)), stood(2, whose.Established, owner("curl", 7))}, nil
			}
			return nil, errors.New("not now")
		})
		if n := tr.Count(nil); n != 2 {
			t.Errorf("%d sessions, want 2", n)
		}
		kernel.records <- record(bpfevent.TCPOpen, 1, 3)
		time.Sleep(2 * time.Second) // nobody accepts it
		got := next(t, tr, 3)
		want := []string{
			"standing out tcp 10.0.0.1:1001>10.0.0.2:80 a/1 since",
			"open out tcp 10.0.0.1:1002>10.0.0.2:80 curl/7",
			"open in tcp 10.0.0.1:1003>10.0.0.2:80 accept-queue",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		time.Sleep(time.Minute)
		if s := tr.Source(); len(s.Gaps) != 1 || !strings.Contains(s.Gaps[0].String(), "not now") {
			t.Errorf("gaps %v, want that a snapshot could not be taken, once", s.Gaps)
		}
		kernel.records <- record(bpfevent.TCPOpen, 70_000, 4)
		if diff := cmp.Diff([]string{"open in tcp 10.0.0.1:1004>10.0.0.2:80 accept-queue"}, all(t, tr)); diff != "" {
			t.Error(diff)
		}
		if !kernel.closed {
			t.Error("the source was not closed")
		}
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestTracker_Losses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kernel := newFakeKernel()
		tr := fakeTracker(t, Options{MaxEvents: 2, MaxSessions: 3}, kernel, SourceBPF, nil)
		for i := range 4 {
			kernel.records <- record(bpfevent.TCPOpen, i, uint64(i+1), out, by("curl", 7))
		}
		kernel.mu.Lock()
		kernel.losses.Ring, kernel.losses.Recursion = 5, 6
		kernel.mu.Unlock()
		time.Sleep(2 * time.Second)
		kernel.mu.Lock()
		kernel.losses.Ring = 7 // after the last look
		kernel.mu.Unlock()
		want := []string{
			"open out tcp 10.0.0.1:1001>10.0.0.2:80 curl/7",
			"open out tcp 10.0.0.1:1002>10.0.0.2:80 curl/7",
			"lost 1 " + whyTable, "lost 6 " + whyRecursion, "lost 5 " + whyRing,
			"lost 2 " + whyRing,
			"lost 2 " + whyReader,
		}
		if diff := cmp.Diff(want, all(t, tr), sorted); diff != "" {
			t.Error(diff)
		}
		s := tr.Stats()
		if want := (Losses{Ring: 7, Recursion: 6, Table: 1, Reader: 2}); s.Lost != want || want.Total() != 16 {
			t.Errorf("losses %+v, want %+v", s.Lost, want)
		}
	})
}

func TestTracker_IdleFlows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kernel := newFakeKernel()
		tr := fakeTracker(t, Options{UDPIdle: 3 * time.Second}, kernel, SourceBPF, nil)
		kernel.records <- record(bpfevent.UDPOpen, 0, 1, udp, out, by("ntp", 3))
		kernel.mu.Lock()
		kernel.flows = []ledger.Flow{{Key: ledger.FlowKey{Cookie: 1, Remote: addr("10.0.0.2"), Port: 80}, Last: began * 1e6, Sent: whose.Traffic{Bytes: 1, Datagrams: 1}}}
		kernel.mu.Unlock()
		time.Sleep(5 * time.Second)
		want := []string{
			"open out udp 10.0.0.1:1001>10.0.0.2:80 ntp/3",
			"close out udp 10.0.0.1:1001>10.0.0.2:80 ntp/3 idle 1/1 0/0",
		}
		if diff := cmp.Diff(want, all(t, tr)); diff != "" {
			t.Error(diff)
		}
	})
}

// TestTracker_Interval: later snapshots come at their interval, and soon where
// one has to be confirmed.
func TestTracker_Interval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var taken []time.Duration
		start := time.Now()
		tr := fakeTracker(t, Options{}, newFakeKernel(), SourceBPF, func(first bool) ([]whose.Session, error) {
			taken = append(taken, time.Since(start))
			who := owner("a", 1)
			if len(taken) > 2 {
				who = owner("b", 2)
			}
			return []whose.Session{stood(1, whose.Established, who)}, nil
		})
		time.Sleep(33 * time.Second)
		tr.Close()
		s := time.Second
		if diff := cmp.Diff([]time.Duration{0, 10 * s, 20 * s, 21 * s, 31 * s}, taken); diff != "" {
			t.Errorf("snapshots were taken at:\n%s", diff)
		}
	})
}

// TestTracker_SlowSnapshots take a bounded share of the time.
func TestTracker_SlowSnapshots(t *testing.T) {
	for source, share := range map[string]int{SourceBPF: 20, SourceSnapshot: 5} {
		synctest.Test(t, func(t *testing.T) {
			var busy time.Duration
			tr := fakeTracker(t, Options{}, newFakeKernel(), source, func(bool) ([]whose.Session, error) {
				time.Sleep(2 * time.Second)
				busy += 2 * time.Second
				return nil, nil
			})
			time.Sleep(10 * time.Minute)
			tr.Close()
			if most := 10 * time.Minute / time.Duration(share) * 11 / 10; busy > most || busy < most/2 {
				t.Errorf("source %s: snapshots took %v of 10 minutes, want about a %dth", source, busy, share)
			}
		})
	}
}

func TestTracker_SourceBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kernel := newFakeKernel()
		tr := fakeTracker(t, Options{}, kernel, SourceBPF, nil)
		kernel.records <- record(bpfevent.TCPOpen, 0, 1, out, by("curl", 7))
		kernel.broken <- errors.New("ring gone")
		n := 0
		var last error
		for _, err := range tr.Events(context.Background()) {
			n++
			last = err
		}
		if n != 2 || last == nil || last.Error() != "follow sessions: ring gone" {
			t.Errorf("%d events, error %v", n, last)
		}
		tr.Close()
	})
}

func TestTracker_SnapshotFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kernel := newFakeKernel()
		p := &plan{opts: Options{Clock: fakeClock{time.Now()}, Collector: collect.Open()}}
		p.setDefaults()
		tr := newTracker(p)
		tr.follow(kernel, Source{Name: SourceBPF})
		tr.snapshot = func(context.Context, bool) (*sight, error) { return nil, errors.New("no") }
		if err := tr.start(context.Background()); err == nil || err.Error() != "follow sessions: take snapshot: no" {
			t.Errorf("error %v", err)
		}
		tr.Close()
		if !kernel.closed {
			t.Error("the source was not closed")
		}
	})
}

// TestTracker_TooMuchMeanwhile: what comes during the first snapshot is kept up
// to a bound, and the rest is told as lost.
func TestTracker_TooMuchMeanwhile(t *testing.T) {
	tr := fakeTracker(t, Options{NoInitial: true, Events: whose.SetOf(whose.EventFail)}, nil, SourceBPF, nil)
	tr.live = false
	r := record(bpfevent.TCPFail, 1, 1, out, opened(1))
	for range maxMeanwhile + 3 {
		tr.record(&r)
	}
	tr.goLive(nil, whose.Coverage{})
	tr.tellLosses()
	got := all(t, tr)
	if diff := cmp.Diff([]string{"fail out tcp 10.0.0.1:1001>10.0.0.2:80 unheld aborted", "lost 3 " + whyStart}, got); diff != "" {
		t.Error(diff)
	}
}

// TestTracker_Concurrent has readers of the live table beside a kernel that
// tells all the time; it is for the race detector, and every answer is true.
func TestTracker_Concurrent(t *testing.T) {
	kernel := newFakeKernel()
	tr := fakeTracker(t, Options{}, kernel, SourceBPF, func(first bool) ([]whose.Session, error) {
		return []whose.Session{stood(1_000_000, whose.Listen, owner("sshd", 1))}, nil
	})
	const n = 3000
	var wg sync.WaitGroup
	port := expr(t, "port 80 and process curl")
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if c := tr.Count(port); c > n {
					t.Errorf("count %d", c)
				}
				for s := range tr.Sessions(port) {
					if len(s.Owners) != 1 || s.Owners[0].Comm != "curl" {
						t.Errorf("session %v", s)
					}
				}
				tr.Append(nil, nil)
				tr.Stats()
				tr.Source()
			}
		})
	}
	wg.Go(func() {
		for range 3 {
			tr.reconcile(context.Background())
		}
	})
	events := make(chan int)
	go func() {
		seen := 0
		for range tr.Events(context.Background()) {
			seen++
		}
		events <- seen
	}()
	for i := range n {
		kernel.records <- record(bpfevent.TCPOpen, i, uint64(i+1), out, opened(i), by("curl", uint32(i%7+10)))
		if i >= 100 {
			kernel.records <- record(bpfevent.TCPClose, i, uint64(i-99), out, opened(i-100), from(whose.LastAck))
		}
	}
	close(stop)
	wg.Wait()
	if c := tr.Count(port); c != 100 {
		t.Errorf("at the end %d sessions, want 100", c)
	}
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	if seen := <-events; seen != 1+n+n-100 {
		t.Errorf("%d events, want %d", seen, 1+n+n-100)
	}
	if c := tr.Count(nil); c != 101 {
		t.Errorf("after Close %d sessions, want the table as it was", c)
	}
}

// A lookingKernel is a fakeKernel whose test says when a look is over.
type lookingKernel struct {
	*fakeKernel
	passed func(until uint64)
}

func (k *lookingKernel) OnLook(_ func(), end func(until uint64)) { k.passed = end }

// TestTracker_GivesOutByLooks: nothing is given out before a look is over, all
// is when the tracker is closed, losses in their place.
func TestTracker_GivesOutByLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kernel := &lookingKernel{fakeKernel: newFakeKernel()}
		tr := fakeTracker(t, Options{}, kernel, SourceBPF, nil)
		kernel.records <- record(bpfevent.TCPOpen, 20, 2, out, opened(20), by("b", 7))
		kernel.records <- record(bpfevent.TCPOpen, 10, 1, out, opened(10), by("a", 7))
		kernel.records <- record(bpfevent.TCPOpen, 40, 3, out, opened(40), by("c", 7))
		synctest.Wait()
		if n := tr.Count(nil); n != 3 {
			t.Errorf("%d sessions in the live table, want all that happened", n)
		}
		if n := tr.Stats().Events; n != 0 {
			t.Errorf("%d events before the look is over", n)
		}
		kernel.passed((began + 20) * 1e6)
		if n := tr.Stats().Events; n != 2 {
			t.Errorf("%d events after the look, want 2", n)
		}
		kernel.mu.Lock()
		kernel.losses.Ring = 5
		kernel.mu.Unlock()
		for i, want := range []string{
			"open out tcp 10.0.0.1:1001>10.0.0.2:80 a/7", "open out tcp 10.0.0.1:1002>10.0.0.2:80 b/7",
			"lost 5 " + whyRing, "open out tcp 10.0.0.1:1003>10.0.0.2:80 c/7",
		} {
			if i == 2 {
				if err := tr.Close(); err != nil {
					t.Error(err)
				}
			}
			if got := next(t, tr, 1)[0]; got != want {
				t.Errorf("event %d: %s, want %s", i, got, want)
			}
		}
	})
}

// The words of the script.
const began = script.Began

var (
	record, stood, owner = script.Record, script.Stood, script.Owner
	lineOf               = script.EventLine
	out, udp             = script.Out, script.UDP
	opened, from, by     = script.Opened, script.From, script.By
	addr                 = script.Addr
)

func expr(t testing.TB, text string) filter.Expr {
	t.Helper()
	e, err := filter.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// sorted compares lines without their order.
var sorted = cmpopts.SortSlices(func(a, b string) bool { return a < b })
