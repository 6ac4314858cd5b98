package bpfiter

import (
	"testing"

	"github.com/cilium/ebpf"

	"github.com/seed-44df2ae6/whose/internal/bpf/bpftest"
)

// TestObjects_Stack holds the programs to the stack that the verifier of any kernel
// gives them. This kernel's may be less strict.
func TestObjects_Stack(t *testing.T) {
	for name, load := range map[string]func() (*ebpf.CollectionSpec, error){
		"task_file": loadTaskFile, "hash_walk": loadHashWalk, "hash_walk with probes": loadHashProbe, "fd_walk": loadFdWalk,
	} {
		spec, err := load()
		must(t, err)
		for program, p := range spec.Programs {
			n := bpftest.Stack(p)
			t.Logf("%s, %s: %d bytes", name, program, n)
			if n > bpftest.MaxStack || n == 0 {
				t.Errorf("%s, %s: %d bytes of stack, want %d at most", name, program, n, bpftest.MaxStack)
			}
		}
	}
}
