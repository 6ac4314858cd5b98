package lots

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
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
	const most = mostWaiting + (1+others)*(piece+entry)
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
