package bpfiter

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// A frame is what a function of a program has on the stack, and what it calls or
// gives to a helper to call.
type frame struct {
	depth int
	calls []string
}

// framesOf returns the functions of a program by their names.
func framesOf(p *ebpf.ProgramSpec) map[string]*frame {
	frames := make(map[string]*frame)
	var f *frame
	copied := asm.RFP // holds the address of the frame, and is added to; RFP: none does
	for i := range p.Instructions {
		ins := &p.Instructions[i]
		if name := ins.Symbol(); name != "" {
			f = &frame{}
			frames[name] = f
		}
		class := ins.OpCode.Class()
		switch {
		case ins.IsFunctionReference(): // a call too
			f.calls = append(f.calls, ins.Reference())
		case class.IsStore() && ins.Dst == asm.RFP, class.IsLoad() && ins.Src == asm.RFP:
			f.depth = max(f.depth, -int(ins.Offset))
		case ins.OpCode.ALUOp() == asm.Add && ins.OpCode.Source() == asm.ImmSource && ins.Dst == copied:
			f.depth = max(f.depth, -int(ins.Constant))
		}
		copied = asm.RFP
		if class.IsALU() && ins.OpCode.ALUOp() == asm.Mov && ins.OpCode.Source() == asm.RegSource && ins.Src == asm.RFP {
			copied = ins.Dst
		}
	}
	return frames
}

// deepest returns the most that calls from the function on have on the stack.
func deepest(frames map[string]*frame, name string) int {
	f := frames[name]
	if f == nil {
		return 0
	}
	below := 0
	for _, call := range f.calls {
		below = max(below, deepest(frames, call))
	}
	const unit = 32 // newer kernels count 16
	return (max(f.depth, 1)+unit-1)/unit*unit + below
}

// TestObjects_Stack holds the programs to the stack that the verifier of any kernel
// gives them. This kernel's may be less strict.
func TestObjects_Stack(t *testing.T) {
	const limit = 512
	for name, load := range map[string]func() (*ebpf.CollectionSpec, error){
		"task_file": loadTaskFile, "hash_walk": loadHashWalk, "hash_walk with probes": loadHashProbe, "fd_walk": loadFdWalk,
	} {
		spec, err := load()
		must(t, err)
		for program, p := range spec.Programs {
			frames := framesOf(p)
			n := deepest(frames, program)
			t.Logf("%s, %s: %d bytes in %d functions", name, program, n, len(frames))
			if n > limit || n == 0 {
				t.Errorf("%s, %s: %d bytes of stack, want %d at most", name, program, n, limit)
			}
		}
	}
}
