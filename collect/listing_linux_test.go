package collect_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"syscall"
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/lots"
	"github.com/seed-44df2ae6/whose/internal/render"
)

// listing makes an answer from a standing source with the facts for a format.
func listing(t testing.TB, n int, format string, sort ...string) *collect.Answer {
	t.Helper()
	c := collect.OpenWith(stand(n))
	t.Cleanup(func() { c.Close() })
	answer, err := c.Collect(context.Background(), &collect.Options{
		Source: collect.BPF, Needs: whose.NeedSessions | render.Needs(format, render.Options{}), Sort: sort,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(answer.Close)
	return answer
}

// Each goroutine reads the sessions of an answer in places of its own, and any
// number of them writes the same.
func TestListing_Workers(t *testing.T) {
	const n = 5000
	for _, format := range render.Formats() {
		if format == render.Template {
			continue
		}
		answer := listing(t, n, format)
		kept := lots.Slice(answer.Append(nil))
		var want, got bytes.Buffer
		for workers, sessions := range map[int]lots.Sessions{0: kept, 1: answer, 2: answer, 7: answer} {
			r, err := render.New(format, render.Options{Workers: workers})
			if err != nil {
				t.Fatal(err)
			}
			if want.Len() == 0 {
				if err := r.Write(&want, kept, &answer.Coverage); err != nil {
					t.Fatal(err)
				}
			}
			got.Reset()
			if err := r.Write(&got, sessions, &answer.Coverage); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want.Bytes()) {
				t.Errorf("%s: %d bytes on %d goroutines, other than the %d of sessions kept in memory", format, got.Len(), 1+workers, want.Len())
			}
		}
		if want.Len() < 50*n {
			t.Errorf("%s: %d bytes of %d sessions", format, want.Len(), n)
		}
	}
}

// A listing of many sessions, from the arrays to the text, takes no more
// allocations than one of few, but for its lots.
func TestListing_AllocatesNothingPerSession(t *testing.T) {
	const few, many = 10_000, 40_000
	answer := listing(t, many, render.JSON, "inode") // so that the few have all processes
	for _, format := range []string{render.JSON, render.JSONL, render.CSV, render.TSV, render.Table, render.Wide} {
		r, err := render.New(format, render.Options{})
		if err != nil {
			t.Fatal(err)
		}
		cost := func(n int) float64 {
			return testing.AllocsPerRun(5, func() {
				if err := r.Write(io.Discard, lots.First(n, answer), nil); err != nil {
					t.Fatal(err)
				}
			})
		}
		base, more := cost(few), cost(many)
		t.Logf("%s: %v allocations for %d sessions, %v for %d", format, base, few, more, many)
		if more-base > (many-few)/100 {
			t.Errorf("%s: %d more sessions take %v more allocations", format, many-few, more-base)
		}
	}
}

func TestAnswer_ReaderAfterClose(t *testing.T) {
	answer := listing(t, 100, render.TSV)
	if read := answer.Reader(); read(99).Local.Port() == 0 {
		t.Error("the last session has no port")
	}
	answer.Close()
	if answer.Reader(); answer.Len() != 0 {
		t.Errorf("closed, the answer has %d sessions", answer.Len())
	}
}

// BenchmarkListing reads an answer and renders it.
func BenchmarkListing(b *testing.B) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		for _, format := range []string{render.TSV, render.JSONL, render.Table} {
			b.Run(fmt.Sprint(format, "/", n), func(b *testing.B) {
				answer := listing(b, n, format)
				before := cpuTime()
				for b.Loop() {
					r, err := render.New(format, render.Options{Workers: 1})
					if err != nil {
						b.Fatal(err)
					}
					if err := r.Write(io.Discard, answer, &answer.Coverage); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(cpuTime()-before)/float64(b.N)/float64(n), "cpu-ns/session")
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/session")
			})
		}
	}
}

// cpuTime is the processor time of this process, in nanoseconds.
func cpuTime() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}
