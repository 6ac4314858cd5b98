package main

import (
	"errors"
	"testing"
)

// After the writer failed nothing is added, and close tells why: once, so that
// the error reads the same whoever meets it first.
func TestSpool_Fails(t *testing.T) {
	full := errors.New("no space left on device")
	s := newSpool(failingWriter{full}, 0)
	told := make(chan error, 1)
	go s.writeAll(func(err error) { told <- err })
	if ok, err := s.add(func(dst []byte) []byte { return append(dst, "line\n"...) }); !ok || err != nil {
		t.Fatalf("the first line: %v, %v", ok, err)
	}
	if err := <-told; !errors.Is(err, full) {
		t.Errorf("told %v", err)
	}
	if ok, err := s.add(func([]byte) []byte { panic("called") }); ok || !errors.Is(err, errAbandoned) {
		t.Errorf("after it failed: %v, %v", ok, err)
	}
	if err := s.close(0); !errors.Is(err, full) {
		t.Errorf("closed with %v", err)
	}
}
