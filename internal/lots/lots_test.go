package lots

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
)

// Each entry is in one lot, and each lot is called once.
func TestEach(t *testing.T) {
	for _, n := range []int{0, 1, 9, 10, 11, 1000} {
		for _, others := range []int{0, 1, 7} {
			list := Of(n, 10)
			seen, numbers := make([]atomic.Int32, n), make([]atomic.Int32, list.Len())
			Each(list, others, func() func(Lot) {
				last := -1
				return func(l Lot) {
					if l.No <= last {
						t.Errorf("lot %d after lot %d", l.No, last)
					}
					last = l.No
					numbers[l.No].Add(1)
					for i := l.From; i < l.To; i++ {
						seen[i].Add(1)
					}
				}
			})
			for i := range seen {
				if seen[i].Load() != 1 {
					t.Errorf("%d entries, %d others: entry %d seen %d times", n, others, i, seen[i].Load())
				}
			}
			for i := range numbers {
				if numbers[i].Load() != 1 {
					t.Errorf("%d entries, %d others: lot %d called %d times", n, others, i, numbers[i].Load())
				}
			}
		}
	}
}

// unevenTexts are entries of very different lengths: none, some bytes, and more
// than is kept before its turn.
func unevenTexts(n int) []string {
	r := rand.New(rand.NewPCG(3, 4))
	texts := make([]string, n)
	for i := range texts {
		switch r.IntN(50) {
		case 0:
		case 1:
			texts[i] = strings.Repeat(fmt.Sprint(i, ","), piece/8)
		default:
			texts[i] = fmt.Sprint("entry ", i, "\n")
		}
	}
	return texts
}

// encoderOf returns encoders of texts. They give way now and then, so lots end
// in any order.
func encoderOf(texts []string) func() Encoder {
	var made atomic.Uint64
	return func() Encoder {
		r := rand.New(rand.NewPCG(5, made.Add(1)))
		return func(dst []byte, i int) ([]byte, error) {
			if r.IntN(3) == 0 {
				runtime.Gosched()
			}
			return append(dst, texts[i]...), nil
		}
	}
}

func TestWrite_InOrder(t *testing.T) {
	texts := unevenTexts(500)
	want := strings.Join(texts, "")
	for _, size := range []int{1, 3, 16, 499, 500, 501} {
		for _, others := range []int{0, 1, 2, 7} {
			var b bytes.Buffer
			if err := Write(&b, Of(len(texts), size), others, encoderOf(texts)); err != nil {
				t.Fatal(err)
			}
			if b.String() != want {
				t.Errorf("lots of %d on %d goroutines: other text than on one", size, 1+others)
			}
		}
	}
}

var errBad = errors.New("bad entry")

// The first bad entry ends the output just before it, whoever comes to one first.
func TestWrite_EncoderError(t *testing.T) {
	texts := unevenTexts(500)
	for _, bad := range []int{0, 1, 100, 499} {
		want := strings.Join(texts[:bad], "")
		for _, others := range []int{0, 1, 7} {
			var b bytes.Buffer
			enc := encoderOf(texts)
			err := Write(&b, Of(len(texts), 4), others, func() Encoder {
				good := enc()
				return func(dst []byte, i int) ([]byte, error) {
					if i == bad || i > bad+20 {
						return dst, fmt.Errorf("entry %d: %w", i, errBad)
					}
					return good(dst, i)
				}
			})
			if err == nil || err.Error() != fmt.Sprintf("entry %d: bad entry", bad) {
				t.Errorf("%d others: error %v, want that of entry %d", others, err, bad)
			}
			if b.String() != want {
				t.Errorf("%d others: %d bytes written, want the %d before entry %d", others, b.Len(), len(want), bad)
			}
		}
	}
}

// A failing writer is not called again, and the rest is not made.
func TestWrite_WriterError(t *testing.T) {
	texts := unevenTexts(50_000)
	for _, others := range []int{0, 1, 7} {
		calls := 0
		var made atomic.Int64
		enc := encoderOf(texts)
		err := Write(writerFunc(func(p []byte) (int, error) {
			if calls++; calls == 3 {
				return 0, errBad
			}
			return len(p), nil
		}), Of(len(texts), 4), others, func() Encoder {
			next := enc()
			return func(dst []byte, i int) ([]byte, error) {
				made.Add(1)
				return next(dst, i)
			}
		})
		if !errors.Is(err, errBad) || calls != 3 {
			t.Errorf("%d others: error %v after %d calls, want the writer's of call 3", others, err, calls)
		}
		if n := made.Load(); n == int64(len(texts)) {
			t.Errorf("%d others: all %d entries were made for nothing", others, n)
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// However slow the writer, only so much is made before its turn.
func TestWrite_Bounded(t *testing.T) {
	const entry, size, others = 8 << 10, 16, 7
	const most = mostText + (1+others)*(piece+entry)
	text := strings.Repeat("x", entry)
	var made, written, worst atomic.Int64
	err := Write(writerFunc(func(p []byte) (int, error) {
		for still, last := 0, int64(-1); still < 100; still++ {
			if now := made.Load(); now != last {
				still, last = 0, now
			}
			runtime.Gosched()
		}
		worst.Store(max(worst.Load(), made.Load()-written.Load()))
		written.Add(int64(len(p)))
		return len(p), nil
	}), Of(4000, size), others, func() Encoder {
		return func(dst []byte, _ int) ([]byte, error) {
			made.Add(entry)
			return append(dst, text...), nil
		}
	})
	if err != nil || written.Load() != 4000*entry {
		t.Fatalf("%d bytes written, error %v", written.Load(), err)
	}
	if t.Logf("at most %d KiB unwritten", worst.Load()>>10); worst.Load() > most {
		t.Errorf("%d bytes were made before their turn, want at most %d", worst.Load(), most)
	}
}

// TestWrite_FeedsAll wants a lot for each goroutine at the same time: none ends
// its first lot before all have one.
func TestWrite_FeedsAll(t *testing.T) {
	for _, all := range []int{1, 2, 4, 8} {
		const lots, size = 64, 10
		var together sync.WaitGroup
		together.Add(all)
		taken := make([]atomic.Int64, all)
		var workers atomic.Int64
		err := Write(writerFunc(func(p []byte) (int, error) { return len(p), nil }), Of(lots*size, size), all-1, func() Encoder {
			me := workers.Add(1) - 1
			return func(dst []byte, i int) ([]byte, error) {
				if taken[me].Add(1) == 1 {
					together.Done()
					together.Wait()
				}
				if i%size == 0 {
					runtime.Gosched()
				}
				return append(dst, 'x'), nil
			}
		})
		if err != nil || workers.Load() != int64(all) {
			t.Errorf("%d goroutines worked, want %d; error %v", workers.Load(), all, err)
		}
		sum := int64(0)
		for i := range taken {
			sum += taken[i].Load()
		}
		if sum != lots*size {
			t.Errorf("%d entries were made, want %d", sum, lots*size)
		}
	}
}

// Feed hands over each session, in order and whole, while readers write over
// what they gave.
func TestFeed_InOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 7))
	want := make(Slice, 10*feedSize+3)
	for i := range want {
		want[i] = whose.Session{Inode: uint64(i), Owners: someOwners(r), Peer: someOwners(r)}
	}
	for _, others := range []int{0, 1, 2, 7} {
		next := 0
		err := Feed(borrowed{want}, others, func(s *whose.Session) error {
			if diff := cmp.Diff(&want[next], s, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
				return fmt.Errorf("session %d (-want +got):\n%s", next, diff)
			}
			next++
			return nil
		})
		if err != nil || next != len(want) {
			t.Errorf("%d others: %d of %d sessions, error %v", others, next, len(want), err)
		}
		next = 0
		err = Feed(want, others, func(*whose.Session) error {
			if next++; next == 700 {
				return errBad
			}
			return nil
		})
		if !errors.Is(err, errBad) || next != 700 {
			t.Errorf("%d others: %d sessions taken, error %v; want 700 and that of the last", others, next, err)
		}
	}
}

func someOwners(r *rand.Rand) (list []whose.Owner) {
	for range r.IntN(4) {
		o := whose.Owner{Process: &whose.Process{PID: r.Uint32()}}
		for range r.IntN(3) {
			o.FDs = append(o.FDs, r.Int32())
		}
		list = append(list, o)
	}
	return list
}

// borrowed gives all sessions of a reader in one place, with their owners.
type borrowed struct{ Slice }

func (b borrowed) Reader() func(int) *whose.Session {
	var one whose.Session
	var own batch
	return func(i int) *whose.Session {
		for k := range own.fds {
			own.fds[k] = -1
		}
		clear(own.owners)
		own.reset()
		one = b.Slice[i]
		one.Owners, one.Peer = own.copied(one.Owners), own.copied(one.Peer)
		return &one
	}
}

// A panic on any goroutine reaches the caller, and nobody waits for ever.
func TestPanic(t *testing.T) {
	list := Of(100, 1)
	for _, others := range []int{0, 1, 7} {
		for name, do := range map[string]func(){
			"Each": func() {
				Each(list, others, func() func(Lot) { return func(l Lot) { panicAt(l.No, 40) } })
			},
			"Write, encoder": func() {
				_ = Write(io.Discard, list, others, func() Encoder {
					return func(dst []byte, i int) ([]byte, error) {
						panicAt(i, 40)
						return append(dst, make([]byte, piece/2)...), nil
					}
				})
			},
			"Write, writer": func() {
				n := 0
				_ = Write(writerFunc(func([]byte) (int, error) {
					n++
					panicAt(n, 40)
					return 1, nil
				}), list, others, func() Encoder {
					return func(dst []byte, _ int) ([]byte, error) { return append(dst, 'x'), nil }
				})
			},
			"Feed": func() {
				n := 0
				_ = Feed(make(Slice, 100*feedSize), others, func(*whose.Session) error {
					n++
					panicAt(n, 40*feedSize)
					return nil
				})
			},
		} {
			func() {
				defer func() {
					if f := recover(); f != "at 40" && f != fmt.Sprint("at ", 40*feedSize) {
						t.Errorf("%s, %d others: recovered %v", name, others, f)
					}
				}()
				do()
			}()
		}
	}
}

func panicAt(i, bad int) {
	if i == bad {
		panic(fmt.Sprint("at ", i))
	}
}
