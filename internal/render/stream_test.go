package render

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/lots"
)

const sampleTemplate = `{{.local_port}} {{owners .owners}} {{json .}}`

// Workers change nothing but the time.
func TestRenderer_Workers(t *testing.T) {
	sessions := randomSessions(5*lotSize+1, 7)
	r := rand.New(rand.NewPCG(8, 9))
	for _, format := range Formats() {
		for _, n := range []int{0, 1, lotSize, lotSize + 1, r.IntN(len(sessions)), len(sessions)} {
			for _, width := range []int{0, 80} {
				some := sessions[:n]
				if r.IntN(2) == 0 {
					some = slices.SortedStableFunc(slices.Values(some), listenersFirst)
				}
				if width > 0 && format != Table && format != Wide {
					continue
				}
				opts := Options{Width: width, Template: sampleTemplate}
				want := rendered(t, format, opts, some)
				for _, workers := range []int{1, 2, 7} {
					opts.Workers = workers
					if rendered(t, format, opts, some) != want {
						t.Errorf("%s of %d sessions on %d goroutines differs from that on one, width %d", format, n, 1+workers, width)
					}
				}
			}
		}
	}
}

func listenersFirst(a, b whose.Session) int {
	switch {
	case a.IsListener() == b.IsListener():
		return 0
	case a.IsListener():
		return -1
	}
	return 1
}

var errFull = errors.New("disk full")

// A fullWriter fails after some bytes.
type fullWriter struct {
	room, calls int
}

func (w *fullWriter) Write(p []byte) (int, error) {
	w.calls++
	if w.room -= len(p); w.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// A writer's error ends the output and is returned. Nothing more is written, and
// no goroutine stays behind.
func TestRenderer_WriteError(t *testing.T) {
	before := runtime.NumGoroutine()
	sessions := lots.Slice(randomSessions(40*lotSize, 3))
	for _, format := range Formats() {
		for _, workers := range []int{0, 2} {
			for _, room := range []int{0, 1 << 18} {
				r, err := New(format, Options{Workers: workers, Template: sampleTemplate})
				if err != nil {
					t.Fatal(err)
				}
				w := &fullWriter{room: room}
				if err := r.Write(w, sessions, nil); !errors.Is(err, errFull) {
					t.Errorf("%s, %d workers: Write returned %v, want the writer's error", format, workers, err)
				}
				if failed := w.calls; w.room+room < -1<<20 || failed > 1+room {
					t.Errorf("%s, %d workers: after the error %d bytes more were written", format, workers, -w.room)
				}
			}
		}
	}
	for range 1000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d goroutines before, %d after", before, runtime.NumGoroutine())
}

// A template's error comes with the number of its session, and with the sessions
// before it, on any number of goroutines.
func TestRenderer_TemplateError(t *testing.T) {
	sessions := lots.Slice(randomSessions(5*lotSize, 3))
	for i := range sessions {
		sessions[i].Owners = owners(process(1, "a"))
	}
	const bad = 3*lotSize + 77
	sessions[bad].Owners, sessions[bad+lotSize].Owners = nil, nil
	text := `{{.local_port}} {{(index .owners 0).comm}}`
	want := rendered(t, Template, Options{Template: text}, sessions[:bad])
	for _, workers := range []int{0, 1, 2, 7} {
		r, err := New(Template, Options{Template: text, Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := r.Write(&b, sessions, nil); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("session %d:", bad+1)) {
			t.Errorf("%d workers: error %v, want that of session %d", workers, err, bad+1)
		}
		if b.String() != want {
			t.Errorf("%d workers: %d bytes written, want the %d of the sessions before", workers, b.Len(), len(want))
		}
	}
}

// borrowed gives all sessions in one place of each reader, which it spoils
// before the next: the owners too.
type borrowed struct{ lots.Slice }

func (b borrowed) Reader() func(int) *whose.Session {
	var one whose.Session
	var own, peer []whose.Owner
	return func(i int) *whose.Session {
		clear(own)
		clear(peer)
		one = b.Slice[i]
		own, peer = append(own[:0], one.Owners...), append(peer[:0], one.Peer...)
		one.Owners, one.Peer = own, peer
		return &one
	}
}

// A reader may write each session in the place of the one before.
func TestRenderer_KeepsNoSession(t *testing.T) {
	sessions := randomSessions(3*lotSize, 9)
	for _, format := range Formats() {
		opts := Options{Workers: 2, Template: "{{json .}}"}
		want := rendered(t, format, opts, sessions)
		var b bytes.Buffer
		r, err := New(format, opts)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Write(&b, borrowed{sessions}, sampleCoverage(sessions)); err != nil {
			t.Fatal(err)
		}
		if b.String() != want {
			t.Errorf("%s differs when the session is overwritten after the call", format)
		}
	}
}

// Rendering allocates nothing for a session.
func TestRenderer_AllocatesNothingPerSession(t *testing.T) {
	const few, many = 4 * lotSize, 40 * lotSize
	sessions := lots.Slice(loadedHost(many))
	for _, format := range []string{JSON, JSONL, CSV, TSV, PyTCPProcess, Table, Wide} {
		r, err := New(format, Options{})
		if err != nil {
			t.Fatal(err)
		}
		cost := func(n int) float64 {
			return testing.AllocsPerRun(5, func() {
				if err := r.Write(io.Discard, lots.First(n, sessions), nil); err != nil {
					t.Fatal(err)
				}
			})
		}
		// One for each of the 900 more processes, and for each lot of a table.
		base, more := cost(few), cost(many)
		if t.Logf("%s: %v allocations for %d sessions, %v for %d", format, base, few, more, many); more-base > (many-few)/8 {
			t.Errorf("%s: %d more sessions take %v more allocations", format, many-few, more-base)
		}
	}
}
