package spool

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestSpool_Fails: after the writer failed nothing is added, and close tells why: once, so that
// the error reads the same whoever meets it first.
func TestSpool_Fails(t *testing.T) {
	full := errors.New("no space left on device")
	s := New(failing{full}, 0)
	told := make(chan error, 1)
	go s.Run(func(err error) { told <- err })
	if ok, err := s.Add(func(dst []byte) []byte { return append(dst, "line\n"...) }); !ok || err != nil {
		t.Fatalf("the first line: %v, %v", ok, err)
	}
	if err := <-told; !errors.Is(err, full) {
		t.Errorf("told %v", err)
	}
	if ok, err := s.Add(func([]byte) []byte { panic("called") }); ok || !errors.Is(err, ErrAbandoned) {
		t.Errorf("after it failed: %v, %v", ok, err)
	}
	if err := s.Close(0); !errors.Is(err, full) {
		t.Errorf("closed with %v", err)
	}
}

// failing is a writer that fails.
type failing struct{ err error }

func (w failing) Write([]byte) (int, error) { return 0, w.err }

// TestSpool_Delay: a line in a pipe is written soon though no other follows, and many are
// written at once.
func TestSpool_Delay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w writes
		s := New(&w, 50*time.Millisecond)
		go s.Run(func(error) {})
		line := func(dst []byte) []byte { return append(dst, "line\n"...) }
		for range 1000 {
			if _, err := s.Add(line); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := w.count(); n != 0 {
			t.Errorf("%d writes before the time was over", n)
		}
		time.Sleep(51 * time.Millisecond)
		synctest.Wait()
		if n := w.count(); n != 1 {
			t.Errorf("%d writes of 1000 lines, want 1", n)
		}
		for range enough/len("line\n") + 1 {
			if _, err := s.Add(line); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := w.count(); n != 2 {
			t.Errorf("%d writes, want 2: there was enough to write at once", n)
		}
		if err := s.Close(0); err != nil {
			t.Fatal(err)
		}
	})
}

type writes struct {
	mu sync.Mutex
	n  int
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n++
	return len(p), nil
}

func (w *writes) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n
}
