// The truth about the past: what a load did is what its history says.

package track_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/history"
	"github.com/seed-44df2ae6/whose/history/store"
)

// clockSet is by how much the clock of a kept load is set in its course.
const clockSet = 3 * time.Hour

// A kept load writes the history of a load, by a clock of its own: midnight is near,
// and the clock is set forward later.
type kept struct {
	t    testing.TB
	opts store.Options
	// begin is the true time of the beginning, midnight that of the first midnight.
	begin, midnight time.Time
	stop            chan struct{}
	stopped         sync.WaitGroup

	mu  sync.Mutex // of the writer while it is exchanged, and of the clock
	w   *store.Writer
	set time.Duration // by how much the clock was set
	at  time.Time     // when it was set, by the true clock
}

// keep begins a history. Midnight comes a while after.
func keep(t testing.TB, midnight time.Duration) *kept {
	t.Helper()
	k := &kept{t: t, begin: time.Now(), stop: make(chan struct{})}
	k.midnight = k.begin.Add(midnight)
	k.opts = store.Options{
		Dir: filepath.Join(t.TempDir(), "history"), GID: -1, Host: "truth", Boot: "this one", Now: k.now,
		Since:  func() time.Duration { return time.Duration(bootNow(t)) },
		Report: func(err error) { t.Errorf("history: %v", err) },
	}
	k.create()
	k.stopped.Go(func() {
		for tick := time.NewTicker(time.Second); ; {
			select {
			case <-k.stop:
				tick.Stop()
				return
			case <-tick.C:
			case <-k.writer().Due():
			}
			if err := k.writer().Flush(context.Background()); err != nil {
				t.Errorf("flush: %v", err)
			}
		}
	})
	t.Cleanup(k.end)
	return k
}

func (k *kept) create() {
	var err error
	if k.w, err = store.Create(context.Background(), k.opts); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kept) writer() *store.Writer {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.w
}

// shift is what the clock shows beyond the true time, at first.
func (k *kept) shift() time.Duration {
	return k.midnight.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(k.midnight)
}

// now is the clock.
func (k *kept) now() time.Time { return time.Now().Add(k.shift() + k.set) }

// then is the time of the clock at a true time.
func (k *kept) then(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	if t = t.Add(k.shift()); k.set > 0 && t.Sub(k.at) > k.shift() {
		t = t.Add(k.set)
	}
	return t
}

// really is the true time at which the clock showed another.
func (k *kept) really(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	if t = t.Add(-k.shift()); t.Sub(k.begin) > clockSet/2 {
		t = t.Add(-clockSet)
	}
	return t
}

// add keeps an event, with its times by the clock.
func (k *kept) add(e *whose.Event) {
	k.mu.Lock()
	defer k.mu.Unlock()
	shifted := *e
	for _, t := range []*time.Time{&shifted.Time, &shifted.Opened, &shifted.Closed} {
		*t = k.then(*t)
	}
	k.w.Add(&shifted)
}

// restart lets another writer go on.
func (k *kept) restart() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.w.Close(context.Background()); err != nil {
		k.t.Error(err)
	}
	k.create()
}

// setClock sets the clock.
func (k *kept) setClock() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.at, k.set = time.Now(), clockSet
}

func (k *kept) end() {
	k.mu.Lock()
	w := k.w
	k.w = nil
	k.mu.Unlock()
	if w == nil {
		return
	}
	close(k.stop)
	if err := w.Close(context.Background()); err != nil {
		k.t.Error(err)
	}
}

// TestTruth_History keeps the history of a load over a midnight, another start of
// the writer and a clock that is set. What it says happened is what the load did.
// What it says stood at a moment is what stood then.
func TestTruth_History(t *testing.T) {
	needTracker(t)
	l, begin := newLoad(t, truthNetNS, scaled(t, truthTCP), scaled(t, truthUDP))
	k := keep(t, 3*time.Second)
	opts := roomy
	opts.Needs = whose.NeedDefault | whose.NeedExe | whose.NeedCmdline | whose.NeedTCPInfo | whose.NeedLife
	f := followTo(t, opts, k.add)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, step := range []func(){k.restart, k.restart, k.setClock, k.restart} {
			time.Sleep(1200 * time.Millisecond)
			step()
		}
	}()
	begin()
	tr := l.truth(t)
	f.wait(tr, patience)
	told := f.stop(t)
	<-done
	k.end()
	report(t, f, tr, told)

	src, err := store.Open(k.opts.Dir, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	p := &pastOf{kept: k, src: src}
	events, cov := p.events()
	t.Logf("%d events in the history, gaps: %v", len(events), cov.Gaps)
	if n := cov.Gaps.Count(whose.GapEvents); n != int(f.lost) {
		t.Errorf("%d events are said to be lost, %d were", n, f.lost)
	}
	causes := make(map[whose.Cause]int)
	for _, g := range cov.Gaps {
		causes[g.Cause]++
	}
	// Down: three times another writer went on, and before and after the history.
	if causes[whose.CauseDown] != 5 || causes[whose.CauseChanged] != 1 {
		t.Errorf("want 5 gaps without an agent and a clock that was set once: %v", cov.Gaps)
	}
	j := newJudge(t, tr, f)
	j.judge(events)
	acquit(t, j, f, events)
	p.spans(tr, j)
	p.moments(tr, j)
}

// A pastOf asks for the past of a kept load.
type pastOf struct {
	*kept
	src history.Source
}

func (p *pastOf) query(from, to time.Time) *history.Query {
	return &history.Query{From: from, To: to, Env: filter.Env{Now: to}}
}

// all is the question about all of it.
func (p *pastOf) all() *history.Query {
	return p.query(p.begin.Add(p.shift()-time.Hour), p.begin.Add(p.shift()+clockSet+time.Hour))
}

// events returns all events with their true times.
func (p *pastOf) events() ([]whose.Event, whose.Coverage) {
	p.t.Helper()
	var all []whose.Event
	cov, err := p.src.Events(p.t.Context(), p.all(), func(e *whose.Event) bool {
		one := *e
		if e.Session.TCP != nil {
			tcp := *e.Session.TCP
			one.Session.TCP = &tcp
		}
		for _, t := range []*time.Time{&one.Time, &one.Opened, &one.Closed} {
			*t = p.really(*t)
		}
		all = append(all, one)
		return true
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return all, cov
}

// A sessionID tells the sessions of a load: a socket may have several.
func sessionID(s *whose.Session) string {
	return fmt.Sprint(s.Cookie, s.Remote, s.Life.FirstSeen.UnixMicro())
}

// spans wants each session once among those of the whole time.
func (p *pastOf) spans(tr *truth, j *judge) {
	p.t.Helper()
	own, seen, sockets := j.namespaces(), make(map[string]int), make(map[uint64]int)
	_, err := p.src.Sessions(p.t.Context(), p.all(), func(s *whose.Session) bool {
		if own[s.NetNS] {
			seen[sessionID(s)]++
			sockets[s.Cookie]++
		}
		return true
	})
	if err != nil {
		p.t.Fatal(err)
	}
	twice := 0
	for id, n := range seen {
		if n != 1 {
			if twice++; twice < 5 {
				p.t.Errorf("session %s is there %d times", id, n)
			}
		}
	}
	missing := 0
	for cookie, ends := range tr.byCookie() {
		if n := len(ends); cookie != 0 && sockets[cookie] != n {
			if missing++; missing < 5 {
				p.t.Errorf("socket %d is there %d times, want %d: %v", cookie, sockets[cookie], n, ends[0])
			}
		}
	}
	if twice+missing > 0 {
		p.t.Errorf("%d sessions are there twice, %d sockets not as often as they were used", twice, missing)
	}
}

// moments is how many moments are asked about.
const moments = 100

// moments asks for moments by chance: each session that surely stood then is there,
// once, and none that had surely ended or not begun.
func (p *pastOf) moments(tr *truth, j *judge) {
	p.t.Helper()
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
	first, last := int64(1<<62), int64(0)
	for i := range tr.ends {
		if e := &tr.ends[i]; e.kind == "session" && e.begin > 0 {
			first, last = min(first, e.begin), max(last, e.end)
		}
	}
	stood, wrong := 0, 0
	for range moments {
		at := first + r.Int64N(last-first)
		shown := p.then(j.wall(at))
		there := make(map[uint64]int)
		_, err := p.src.Sessions(p.t.Context(), p.query(shown, shown), func(s *whose.Session) bool {
			there[s.Cookie]++
			return true
		})
		if err != nil {
			p.t.Fatal(err)
		}
		for cookie, ends := range tr.byCookie() {
			if cookie == 0 || len(ends) > 1 || ends[0].kind != "session" {
				continue
			}
			e := ends[0]
			did := e.open > 0 && e.open+int64(slack) < at && at < e.end-int64(slack) && e.by == "here"
			didNot := e.begin > at+int64(slack)
			if n := there[cookie]; did && n != 1 || didNot && n != 0 {
				if wrong++; wrong < 5 {
					p.t.Errorf("at boot %d: socket %d is there %d times: %v", at, cookie, n, e)
				}
			}
			if did {
				stood++
			}
		}
	}
	p.t.Logf("%d sessions stood at %d moments", stood, moments)
	if wrong > 0 || stood == 0 {
		p.t.Errorf("%d of %d answers about a session at a moment are wrong", wrong, stood)
	}
}
