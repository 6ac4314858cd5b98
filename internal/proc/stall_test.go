package proc

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A stall is work of numbers whose calls of the stuck numbers do not return
// before the test ends.
type stall struct {
	stuck func(i int) bool
	free  chan struct{}
	once  sync.Once
	back  atomic.Int64
	calls atomic.Int64
}

func newStall(t *testing.T, stuck func(i int) bool) *stall {
	s := &stall{stuck: stuck, free: make(chan struct{})}
	t.Cleanup(s.release)
	return s
}

func (s *stall) release() { s.once.Do(func() { close(s.free) }) }

func (s *stall) work(n int) *calls[int] {
	return &calls[int]{
		n: n,
		do: func(i int, note func(int)) int {
			s.calls.Add(1)
			note(-i)
			if s.stuck(i) {
				<-s.free
			}
			return i
		},
		back: func(int) { s.back.Add(1) },
	}
}

// quickCrew gives up soon. Calls of the tests that return do so at once.
func quickCrew(t *testing.T) *crew {
	c := &crew{patience: 50 * time.Millisecond}
	t.Cleanup(c.close)
	return c
}

func count(results []result[int], e end) int {
	n := 0
	for _, r := range results {
		if r.end == e {
			n++
		}
	}
	return n
}

func TestMakeCalls_All(t *testing.T) {
	c := &crew{patience: time.Hour}
	defer c.close()
	for _, n := range []int{0, 1, 1000} {
		for i, r := range makeCalls(t.Context(), c, newStall(t, func(int) bool { return false }).work(n)) {
			if r != (result[int]{i, made}) {
				t.Fatalf("call %d of %d came to %+v", i, n, r)
			}
		}
	}
}

// The calls that do not return are given up, keep what they noted, and hold up
// none of the others.
func TestMakeCalls_GivesUp(t *testing.T) {
	s := newStall(t, func(i int) bool { return i%30 == 7 })
	c := quickCrew(t)
	results := makeCalls(t.Context(), c, s.work(300))
	for i, r := range results {
		want := result[int]{i, made}
		if s.stuck(i) {
			want = result[int]{-i, givenUp}
		}
		if r != want {
			t.Errorf("call %d came to %+v, want %+v", i, r, want)
		}
	}
	if room := c.room(); room != maxLost-10 {
		t.Errorf("%d more calls may be given up, want %d", room, maxLost-10)
	}
	before := slices.Clone(results)
	s.release()
	await(t, func() bool { return c.room() == maxLost })
	if s.back.Load() != 10 || !slices.Equal(before, results) {
		t.Errorf("%d calls are back, want 10, and their results change nothing", s.back.Load())
	}
}

// However many calls do not return, no more than so many threads are held, and
// the pass ends.
func TestMakeCalls_Many(t *testing.T) {
	s := newStall(t, func(int) bool { return true })
	c := quickCrew(t)
	results := makeCalls(t.Context(), c, s.work(10_000))
	if got := count(results, givenUp); got != maxLost || s.calls.Load() != maxLost {
		t.Errorf("%d calls were given up of %d, want %d", got, s.calls.Load(), maxLost)
	}
	if results := makeCalls(t.Context(), c, s.work(5)); count(results, notMade) != 5 {
		t.Errorf("with all threads held, further calls came to %+v", results)
	}
	s.release()
	await(t, func() bool { return c.room() == maxLost })
	if results := makeCalls(t.Context(), c, s.work(5)); count(results, made) != 5 {
		t.Errorf("with all threads back, calls came to %+v", results)
	}
}

// A pass ends with its context, however long the patience is.
func TestMakeCalls_Context(t *testing.T) {
	s := newStall(t, func(i int) bool { return i == 3 })
	c := &crew{patience: time.Hour}
	defer c.close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		await(t, func() bool { return s.calls.Load() == 4 })
		cancel()
	}()
	results := makeCalls(ctx, c, s.work(10))
	if count(results, made) != 3 || results[3].end != givenUp || count(results, notMade) != 6 {
		t.Errorf("calls came to %+v", results)
	}
}

// A call costs neither a goroutine nor a timer.
func TestMakeCalls_Allocations(t *testing.T) {
	c := &crew{patience: time.Hour}
	defer c.close()
	few, many := newStall(t, func(int) bool { return false }).work(1), newStall(t, func(int) bool { return false }).work(1000)
	cost := func(work *calls[int]) float64 {
		return testing.AllocsPerRun(100, func() { makeCalls(context.Background(), c, work) })
	}
	if one, thousand := cost(few), cost(many); thousand > one+2 {
		t.Errorf("a pass of one call allocates %v times, one of a thousand %v times", one, thousand)
	}
}

func TestAwait(t *testing.T) {
	if ran := false; !Await(t.Context(), func() { ran = true }) || !ran {
		t.Error("work that returns is not awaited")
	}
	free := make(chan struct{})
	defer close(free)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if Await(ctx, func() { <-free }) {
		t.Error("work that does not return is said to have returned")
	}
	defer func() {
		if recover() == nil {
			t.Error("the panic is lost")
		}
	}()
	Await(t.Context(), func() { panic("of the work") })
}

// await waits until it is so.
func await(t *testing.T, so func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within a minute")
		}
	}
}

func BenchmarkMakeCalls(b *testing.B) {
	c := new(crew)
	defer c.close()
	for _, n := range []int{1, 1000} {
		work := &calls[int]{n: n, do: func(i int, _ func(int)) int { return i }}
		b.Run(map[int]string{1: "one", 1000: "thousand"}[n], func(b *testing.B) {
			for b.Loop() {
				makeCalls(context.Background(), c, work)
			}
		})
	}
}
