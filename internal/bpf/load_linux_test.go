package bpf

import (
	"errors"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// returning is a program that returns a variable of its own.
func returning(name string) *ebpf.CollectionSpec {
	section := &ebpf.MapSpec{Name: ".data", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1,
		Contents: []ebpf.MapKV{{Key: uint32(0), Value: make([]byte, 8)}}}
	main := &btf.Func{Name: name, Type: &btf.FuncProto{Return: &btf.Int{Size: 4}}}
	return &ebpf.CollectionSpec{
		Maps: map[string]*ebpf.MapSpec{".data": section},
		Programs: map[string]*ebpf.ProgramSpec{name: {
			Name: name, Type: ebpf.Syscall, Flags: unix.BPF_F_SLEEPABLE, License: "GPL",
			Instructions: asm.Instructions{
				btf.WithFuncMetadata(asm.LoadMapValue(asm.R1, 0, 4), main).WithReference(".data").WithSymbol(name),
				asm.LoadMem(asm.R0, asm.R1, 0, asm.Word),
				asm.Return(),
			},
		}},
		Variables: map[string]*ebpf.VariableSpec{
			"other": {Name: "other", SectionName: ".data", Offset: 0, Value: make([]byte, 4)},
			"value": {Name: "value", SectionName: ".data", Offset: 4, Value: make([]byte, 4)},
		},
	}
}

func TestLoad_Variables(t *testing.T) {
	testenv.NeedRoot(t)
	spec := returning("main")
	if err := spec.Variables["value"].Set(uint32(7)); err != nil {
		t.Fatal(err)
	}
	types, err := ReadTypes()
	if err != nil {
		t.Fatal(err)
	}
	o, err := LoadQuickly(spec, types)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	for _, want := range []uint32{7, 8} {
		if got, err := o.Programs["main"].Run(nil); err != nil || got != want {
			t.Errorf("the variable is %d (%v), want %d", got, err, want)
		}
		if err := errors.Join(o.Set("value", want+1), o.Set("other", uint32(1))); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Set("none", uint32(1)); !errors.Is(err, ebpf.ErrKeyNotExist) {
		t.Errorf("a variable that is not there: %v", err)
	}
	if err := o.Set("value", uint64(1)); err == nil {
		t.Error("a value that does not fit was set")
	}
}

// TestLoad_Lacks has a program attach to what no kernel has.
func TestLoad_Lacks(t *testing.T) {
	testenv.NeedRoot(t)
	spec := returning("main")
	p := spec.Programs["main"]
	p.Type, p.AttachType, p.AttachTo, p.Flags = ebpf.Tracing, ebpf.AttachTraceRawTp, "whose_nothing", 0
	readFor := func() (*Types, error) {
		n := newNames()
		n.targets[targetOf(p)] = true
		return readTypes(n)
	}
	types, err := readFor()
	if err != nil {
		t.Fatal(err)
	}
	if !types.Lacks(p) {
		t.Error("the kernel is said to have the tracepoint")
	}
	p.AttachTo = "sched_process_exit"
	if types, err = readFor(); err != nil || types.Lacks(p) {
		t.Errorf("the kernel is said to lack a tracepoint that it has (%v)", err)
	}
	p.AttachTo = "whose_nothing"
	if _, err := LoadQuickly(spec, types); !errors.Is(err, ebpf.ErrNotSupported) {
		t.Errorf("quickly: %v", err)
	}
	if _, err := Load(spec, types); err == nil {
		t.Error("it was loaded")
	}
	if _, err := LoadQuickly(returning("main"), &Types{}); !errors.Is(err, ebpf.ErrNotSupported) {
		t.Errorf("without the kernel's types: %v", err)
	}
	o, err := Load(returning("main"), &Types{})
	if err != nil {
		t.Fatalf("by package ebpf: %v", err)
	}
	if err := errors.Join(o.Set("value", uint32(3)), o.Close()); err != nil {
		t.Error(err)
	}
}
