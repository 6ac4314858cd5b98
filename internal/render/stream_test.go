package render

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"testing"

	"github.com/seed-44df2ae6/whose"
)

// Workers change nothing but the time.
func TestStream_Workers(t *testing.T) {
	sessions := randomSessions(alone+10*batchSize+1, 7)
	for _, format := range []string{Table, Wide, JSON, JSONL, CSV, TSV, PyTCPProcess} {
		for _, n := range []int{0, 1, alone - 1, alone, alone + 1, alone + batchSize, len(sessions)} {
			for _, width := range []int{0, 80} {
				want := rendered(t, format, Options{Width: width}, sessions[:n])
				for _, workers := range []int{1, 3} {
					if rendered(t, format, Options{Width: width, Workers: workers}, sessions[:n]) != want {
						t.Errorf("%s of %d sessions with %d workers differs from that without, width %d", format, n, workers, width)
					}
				}
			}
		}
	}
}

var errFull = errors.New("disk full")

// A fullWriter fails after some bytes.
type fullWriter struct{ room int }

func (w *fullWriter) Write(p []byte) (int, error) {
	if w.room -= len(p); w.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// A writer's error reaches the caller soon, Close returns it too, and no
// goroutine stays behind.
func TestRenderer_WriteError(t *testing.T) {
	before := runtime.NumGoroutine()
	sessions := randomSessions(1000, 3)
	for _, format := range Formats() {
		for _, workers := range []int{0, 2} {
			for _, room := range []int{0, 1 << 18} {
				r, err := New(format, &fullWriter{room}, Options{Workers: workers, Template: "{{.local_port}} some text to fill the buffer sooner"})
				if err != nil {
					t.Fatal(err)
				}
				var failed error
				for i := 0; i < 20_000 && failed == nil; i++ {
					failed = r.Session(&sessions[i%len(sessions)])
				}
				closed := r.Close(nil)
				if format != Table && format != Wide && !errors.Is(failed, errFull) {
					t.Errorf("%s, %d workers: Session returned %v, want the writer's error", format, workers, failed)
				}
				if format != Template && !errors.Is(closed, errFull) {
					t.Errorf("%s, %d workers: Close returned %v, want the writer's error", format, workers, closed)
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

// What the caller gives may be used again at once.
func TestRenderer_KeepsNoSession(t *testing.T) {
	sessions := randomSessions(alone+3*batchSize, 9)
	for _, format := range Formats() {
		opts := Options{Workers: 2, Template: "{{json .}}"}
		want := rendered(t, format, opts, sessions)
		var b bytes.Buffer
		r, err := New(format, &b, opts)
		if err != nil {
			t.Fatal(err)
		}
		var one whose.Session
		for _, one = range sessions {
			if err := r.Session(&one); err != nil {
				t.Fatal(err)
			}
			one = whose.Session{}
		}
		if err := r.Close(sampleCoverage(sessions)); err != nil {
			t.Fatal(err)
		}
		if b.String() != want {
			t.Errorf("%s differs when the session is overwritten after the call", format)
		}
	}
}

func TestAll(t *testing.T) {
	sessions := webHost()
	var b bytes.Buffer
	r, _ := New(JSONL, &b, Options{})
	if err := All(r, slices.Values(sessions)); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(nil); err != nil || b.String() != rendered(t, JSONL, Options{}, sessions) {
		t.Errorf("error %v, or other rows than one by one", err)
	}
	fed := 0
	many := func(yield func(whose.Session) bool) {
		for ; yield(sessions[0]); fed++ {
		}
	}
	r, _ = New(JSONL, &fullWriter{}, Options{})
	if err := All(r, many); !errors.Is(err, errFull) {
		t.Errorf("error %v after %d sessions, want that of the writer", err, fed)
	}
}
