//lint:file-ignore U1000 structs of the kernel have fields that nothing here sets

package bpfiter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// Loading by package ebpf reads the kernel's whole BTF, twice for each object:
// for the relocations and for what the program attaches to. Here it is read
// once, and no more of it than is needed; see kernelbtf.go. Where that does not
// work, package ebpf loads, whose errors also tell more.

// A kernelTypes is what the programs have to know of the running kernel.
type kernelTypes struct {
	spec *btf.Spec
	// ids are the BTF ids of the functions that iterators attach to, of castFunc
	// and of wordType.
	ids map[string]uint32
}

// readKernelTypes reads from the kernel what the objects use.
func readKernelTypes(specs ...*ebpf.CollectionSpec) (*kernelTypes, error) {
	types, members := map[string]bool{wordType: true}, make(map[string]bool)
	funcs := map[string]bool{castFunc: true, wordType: true}
	for _, spec := range specs {
		namesOf(spec, types, members)
		for _, p := range spec.Programs {
			funcs[attachName(p)] = true
		}
	}
	raw, unmap, err := mapKernelBTF()
	if err != nil {
		return nil, err
	}
	defer unmap()
	small, ids, err := cutBTF(raw, types, members, funcs)
	if err != nil {
		return nil, fmt.Errorf("read kernel BTF: %w", err)
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(small))
	if err != nil {
		return nil, fmt.Errorf("read kernel BTF: %w", err)
	}
	return &kernelTypes{spec, ids}, nil
}

// castFunc is the one function of the kernel that programs call by its BTF id
// (Linux 6.2), and wordType the struct that they call it with. wordMark stands
// for its id; see bpf/look.h.
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
func (k *kernelTypes) canCast() bool {
	return k.ids[castFunc] != 0 && k.ids[wordType] != 0
}

// resolveCast puts the running kernel's ids into a call of castFunc and where
// its argument is made.
func (k *kernelTypes) resolveCast(ins *asm.Instruction) {
	switch {
	case ins.IsKfuncCall():
		ins.Constant, ins.Offset = int64(k.ids[castFunc]), 0
	case ins.OpCode.Class().IsALU() && ins.OpCode.ALUOp() == asm.Mov && ins.OpCode.Source() == asm.ImmSource && ins.Constant == wordMark:
		ins.Constant = int64(k.ids[wordType])
	}
}

func attachName(p *ebpf.ProgramSpec) string { return "bpf_iter_" + p.AttachTo }

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
// flavour that follows three underscores.
func namesOf(spec *ebpf.CollectionSpec, types, members map[string]bool) {
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

// An object is what of a collection is in the kernel.
type object struct {
	progs map[string]int
	maps  map[string]*ebpf.Map
	// whole is set where package ebpf loaded it, and then owns the rest.
	whole *ebpf.Collection
}

// loadObject loads a collection: quickly or, where that fails, with package ebpf.
func loadObject(spec *ebpf.CollectionSpec, k *kernelTypes) (*object, error) {
	if o, err := loadQuickly(spec, k); err == nil || errors.Is(err, unix.EPERM) {
		return o, err
	}
	whole, err := ebpf.NewCollection(spec)
	if err != nil {
		return nil, err
	}
	o := &object{progs: make(map[string]int), maps: whole.Maps, whole: whole}
	for name, p := range whole.Programs {
		o.progs[name] = p.FD()
	}
	return o, nil
}

func (o *object) close() error {
	if o.whole != nil {
		o.whole.Close()
		return nil
	}
	var errs []error
	for _, fd := range o.progs {
		errs = append(errs, unix.Close(fd))
	}
	for _, m := range o.maps {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}

func loadQuickly(spec *ebpf.CollectionSpec, k *kernelTypes) (*object, error) {
	if k == nil || callsKernel(spec) && !k.canCast() {
		return nil, ebpf.ErrNotSupported
	}
	o := &object{progs: make(map[string]int), maps: make(map[string]*ebpf.Map)}
	err := o.load(spec, k)
	if err != nil {
		return nil, errors.Join(err, o.close())
	}
	return o, nil
}

func (o *object) load(spec *ebpf.CollectionSpec, k *kernelTypes) error {
	for name, m := range spec.Maps {
		m = m.Copy()
		m.Key, m.Value = nil, nil // types for tools that dump maps
		setVariables(m, name, spec.Variables)
		loaded, err := ebpf.NewMap(m)
		if err != nil {
			return fmt.Errorf("map %s: %w", name, err)
		}
		o.maps[name] = loaded
	}
	for name, p := range spec.Programs {
		fd, err := o.loadProgram(p, k)
		if err != nil {
			return fmt.Errorf("program %s: %w", name, err)
		}
		o.progs[name] = fd
	}
	return nil
}

// setVariables puts the values of variables where the section has them.
func setVariables(m *ebpf.MapSpec, section string, vars map[string]*ebpf.VariableSpec) {
	if len(m.Contents) != 1 {
		return // not a section of variables
	}
	data, ok := m.Contents[0].Value.([]byte)
	if !ok {
		return
	}
	data = bytes.Clone(data) // that of the object is shared
	for _, v := range vars {
		if v.SectionName == section && int(v.Offset) <= len(data) {
			copy(data[v.Offset:], v.Value)
		}
	}
	m.Contents = []ebpf.MapKV{{Key: m.Contents[0].Key, Value: data}}
}

// loadProgram relocates a program and loads it.
func (o *object) loadProgram(p *ebpf.ProgramSpec, k *kernelTypes) (int, error) {
	attach, ok := k.ids[attachName(p)]
	if !ok {
		return -1, fmt.Errorf("iterator %s: %w", p.AttachTo, ebpf.ErrNotSupported)
	}
	insns := p.Copy().Instructions
	var types btf.Builder
	if err := relocate(insns, k.spec, &types); err != nil {
		return -1, err
	}
	for i := range insns {
		ins := &insns[i]
		*ins = ins.WithSource(nil) // lines are for who reads the verifier's log
		k.resolveCast(ins)
		if m := o.maps[ins.Reference()]; m != nil && ins.IsLoadFromMap() {
			if err := ins.AssociateMap(m); err != nil {
				return -1, err
			}
		}
	}
	funcs, _, err := btf.MarshalExtInfos(insns, &types)
	if err != nil {
		return -1, err
	}
	handle, err := btf.NewHandle(&types)
	if err != nil {
		return -1, err
	}
	defer handle.Close()
	var code bytes.Buffer
	if err := insns.Marshal(&code, nativeOrder()); err != nil {
		return -1, err
	}
	return progLoad(p, code.Bytes(), funcs, handle.FD(), attach)
}

// relocate fills in where the running kernel has what the program accesses.
func relocate(insns asm.Instructions, kernel *btf.Spec, types *btf.Builder) error {
	var relos []*btf.CORERelocation
	var at []*asm.Instruction
	for i := range insns {
		if r := btf.CORERelocationMetadata(&insns[i]); r != nil {
			relos, at = append(relos, r), append(at, &insns[i])
		}
	}
	fixups, err := btf.CORERelocate(relos, []*btf.Spec{kernel}, nativeOrder(), types.Add)
	if err != nil {
		return err
	}
	for i := range fixups {
		if err := fixups[i].Apply(at[i]); err != nil {
			return err
		}
	}
	return nil
}

// nativeOrder is this host's byte order as package btf compares it.
func nativeOrder() binary.ByteOrder {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return binary.LittleEndian
	}
	return binary.BigEndian
}

// progLoadAttr is the part of union bpf_attr for BPF_PROG_LOAD that is used.
type progLoadAttr struct {
	progType, insnCnt         uint32
	insns, license            unsafe.Pointer
	_, _                      uint32 // log level and size
	_                         uint64 // log
	_, flags                  uint32
	name                      [16]byte
	_, attachType             uint32
	btfFD, funcInfoSize       uint32
	funcInfo                  unsafe.Pointer
	funcInfoCnt, lineInfoSize uint32
	_                         uint64 // line info
	lineInfoCnt, attachBTFID  uint32
	attachFD, _               uint32
}

// tracing is BPF_PROG_TYPE_TRACING.
const tracing = 26

func progLoad(p *ebpf.ProgramSpec, code, funcs []byte, types int, attach uint32) (int, error) {
	license, err := unix.BytePtrFromString(p.License)
	if err != nil {
		return -1, err
	}
	attr := progLoadAttr{
		progType: tracing, attachType: unix.BPF_TRACE_ITER, attachBTFID: attach,
		insns: unsafe.Pointer(unsafe.SliceData(code)), insnCnt: uint32(len(code) / asm.InstructionSize),
		license: unsafe.Pointer(license), btfFD: uint32(types),
		funcInfo: unsafe.Pointer(unsafe.SliceData(funcs)), funcInfoSize: btf.FuncInfoSize,
		funcInfoCnt: uint32(len(funcs)) / uint32(btf.FuncInfoSize),
	}
	copy(attr.name[:15], p.Name)
	fd, err := bpf(unix.BPF_PROG_LOAD, &attr)
	for err == unix.EAGAIN || err == unix.EINTR { // a signal stops the verifier
		fd, err = bpf(unix.BPF_PROG_LOAD, &attr)
	}
	runtime.KeepAlive(code)
	runtime.KeepAlive(funcs)
	runtime.KeepAlive(license)
	if err != nil {
		return -1, fmt.Errorf("load program: %w", err)
	}
	return fd, nil
}
