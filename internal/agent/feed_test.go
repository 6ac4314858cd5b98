package agent

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// A script is a stream of so many events, each with its place as the errno and the
// round-trip time, after two that stand.
type script struct{ from, to int }

func (s script) Each(_ context.Context, fn func(*whose.Event) bool) error {
	var tcp whose.TCPInfo
	for i := -2; i < s.to-s.from; i++ {
		e := whose.Event{Kind: whose.EventClose}
		if i < 0 {
			e.Kind = whose.EventStanding
		}
		e.Errno = uint32(s.from + i)
		tcp.RTT = time.Duration(s.from + i)
		e.Session.TCP = &tcp
		if !fn(&e) {
			return nil
		}
		tcp = whose.TCPInfo{} // it was valid until fn returned
	}
	return nil
}

var begin = time.UnixMicro(1000)

// read reads what is there, with a buffer of so many.
func read(t *testing.T, r *Reader, size int) (errnos []uint32, lost []whose.Event) {
	t.Helper()
	items := make([]Item, size)
	for {
		n, err := r.Read(t.Context(), items)
		if errors.Is(err, io.EOF) {
			return errnos, lost
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range items[:n] {
			e := &items[i].Event
			if e.Kind == whose.EventLost {
				lost = append(lost, *e)
				continue
			}
			if e.Session.TCP.RTT != time.Duration(e.Errno) || items[i].Seq != 1000+uint64(e.Errno) {
				t.Errorf("event %d has the figures of %d and the number %d", e.Errno, e.Session.TCP.RTT, items[i].Seq)
			}
			errnos = append(errnos, e.Errno)
		}
	}
}

func span(from, to uint32) []uint32 {
	var all []uint32
	for ; from < to; from++ {
		all = append(all, from)
	}
	return all
}

func TestFeed_EveryReaderGetsEveryEvent(t *testing.T) {
	f := NewFeed(1000, begin)
	tapped := 0
	f.Tap(func(*whose.Event) { tapped++ })
	var wait sync.WaitGroup
	got := make([][]uint32, 20)
	for i := range got {
		r := f.Follow(f.Last())
		wait.Go(func() { got[i], _ = read(t, r, 2+i*7) })
	}
	for i := range 10 {
		if err := f.Run(t.Context(), script{i * 100, (i + 1) * 100}); err != nil {
			t.Fatal(err)
		}
	}
	f.End(nil)
	wait.Wait()
	for i, errnos := range got {
		if !slices.Equal(errnos, span(0, 1000)) {
			t.Errorf("reader %d got %d events: %v", i, len(errnos), errnos)
		}
	}
	if tapped != 1020 {
		t.Errorf("the tap got %d events, want 1000 and 20 that stood", tapped)
	}
}

// TestFeed_SlowReader lets one reader fall behind: it alone learns how many it lost.
func TestFeed_SlowReader(t *testing.T) {
	f := NewFeed(64, begin)
	slow, quick := f.Follow(f.Last()), f.Follow(f.Last())
	var all []uint32
	for i := range 10 {
		if err := f.Run(t.Context(), script{i * 50, (i + 1) * 50}); err != nil {
			t.Fatal(err)
		}
		items := make([]Item, 64)
		n, err := quick.Read(t.Context(), items)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range items[:n] {
			all = append(all, item.Event.Errno)
		}
	}
	f.End(nil)
	if !slices.Equal(all, span(0, 500)) {
		t.Errorf("the quick reader got %v", all)
	}
	got, lost := read(t, slow, 16)
	if !slices.Equal(got, span(436, 500)) || len(lost) != 1 || lost[0].Lost != 436 || lost[0].Why != whySlow || lost[0].Cause != whose.CauseLost {
		t.Errorf("the slow reader got %v and the losses %+v", got, lost)
	}
}

func TestFeed_Follow(t *testing.T) {
	for _, c := range []struct {
		name  string
		after uint64
		want  []uint32
		lost  uint64
		why   string
	}{
		{"the last", 1099, nil, 0, ""},
		{"one before", 1098, span(99, 100), 0, ""},
		{"the oldest that is kept", 1035, span(36, 100), 0, ""},
		{"one that is gone", 1034, span(36, 100), 1, whySlow},
		{"the beginning", 999, span(36, 100), 36, whySlow},
		{"an earlier agent", 998, span(36, 100), 0, whyAnew},
		{"none", 0, span(36, 100), 0, whyAnew},
		{"one to come", 1100, span(36, 100), 0, whyNever},
		{"the greatest", 1<<64 - 1, span(36, 100), 0, whyNever},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := NewFeed(64, begin)
			if err := f.Run(t.Context(), script{0, 100}); err != nil {
				t.Fatal(err)
			}
			r := f.Follow(c.after)
			f.End(nil)
			got, lost := read(t, r, 5)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if c.why == "" && len(lost) > 0 || c.why != "" && (len(lost) != 1 || lost[0].Lost != c.lost || lost[0].Why != c.why) {
				t.Errorf("lost %+v, want %d: %s", lost, c.lost, c.why)
			}
		})
	}
}

func TestFeed_Ends(t *testing.T) {
	f := NewFeed(64, begin)
	gone, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := f.Follow(f.Last()).Read(gone, make([]Item, 2)); !errors.Is(err, context.DeadlineExceeded) || len(f.waiting) > 0 {
		t.Errorf("a reader that left: %v, and %d wait", err, len(f.waiting))
	}
	broken := errors.New("broken")
	ended := make(chan error)
	go func() {
		_, err := f.Follow(f.Last()).Read(t.Context(), make([]Item, 2))
		ended <- err
	}()
	f.End(broken)
	f.End(nil) // the first counts
	if err := <-ended; !errors.Is(err, broken) {
		t.Errorf("a reader of a broken stream: %v", err)
	}
}

func BenchmarkFeed(b *testing.B) {
	f := NewFeed(Kept, begin)
	e := whose.Event{Kind: whose.EventClose, Session: whose.Session{TCP: &whose.TCPInfo{}}}
	b.ReportAllocs()
	for b.Loop() {
		f.put(&e)
	}
}
