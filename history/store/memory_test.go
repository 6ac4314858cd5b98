package store

import (
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/history"
)

// liveHeap returns the bytes of the live heap.
func liveHeap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestWriter_MemoryOfStandingSessions counts what a session that stands keeps of the
// heap, after its row was written, and what stays when all have ended.
func TestWriter_MemoryOfStandingSessions(t *testing.T) {
	const n, most = 50_000, 250
	now := noon
	w, err := Create(t.Context(), Options{Dir: t.TempDir() + "/history", GID: -1, Boot: "b", Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	owners := []whose.Owner{{Process: &whose.Process{PID: 7, Comm: "nginx"}}}
	event := func(i int, kind whose.EventKind) {
		w.Add(&whose.Event{Time: now, Kind: kind, Lifetime: whose.Lifetime{Opened: noon}, Session: whose.Session{
			Local:  netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), 443),
			Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 50_000),
			Proto:  whose.TCP, Family: whose.IPv4, State: whose.Established, Direction: whose.In,
			Cookie: uint64(i + 1), Inode: uint64(i + 1), NetNS: 4026531833, User: "www-data", NetNSName: "self", Owners: owners,
		}})
	}
	before := liveHeap()
	for i := range n {
		event(i, whose.EventOpen)
	}
	now = now.Add(time.Second)
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	each := (liveHeap() - before) / n
	t.Logf("%d bytes for a session that stands", each)
	if each > most {
		t.Errorf("%d bytes for a session that stands, want at most %d", each, most)
	}
	for i := range n {
		if event(i, whose.EventClose); i%1000 == 0 {
			if err := w.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	event(n, whose.EventOpen) // another event is the occasion to give room back
	now = now.Add(time.Second)
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := liveHeap() - before
	t.Logf("%d bytes after all have ended", left)
	if room := 8 << 20; left > room { // of the entries that wait for a block
		t.Errorf("%d bytes after all have ended, want at most %d", left, room)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestWriter_BoundOfStandingSessions: a session beyond the bound is there by its end, and
// a gap counts it.
func TestWriter_BoundOfStandingSessions(t *testing.T) {
	now := noon
	w, err := Create(t.Context(), Options{Dir: t.TempDir() + "/history", GID: -1, Boot: "b", MaxLive: 3, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	event := func(cookie uint64, kind whose.EventKind) {
		w.Add(&whose.Event{Time: now, Kind: kind, Lifetime: whose.Lifetime{Opened: noon}, Session: whose.Session{
			Proto: whose.TCP, Family: whose.IPv4, State: whose.Established, Cookie: cookie,
			Local: netip.MustParseAddrPort("10.0.0.1:443"), Remote: netip.MustParseAddrPort("10.0.0.2:5000"),
		}})
	}
	for cookie := range uint64(5) {
		event(cookie+1, whose.EventOpen)
	}
	if n := w.Stats().Live; n != 3 {
		t.Errorf("%d sessions stand, want 3", n)
	}
	now = now.Add(2 * time.Second)
	event(5, whose.EventOwned) // of one without room
	event(5, whose.EventClose)
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := Open(w.opts.Dir, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	coverage, err := r.Sessions(t.Context(), &history.Query{From: noon, To: now.Add(time.Second)}, func(*whose.Session) bool { n++; return true })
	if err != nil || n != 4 {
		t.Errorf("%d sessions, %v; want the 3 that stand and the one that ended", n, err)
	}
	for _, g := range coverage.Gaps {
		if g.Cause == whose.CauseLimit && g.Count >= 2 {
			return
		}
	}
	t.Errorf("no gap counts the sessions without room: %+v", coverage.Gaps)
}

// TestWriter_RowsOfManyStandingSessions: a commit writes some of the rows only, so ends
// do not wait for all, and the last one the rest.
func TestWriter_RowsOfManyStandingSessions(t *testing.T) {
	const n = 2*mostRows + 100
	now := noon
	w, err := Create(t.Context(), Options{Dir: t.TempDir() + "/history", GID: -1, Boot: "b", Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		w.Add(&whose.Event{Time: now, Kind: whose.EventStanding, Session: whose.Session{
			Proto: whose.TCP, Family: whose.IPv4, State: whose.Established, Cookie: uint64(i + 1),
			Local: netip.MustParseAddrPort("10.0.0.1:443"), Remote: netip.MustParseAddrPort("10.0.0.2:5000"),
		}})
	}
	rows := func() (rows int) {
		now = now.Add(time.Second)
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := w.file.conn.QueryRowContext(t.Context(), "SELECT count(*) FROM live").Scan(&rows); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	if got := rows(); got != mostRows {
		t.Errorf("%d rows after a commit, want %d", got, mostRows)
	}
	now = now.Add(24 * time.Hour)
	if got := rows(); got != n {
		t.Errorf("%d rows after the first commit of another day, want all %d", got, n)
	}
	for i := range mostRows + 10 { // new owners change their rows
		w.Add(&whose.Event{Time: now, Kind: whose.EventOwned, Session: whose.Session{
			Proto: whose.TCP, Family: whose.IPv4, State: whose.Established, Cookie: uint64(i + 1), User: "x",
			Local: netip.MustParseAddrPort("10.0.0.1:443"), Remote: netip.MustParseAddrPort("10.0.0.2:5000"),
		}})
	}
	rows()
	if left := len(w.live.changed); left != 10 {
		t.Errorf("%d rows wait, want 10", left)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := len(w.live.changed); left != 0 {
		t.Errorf("%d rows wait after the end", left)
	}
}

// TestWriter_LooksBesideCommits: commits are made while a look at what stands works, and
// events come.
func TestWriter_LooksBesideCommits(t *testing.T) {
	w, err := Create(t.Context(), Options{Dir: t.TempDir() + "/history", GID: -1, Boot: "b"})
	if err != nil {
		t.Fatal(err)
	}
	const n = 3000
	session := func(cookie uint64) whose.Session {
		return whose.Session{
			Proto: whose.TCP, Family: whose.IPv4, State: whose.Established, Cookie: cookie,
			Local: netip.MustParseAddrPort("10.0.0.1:443"), Remote: netip.MustParseAddrPort("10.0.0.2:5000"),
		}
	}
	add := func(cookie uint64, kind whose.EventKind) {
		now := time.Now()
		w.Add(&whose.Event{Time: now, Kind: kind, Lifetime: whose.Lifetime{Opened: now}, Session: session(cookie)})
	}
	var working sync.WaitGroup
	working.Go(func() {
		for cookie := range uint64(n) {
			if add(cookie+1, whose.EventOpen); cookie%2 == 0 {
				add(cookie+1, whose.EventClose)
			}
		}
	})
	working.Go(func() {
		for range 20 {
			w.Reconcile(func(yield func(whose.Session) bool) {
				for cookie := range uint64(n) {
					if cookie%2 == 1 && !yield(session(cookie+1)) {
						return
					}
				}
			})
		}
	})
	working.Go(func() {
		for range 20 {
			if err := w.Flush(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	working.Wait()
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := Open(w.opts.Dir, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[uint64]int)
	all := &history.Query{From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour)}
	if _, err := r.Sessions(t.Context(), all, func(s *whose.Session) bool { found[s.Cookie]++; return true }); err != nil {
		t.Fatal(err)
	}
	for cookie := range uint64(n) {
		if cookie%2 == 0 && found[cookie+1] == 0 {
			t.Fatalf("session %d ended and is not there", cookie+1)
		}
	}
}
