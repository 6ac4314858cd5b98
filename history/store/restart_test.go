//go:build unix

package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/history"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// span is the question about all that a rig has.
func (r *rig) span() history.Query {
	return history.Query{From: noon, To: r.now, Env: filter.Env{Now: r.now}}
}

// TestKill kills the writer at moments by chance. A session that ended two seconds
// before is there, once; each time of nobody is a gap; a standing one keeps its
// beginning.
func TestKill(t *testing.T) {
	r, m := newRig(t, Options{}), newMaker(3)
	long := m.session()
	long.State, long.Remote = whose.Established, m.end()
	opened := r.now.Add(time.Second)
	r.pass(time.Second)
	r.add(whose.Event{Time: opened, Kind: whose.EventOpen, Lifetime: whose.Lifetime{Opened: opened}, Session: long})
	ended := make(map[uint64]time.Time)
	kills := 0
	var killed []time.Time
	for range 60 {
		for range 1 + m.IntN(30) {
			events := m.life(r.now, r.now.Add(time.Second))
			last := events[len(events)-1]
			for i := range events {
				events[i].Time = r.now
				if !events[i].Opened.IsZero() {
					events[i].Opened = r.now
				}
				if events[i].Kind.Ends() {
					events[i].Closed = r.now
				}
				r.add(events[i])
			}
			ended[last.Session.Cookie] = r.now
			r.now, r.boot = r.now.Add(time.Millisecond), r.boot+time.Millisecond
		}
		r.pass(time.Second)
		if m.IntN(3) > 0 {
			continue
		}
		kills++
		for range m.IntN(3) { // something is on its way
			r.add(m.life(r.now, r.now.Add(time.Second))[0])
		}
		killed = append(killed, r.now)
		r.kill()
		r.now, r.boot = r.now.Add(20*time.Second), r.boot+20*time.Second
		r.start()
		r.add(whose.Event{Time: r.now, Kind: whose.EventStanding, Lifetime: whose.Lifetime{StoodBefore: true}, Session: long})
		for range 2 {
			r.w.Reconcile(slices.Values([]whose.Session{long}))
			r.pass(time.Second)
		}
	}
	if kills < 10 {
		t.Fatalf("%d kills try nothing", kills)
	}
	r.pass(3 * time.Second)
	got, cov := r.sessions(r.span())
	seen := make(map[uint64]int)
	for i := range got {
		seen[got[i].Cookie]++
		if got[i].Cookie == long.Cookie && !got[i].Life.Opened.Equal(opened) {
			t.Errorf("the long session opened at %v, want %v", got[i].Life.Opened, opened)
		}
	}
	for cookie := range ended {
		if seen[cookie] != 1 {
			t.Errorf("session %d is there %d times", cookie, seen[cookie])
		}
	}
	if seen[long.Cookie] != 1 {
		t.Errorf("the long session is there %d times", seen[long.Cookie])
	}
	downs := 0
	for _, g := range cov.Gaps {
		if g.Kind == whose.GapTime && g.Cause == whose.CauseDown {
			downs++
			if at := killed[downs-1]; g.From.After(at) || g.To.Before(at.Add(20*time.Second)) {
				t.Errorf("gap from %v to %v, but nobody wrote from %v on", g.From, g.To, at)
			}
		}
	}
	if downs != kills {
		t.Errorf("%d gaps of %d times without a writer: %v", downs, kills, cov.Gaps)
	}
}

// TestReboot: after another start of the host nothing stands on.
func TestReboot(t *testing.T) {
	r, m := newRig(t, Options{}), newMaker(4)
	s := m.session()
	s.State = whose.Established
	r.add(whose.Event{Time: r.now, Kind: whose.EventOpen, Lifetime: whose.Lifetime{Opened: r.now}, Session: s})
	for range 3 {
		r.pass(time.Second)
	}
	r.kill()
	r.now, r.opts.Boot = r.now.Add(time.Minute), "boot 2"
	r.boot = 0
	r.start()
	r.pass(time.Second)
	if got, _ := r.sessions(history.Query{From: noon.Add(time.Second / 2), To: noon.Add(time.Second / 2)}); len(got) != 1 {
		t.Errorf("before: %v", got)
	}
	if got, _ := r.sessions(history.Query{From: r.now, To: r.now}); len(got) != 0 {
		t.Errorf("after: %v", got)
	}
}

// TestReconcile: a session that is gone without an event is not there for ever, and
// one that no event reported is found.
func TestReconcile(t *testing.T) {
	r, m := newRig(t, Options{}), newMaker(5)
	bound, found := m.session(), m.session()
	bound.Proto, bound.State, found.State = whose.UDP, whose.Unconn, whose.Established
	r.add(whose.Event{Time: r.now, Kind: whose.EventBind, Lifetime: whose.Lifetime{Opened: r.now}, Session: bound})
	for range 4 {
		r.pass(5 * time.Second)
		r.w.Reconcile(slices.Values([]whose.Session{found}))
	}
	r.pass(time.Second)
	r.pass(time.Second)
	got, _ := r.sessions(history.Query{From: r.now, To: r.now})
	if len(got) != 1 || got[0].Cookie != found.Cookie || !got[0].Life.Opened.IsZero() || got[0].Life.FirstSeen.IsZero() {
		t.Errorf("standing: %v", got)
	}
	got, _ = r.sessions(history.Query{From: noon.Add(time.Second), To: noon.Add(time.Second)})
	if len(got) != 1 || got[0].Cookie != bound.Cookie || !got[0].Life.Closed.IsZero() {
		t.Errorf("at first: %v", got)
	}
}

// TestClock: a clock that is set, either way, loses nothing and is said.
func TestClock(t *testing.T) {
	for _, by := range []time.Duration{2 * time.Hour, -2 * time.Hour, 400 * 24 * time.Hour, -400 * 24 * time.Hour} {
		r, m := newRig(t, Options{}), newMaker(6)
		var cookies []uint64
		add := func() {
			s := m.session()
			cookies = append(cookies, s.Cookie)
			r.add(whose.Event{Time: r.now, Kind: whose.EventClose, Session: s, Lifetime: whose.Lifetime{Closed: r.now, Opened: r.now, End: whose.EndOrderly}})
			r.pass(time.Second)
		}
		add()
		r.now = r.now.Add(by)
		add()
		r.now = r.now.Add(-by)
		add()
		first, last := noon.Add(-500*24*time.Hour), noon.Add(500*24*time.Hour)
		got, cov := r.sessions(history.Query{From: first, To: last})
		if len(got) != len(cookies) {
			t.Errorf("by %v: %d sessions of %d", by, len(got), len(cookies))
		}
		set := 0
		for _, g := range cov.Gaps {
			if g.Cause == whose.CauseChanged && strings.Contains(g.Detail, whyClock) {
				set++
			}
		}
		if set != 2 {
			t.Errorf("by %v: %v, want the clock set twice", by, cov.Gaps)
		}
	}
}

// TestBroken: a file that is not whole is set aside, the others are as before.
func TestBroken(t *testing.T) {
	r, m := newRig(t, Options{}), newMaker(7)
	r.play(m, 300)
	before, _ := r.sessions(history.Query{From: noon, To: noon.Add(11 * time.Hour)})
	// A connect that failed never stood: the file of its end alone has it.
	before = slices.DeleteFunc(before, func(s whose.Session) bool {
		return s.State == whose.SynSent && !s.Life.Closed.Before(noon.Add(12*time.Hour))
	})
	r.stop()
	names, err := dir{r.opts.Dir}.list()
	if err != nil || len(names) != 2 {
		t.Fatalf("files %v, %v", names, err)
	}
	path := filepath.Join(r.opts.Dir, names[1].String())
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096; i < len(text); i += 7 {
		text[i] ^= 0x5a
	}
	if err := os.WriteFile(path, text, fileMode); err != nil {
		t.Fatal(err)
	}
	if _, faults, err := Verify(t.Context(), r.opts.Dir); err != nil || len(faults) != 1 {
		t.Errorf("verify: %v, %v", faults, err)
	}
	r.start()
	r.pass(time.Second)
	if len(r.told) == 0 {
		t.Error("nobody was told")
	}
	if _, err := os.Stat(path + badSuffix); err != nil {
		t.Error(err)
	}
	r.add(m.life(r.now.Add(-time.Minute), r.now)[0])
	r.pass(time.Second)
	after, cov := r.sessions(history.Query{From: noon, To: r.now})
	if len(after) < len(before) {
		t.Errorf("%d sessions, %d before", len(after), len(before))
	}
	if !slices.ContainsFunc(cov.Gaps, func(g whose.Gap) bool { return strings.Contains(g.Detail, "set aside") }) {
		t.Errorf("gaps %v", cov.Gaps)
	}
}

// TestFull: while nothing can be written nothing stops. Waiting entries are written
// later, and those without room are counted.
func TestFull(t *testing.T) {
	r, m := newRig(t, Options{}), newMaker(8)
	r.pass(time.Second)
	var pages int
	if err := r.w.file.conn.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	limit := func(n int) {
		if _, err := r.w.file.conn.ExecContext(t.Context(), "PRAGMA max_page_count = "+itoa(n)); err != nil {
			t.Fatal(err)
		}
	}
	limit(pages)
	n := maxPending + 500
	for range n {
		s := m.session()
		r.w.Add(&whose.Event{Time: r.now, Kind: whose.EventClose, Session: s, Lifetime: whose.Lifetime{Closed: r.now, Opened: r.now, End: whose.EndOrderly}})
	}
	if err := r.w.Flush(t.Context()); err == nil {
		t.Fatal("the file is not full: the test tries nothing")
	}
	if len(r.told) != 1 || r.told[0] == nil {
		t.Errorf("told %v, want the failure once", r.told)
	}
	limit(1 << 30)
	r.pass(retry)
	if len(r.told) != 2 || r.told[1] != nil {
		t.Errorf("told %v, want that it works again", r.told)
	}
	r.pass(time.Second)
	got, cov := r.sessions(r.span())
	if len(got) != maxPending {
		t.Errorf("%d sessions, want %d", len(got), maxPending)
	}
	if lost := cov.Gaps.Count(whose.GapEvents); lost != n-maxPending {
		t.Errorf("%d are said to be lost, want %d: %v", lost, n-maxPending, cov.Gaps)
	}
}

// TestSlowDisk: events wait for no commit, however long it takes. They are there
// afterwards, but for those without room: these are counted.
func TestSlowDisk(t *testing.T) {
	for _, fails := range []bool{false, true} {
		r, m := newRig(t, Options{}), newMaker(12)
		r.pass(time.Second)
		writing, goOn := make(chan struct{}), make(chan struct{})
		r.w.disk = func() { writing <- struct{}{}; <-goOn }
		var stood []whose.Session // over the commit, or ended in its course
		end := func(s whose.Session) {
			r.w.Add(&whose.Event{Time: r.now, Kind: whose.EventClose, Session: s, Lifetime: whose.Lifetime{Closed: r.now, Opened: r.now, End: whose.EndOrderly}})
		}
		for range 20 {
			s := m.session()
			s.Proto, s.State = whose.TCP, whose.Established
			stood = append(stood, s)
			r.w.Add(&whose.Event{Time: r.now.Add(-time.Second), Kind: whose.EventOpen, Session: s, Lifetime: whose.Lifetime{Opened: r.now.Add(-time.Second)}})
		}
		const before, more = 1000, 300
		for range before {
			end(m.session())
		}
		ctx, cancel := context.WithCancel(t.Context())
		flushed := make(chan error, 1)
		go func() { flushed <- r.w.Flush(ctx) }()
		<-writing
		for i := range 10 {
			end(stood[i])
		}
		for range maxPending - 10 + more {
			end(m.session())
		}
		room := maxPending
		if fails {
			room -= before // these come back
			cancel()
		}
		close(goOn)
		if err := <-flushed; (err != nil) != fails {
			t.Fatalf("flush: %v", err)
		}
		cancel()
		r.w.disk = nil
		select {
		case <-r.w.Due():
		default:
			t.Error("nobody says that a commit is due")
		}
		r.pass(retry)
		r.pass(time.Second)
		got, cov := r.sessions(r.span())
		written := before + room
		if fails {
			written = maxPending
		}
		if want := written + 10; len(got) != want {
			t.Errorf("fails %v: %d sessions, want %d", fails, len(got), want)
		}
		if lost, want := cov.Gaps.Count(whose.GapEvents), before+maxPending+more-written; lost != want {
			t.Errorf("fails %v: %d are said to be lost, want %d: %v", fails, lost, want, cov.Gaps)
		}
		if standing, _ := r.sessions(history.Query{From: r.now, To: r.now}); len(standing) != 10 {
			t.Errorf("fails %v: %d stand, want 10", fails, len(standing))
		}
	}
}

func itoa(n int) string {
	var b column
	if n >= 10 {
		b = column(itoa(n / 10))
	}
	return string(append(b, byte('0'+n%10)))
}

func TestPrune(t *testing.T) {
	r, m := newRig(t, Options{Days: 3}), newMaker(9)
	for range 8 {
		r.add(m.life(r.now, r.now.Add(time.Second))[0])
		r.pass(24 * time.Hour)
	}
	names, err := dir{r.opts.Dir}.list()
	if err != nil || len(names) < 4 || len(names) > 6 {
		t.Errorf("files %v, %v: want those of three days", names, err)
	}
	removed, err := Prune(r.opts.Dir, Limits{Bytes: 1})
	if left, _ := (dir{r.opts.Dir}).list(); err != nil || len(left) != 1 || len(removed) < len(names)-1 {
		t.Errorf("removed %v, %v, left %v", removed, err, left)
	}
}

func TestLock(t *testing.T) {
	r := newRig(t, Options{})
	if _, err := Create(t.Context(), r.opts); !errors.Is(err, ErrLocked) {
		t.Errorf("a second writer: %v", err)
	}
}

// TestHostileDir tries directories and links of others.
func TestHostileDir(t *testing.T) {
	tried, wrong := 0, 0
	try := func(what, path string) {
		tried++
		w, err := Create(t.Context(), Options{Dir: path, GID: -1})
		if err == nil {
			wrong++
			t.Errorf("%s: it is taken", what)
			_ = w.Close(t.Context())
		}
		if _, err := Open(path, time.UTC); err == nil {
			wrong++
			t.Errorf("%s: it is read", what)
		}
	}
	base := t.TempDir()
	mode := func(name string, mode os.FileMode) string {
		path := filepath.Join(base, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	try("writable by all", mode("open", 0o777))
	try("writable by a group", mode("group", 0o770))
	try("below one writable by all", filepath.Join(mode("above", 0o777), "history"))
	if err := os.Symlink(mode("real", 0o755), filepath.Join(base, "link")); err != nil {
		t.Fatal(err)
	}
	try("a link", filepath.Join(base, "link"))
	try("below a link", filepath.Join(base, "link", "history"))
	try("relative", "history")
	planted := mode("planted", 0o755)
	for name, to := range map[string]string{lockName: "/dev/null", "2026-03-01-000001.db": "/etc/passwd"} {
		if err := os.Symlink(to, filepath.Join(planted, name)); err != nil {
			t.Fatal(err)
		}
	}
	try("with planted links", planted)
	testenv.Tried(t, tried, wrong)
}

// TestModes: root and the group may read, nobody else.
func TestModes(t *testing.T) {
	base := t.TempDir()
	old := unix.Umask(0)
	defer unix.Umask(old)
	r := newRig(t, Options{Dir: filepath.Join(base, "history")})
	r.pass(time.Second)
	for path, want := range map[string]os.FileMode{r.opts.Dir: dirMode, r.w.dir.join(r.w.file.name): fileMode, r.w.dir.join(r.w.file.name) + "-wal": fileMode} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
}

func TestNoCmdline(t *testing.T) {
	r, m := newRig(t, Options{NoCmdline: true, Keep: filter.Compile(parsed(t, "nginx"), filter.Env{})}), newMaker(10)
	r.play(m, 300)
	got, _ := r.sessions(r.span())
	if len(got) == 0 {
		t.Fatal("nothing is kept")
	}
	for _, s := range got {
		nginx := false
		for _, o := range s.Owners {
			nginx = nginx || o.Comm == "nginx"
			if o.Cmdline != "" {
				t.Fatalf("a command line is kept: %q", o.Cmdline)
			}
		}
		if !nginx {
			t.Fatalf("kept: %v", s)
		}
	}
}

// TestVersion pins the library: before 3.51.3 a reset of the WAL may break a file.
func TestVersion(t *testing.T) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var version string
	if err := db.QueryRowContext(context.Background(), "SELECT sqlite_version()").Scan(&version); err != nil {
		t.Fatal(err)
	}
	var major, minor, patch int
	for i, part := range strings.Split(version, ".") {
		n := 0
		for _, c := range part {
			n = 10*n + int(c-'0')
		}
		*[]*int{&major, &minor, &patch}[i] = n
	}
	if major*1_000_000+minor*1_000+patch < 3_051_003 {
		t.Errorf("SQLite %s, want 3.51.3 or newer", version)
	}
	t.Logf("SQLite %s", version)
}

// FuzzBlock reads any text as a block.
func FuzzBlock(f *testing.F) {
	m := newMaker(11)
	var entries []entry
	for range 20 {
		s := m.session()
		e := entry{facts: factsOf(&s), at: 10, from: 5}
		e.kind = closed
		entries = append(entries, e)
	}
	enc := encoder{names: fixedNames{}}
	f.Add(enc.block(nil, entries))
	f.Add([]byte{blockVersion})
	f.Fuzz(func(t *testing.T, text []byte) {
		v := view{ref: &reference{progs: map[uint64]*progKey{}, places: map[uint64]*place{}, whole: true}}
		if v.open(text) != nil {
			return
		}
		_ = v.each(func(i int, p *packed) {
			var e entry
			v.entry(i, p, &e)
			var ev whose.Event
			var info whose.TCPInfo
			e.beginning(&ev, time.UTC)
			e.event(&ev, &info, time.UTC)
		})
	})
}

type fixedNames struct{}

func (fixedNames) prog(*whose.Process) uint64 { return 1 }
func (fixedNames) place(*place) uint64        { return 1 }
