//lint:file-ignore U1000 structs of the kernel have fields that nothing here sets

package bpf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// A relocated program is ready to load into the running kernel.
type relocated struct {
	spec   *ebpf.ProgramSpec
	code   []byte
	funcs  []byte // its functions, as types
	types  btf.Builder
	target uint32 // BTF id of its target, 0: none
}

// relocate fills in the program's accesses, its target and its maps.
func (o *Object) relocate(p *ebpf.ProgramSpec, types *Types) (*relocated, error) {
	r := &relocated{spec: p}
	if name := targetOf(p); name != "" {
		if r.target = types.ids[name]; r.target == 0 {
			return nil, fmt.Errorf("attach to %s: %w", p.AttachTo, ebpf.ErrNotSupported)
		}
	}
	insns := p.Copy().Instructions
	if err := relocateCore(insns, types.spec, &r.types); err != nil {
		return nil, err
	}
	for i := range insns {
		ins := &insns[i]
		*ins = ins.WithSource(nil) // lines are for who reads the verifier's log
		types.resolveCast(ins)
		if m := o.Maps[ins.Reference()]; m != nil && ins.IsLoadFromMap() {
			if err := ins.AssociateMap(m); err != nil {
				return nil, err
			}
		}
	}
	var err error
	if r.funcs, _, err = btf.MarshalExtInfos(insns, &r.types); err != nil {
		return nil, err
	}
	var code bytes.Buffer
	if err := insns.Marshal(&code, nativeOrder()); err != nil {
		return nil, err
	}
	r.code = code.Bytes()
	return r, nil
}

// relocateCore fills in the places of the program's accesses in the running
// kernel.
func relocateCore(insns asm.Instructions, kernel *btf.Spec, types *btf.Builder) error {
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

// progLoadAttr is the used part of union bpf_attr for BPF_PROG_LOAD.
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

// load loads the program.
func (r *relocated) load() (*ebpf.Program, error) {
	handle, err := btf.NewHandle(&r.types)
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	license, err := unix.BytePtrFromString(r.spec.License)
	if err != nil {
		return nil, err
	}
	attr := progLoadAttr{
		progType: uint32(r.spec.Type), attachType: uint32(r.spec.AttachType), attachBTFID: r.target, flags: r.spec.Flags,
		insns: unsafe.Pointer(unsafe.SliceData(r.code)), insnCnt: uint32(len(r.code) / asm.InstructionSize),
		license: unsafe.Pointer(license), btfFD: uint32(handle.FD()),
		funcInfo: unsafe.Pointer(unsafe.SliceData(r.funcs)), funcInfoSize: btf.FuncInfoSize,
		funcInfoCnt: uint32(len(r.funcs)) / uint32(btf.FuncInfoSize),
	}
	copy(attr.name[:15], r.spec.Name)
	fd, err := call(unix.BPF_PROG_LOAD, &attr)
	for err == unix.EAGAIN || err == unix.EINTR { // a signal stops the verifier
		fd, err = call(unix.BPF_PROG_LOAD, &attr)
	}
	runtime.KeepAlive(r)
	runtime.KeepAlive(license)
	if err != nil {
		return nil, fmt.Errorf("load program: %w", err)
	}
	return ebpf.NewProgramFromFD(fd)
}

// call makes a call of bpf(2).
func call[T any](cmd int, attr *T) (int, error) {
	fd, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(cmd), uintptr(unsafe.Pointer(attr)), unsafe.Sizeof(*attr))
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}
