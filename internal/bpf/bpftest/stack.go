package bpftest

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// A frame has the depth of a function's stack, and the functions that it calls or
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

// MaxStack is the stack that the verifier of any kernel gives a program, in bytes.
const MaxStack = 512

// Stack returns the most that a program has on its stack, in bytes, by the count of
// the strictest verifiers: they round each function up to 32 bytes, newer ones to 16.
func Stack(p *ebpf.ProgramSpec) int { return deepest(framesOf(p), p.Name) }

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
	const unit = 32
	return (max(f.depth, 1)+unit-1)/unit*unit + below
}
