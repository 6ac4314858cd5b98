package bpfevent

import (
	"testing"

	"github.com/seed-44df2ae6/whose/internal/bpf/bpftest"
)

// TestEvents_Stack holds the programs to the stack that the verifier of any kernel
// gives them. This kernel's may be less strict.
func TestEvents_Stack(t *testing.T) {
	spec, err := loadEvents()
	if err != nil {
		t.Fatal(err)
	}
	for program, p := range spec.Programs {
		n := bpftest.Stack(p)
		t.Logf("%s: %d bytes", program, n)
		if n > bpftest.MaxStack || n == 0 {
			t.Errorf("%s: %d bytes of stack, want %d at most", program, n, bpftest.MaxStack)
		}
	}
}
