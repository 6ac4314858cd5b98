package bpf

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
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

// ReadTypes reads from the kernel the types of the programs of the specs. The
// error is fs.ErrNotExist if the kernel has no BTF. If its BTF is not as
// expected, the Types are empty, and [Load] has package ebpf read it.
func ReadTypes(specs ...*ebpf.CollectionSpec) (*Types, error) {
	raw, unmap, err := mapKernelBTF()
	if err != nil {
		return nil, fmt.Errorf("read kernel BTF: %w", err)
	}
	defer unmap()
	types, members := map[string]bool{wordType: true}, make(map[string]bool)
	ids := map[string]bool{castFunc: true, wordType: true}
	for _, spec := range specs {
		namesOf(spec, types, members)
		for _, p := range spec.Programs {
			if name := targetOf(p); name != "" {
				ids[name] = true
			}
		}
	}
	small, found, err := cutBTF(raw, types, members, ids)
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

// mapKernelBTF maps the kernel's BTF into memory.
func mapKernelBTF() ([]byte, func(), error) {
	f, err := os.Open("/sys/kernel/btf/vmlinux")
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	raw, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_POPULATE)
	if err == nil {
		return raw, func() { unix.Munmap(raw) }, nil
	}
	raw, err = os.ReadFile(f.Name()) // not every kernel can map it
	return raw, func() {}, err
}

// namesOf notes the names of the types and members of an object, without the
// flavour after three underscores.
func namesOf(spec *ebpf.CollectionSpec, types, members map[string]bool) {
	if spec.Types == nil {
		return
	}
	for t, err := range spec.Types.All() {
		if err != nil {
			return
		}
		switch t := t.(type) {
		case *btf.Struct:
			noteMembers(t.Name, t.Members, types, members)
		case *btf.Union:
			noteMembers(t.Name, t.Members, types, members)
		case *btf.Typedef:
			types[t.Name] = true
		}
	}
}

func noteMembers(name string, list []btf.Member, types, members map[string]bool) {
	name, _, _ = strings.Cut(name, "___")
	if name != "" {
		types[name] = true
	}
	for _, m := range list {
		members[m.Name] = true
	}
}
