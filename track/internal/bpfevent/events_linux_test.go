package bpfevent

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// patience is how long a record may take on a busy machine.
const patience = 20 * time.Second

// A watch collects the records of one source.
type watch struct {
	t      *testing.T
	source *Source
	stop   func()

	lost uint64 // sockets that were, as far as oneUnlessLost has found

	mu      sync.Mutex
	records []Record
}

// newWatch opens a source and reads it until the test ends.
func newWatch(t *testing.T, c Config) *watch {
	t.Helper()
	testenv.NeedRoot(t)
	testenv.NeedCap(t, unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN)
	if c.FlushEvery == 0 {
		c.FlushEvery = 20 * time.Millisecond
	}
	source, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	w := &watch{t: t, source: source}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- source.Read(ctx, w.take) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("read: %v", err)
		}
	})
	t.Cleanup(func() {
		w.stop()
		if err := source.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return w
}

// inNetNS returns a configuration that tells of one network namespace.
func inNetNS(ns *testenv.NetNS) Config {
	return Config{Text: true, Query: asking(source.Query{NetNS: []uint32{ns.Inode()}})}
}

func (w *watch) take(r *Record) error {
	c := *r
	c.Text, c.Exe = slices.Clone(r.Text), slices.Clone(r.Exe)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records = append(w.records, c)
	return nil
}

// all returns the records so far that match.
func (w *watch) all(match func(*Record) bool) []Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []Record
	for i := range w.records {
		if match(&w.records[i]) {
			found = append(found, w.records[i])
		}
	}
	return found
}

// oneUnlessLost is one, but returns false where the kernel is one that runs no
// program while process 1 does (testenv.GuardsInit), and what no program saw is
// counted as lost.
func (w *watch) oneUnlessLost(what string, match func(*Record) bool) (Record, bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); testenv.GuardsInit(); time.Sleep(time.Millisecond) {
		lost, err := w.source.Losses()
		if err != nil {
			w.t.Fatal(err)
		}
		if told := len(w.all(match)) > 0; told || time.Now().After(deadline) {
			break
		}
		if lost.Sockets > w.lost {
			w.lost = lost.Sockets
			return Record{}, false
		}
	}
	return w.one(what, match), true
}

// want waits for n records that match, and fails the test without, or if there
// are more in the end.
func (w *watch) want(n int, what string, match func(*Record) bool) []Record {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		found := w.all(match)
		if len(found) >= n && n > 0 {
			if len(found) > n {
				w.t.Fatalf("%s: %d records, want %d: %+v", what, len(found), n, found)
			}
			return found
		}
		if time.Now().After(deadline) {
			lost, err := w.source.Losses()
			w.t.Fatalf("%s: %d records, want %d; %d in all, lost %+v, %v", what, len(found), n, len(w.all(func(*Record) bool { return true })), lost, err)
		}
		time.Sleep(time.Millisecond)
	}
}

func (w *watch) one(what string, match func(*Record) bool) Record {
	w.t.Helper()
	return w.want(1, what, match)[0]
}

// of matches the records of a kind and a socket.
func of(k Kind, cookie uint64) func(*Record) bool {
	return func(r *Record) bool { return r.Kind == k && r.Cookie == cookie }
}

func local(r *Record) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(r.Local).Unmap(), r.LocalPort)
}

func remote(r *Record) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(r.Remote).Unmap(), r.RemotePort)
}

// asking completes a query with all protocols, families and states where it
// names none.
func asking(q source.Query) *source.Query {
	q.Protos = cmp.Or(q.Protos, whose.AllProtos)
	q.Families = cmp.Or(q.Families, whose.AllFamilies)
	q.States = cmp.Or(q.States, whose.AllStates)
	return &q
}

// waitFor waits for a condition.
func waitFor(t testing.TB, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !met(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
