package bpf

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// Types are the facts of the running kernel for programs. They are safe for
// concurrent use.
type Types struct {
	// spec has the structs accessed by the programs, nil if it cannot be had.
	spec *btf.Spec
	// ids are the BTF ids of the programs' targets, of castFunc and of
	// wordType.
	ids map[string]uint32
}

// ReadTypes reads from the kernel the types of the programs in object files.
// The error is fs.ErrNotExist if the kernel has no BTF. If its BTF is not as
// expected, the Types are empty, and [Load] has package ebpf read it.
func ReadTypes(objects ...[]byte) (*Types, error) {
	n := newNames()
	for _, o := range objects {
		if err := n.addObject(o); err != nil {
			return nil, fmt.Errorf("read names of object: %w", err)
		}
	}
	return readTypes(n)
}

// BeginTypes begins what [ReadTypes] does, and returns a function that waits for
// it. Meanwhile the caller takes the objects apart. The function may be called
// more than once, by several goroutines.
func BeginTypes(objects ...[]byte) (wait func() (*Types, error)) {
	wait = sync.OnceValues(func() (*Types, error) { return ReadTypes(objects...) })
	go wait()
	return wait
}

func readTypes(n *names) (*Types, error) {
	raw, release, err := readKernelBTF()
	if err != nil {
		return nil, fmt.Errorf("read kernel BTF: %w", err)
	}
	defer release()
	n.types[wordType], n.targets[castFunc], n.targets[wordType] = true, true, true
	small, found, err := cutBTF(raw, n.types, n.members, n.targets)
	if err != nil {
		return &Types{}, nil
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(small))
	if err != nil {
		return &Types{}, nil
	}
	return &Types{spec, found}, nil
}

// Lacks reports whether the kernel is known to have no target for the program.
func (t *Types) Lacks(p *ebpf.ProgramSpec) bool {
	name := targetOf(p)
	return t.spec != nil && name != "" && t.ids[name] == 0
}

// targetOf returns the name of the type for a program's target in the kernel's
// BTF, "" for a program without need of one: the function of an iterator, or
// the typedef of a tracepoint.
func targetOf(p *ebpf.ProgramSpec) string {
	switch {
	case p.Type != ebpf.Tracing:
		return ""
	case p.AttachType == ebpf.AttachTraceIter:
		return "bpf_iter_" + p.AttachTo
	case p.AttachType == ebpf.AttachTraceRawTp:
		return "btf_trace_" + p.AttachTo
	}
	return p.AttachTo
}

// castFunc is the one function of the kernel called by programs by its BTF id
// (Linux 6.2), and wordType the struct for the call. wordMark stands for its
// id; see bpfiter's look.h.
const (
	castFunc = "bpf_rdonly_cast"
	wordType = "timespec64"
	wordMark = 0x65736f77
)

// callsKernel reports whether programs call castFunc.
func callsKernel(spec *ebpf.CollectionSpec) bool {
	for _, p := range spec.Programs {
		for i := range p.Instructions {
			if p.Instructions[i].IsKfuncCall() {
				return true
			}
		}
	}
	return false
}

// canCast reports whether programs can call castFunc.
func (t *Types) canCast() bool {
	return t.ids[castFunc] != 0 && t.ids[wordType] != 0
}

// resolveCast puts the running kernel's ids into a call of castFunc and into
// the making of its argument.
func (t *Types) resolveCast(ins *asm.Instruction) {
	switch {
	case ins.IsKfuncCall():
		ins.Constant, ins.Offset = int64(t.ids[castFunc]), 0
	case ins.OpCode.Class().IsALU() && ins.OpCode.ALUOp() == asm.Mov && ins.OpCode.Source() == asm.ImmSource && ins.Constant == wordMark:
		ins.Constant = int64(t.ids[wordType])
	}
}
