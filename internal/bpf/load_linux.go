package bpf

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// An Object is the part of a collection in the kernel. Whoever loaded it closes
// it. Its maps and programs are safe for concurrent use.
type Object struct {
	Programs  map[string]*ebpf.Program
	Maps      map[string]*ebpf.Map
	variables map[string]*ebpf.VariableSpec
}

// Load loads a collection: quickly or, if this fails, by package ebpf. It takes
// CAP_BPF and, by the kind of the programs, CAP_PERFMON or CAP_NET_ADMIN;
// without them the error is unix.EPERM. EACCES is the verifier's.
func Load(spec *ebpf.CollectionSpec, types *Types) (*Object, error) {
	o, err := LoadQuickly(spec, types)
	if err == nil || errors.Is(err, unix.EPERM) {
		return o, err
	}
	whole, err := ebpf.NewCollection(spec)
	if err != nil {
		return nil, err
	}
	return &Object{whole.Programs, whole.Maps, spec.Variables}, nil
}

// LoadQuickly loads a collection as [Load] does, and fails where Load would
// have package ebpf try. The error is [ebpf.ErrNotSupported] if the kernel
// lacks a target or a function of the programs.
func LoadQuickly(spec *ebpf.CollectionSpec, types *Types) (*Object, error) {
	if types.spec == nil || callsKernel(spec) && !types.canCast() {
		return nil, ebpf.ErrNotSupported
	}
	o := &Object{make(map[string]*ebpf.Program), make(map[string]*ebpf.Map), spec.Variables}
	err := o.loadMaps(spec)
	if err == nil {
		err = o.loadPrograms(spec, types)
	}
	if err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

// Close gives the programs and maps back.
func (o *Object) Close() error {
	var errs []error
	for _, p := range o.Programs {
		errs = append(errs, p.Close())
	}
	for _, m := range o.Maps {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}

// Set changes a variable only read by the programs, or written by nobody else.
func (o *Object) Set(variable string, value any) error {
	spec, ok := o.variables[variable]
	if !ok {
		return fmt.Errorf("set %s: %w", variable, ebpf.ErrKeyNotExist)
	}
	spec = spec.Copy()
	if err := spec.Set(value); err != nil {
		return fmt.Errorf("set %s: %w", variable, err)
	}
	memory, err := o.Maps[spec.SectionName].Memory()
	if err == nil {
		_, err = memory.WriteAt(spec.Value, int64(spec.Offset))
	}
	if err != nil {
		return fmt.Errorf("set %s: %w", variable, err)
	}
	return nil
}

func (o *Object) loadMaps(spec *ebpf.CollectionSpec) error {
	for name, m := range spec.Maps {
		m = m.Copy()
		m.Key, m.Value = nil, nil // only tools dumping maps need the types
		if isSection(name) {
			m.Flags |= unix.BPF_F_MMAPABLE
			setVariables(m, name, spec.Variables)
		}
		loaded, err := ebpf.NewMap(m)
		if err != nil {
			return fmt.Errorf("map %s: %w", name, err)
		}
		o.Maps[name] = loaded
	}
	return nil
}

// isSection reports whether a map is a section of variables.
func isSection(name string) bool {
	return strings.HasPrefix(name, ".data") || strings.HasPrefix(name, ".rodata") || strings.HasPrefix(name, ".bss")
}

// setVariables puts the values of variables at their places in the section.
func setVariables(m *ebpf.MapSpec, section string, vars map[string]*ebpf.VariableSpec) {
	if len(m.Contents) != 1 {
		return
	}
	data, ok := m.Contents[0].Value.([]byte)
	if !ok {
		return
	}
	data = bytes.Clone(data) // the object's is shared
	for _, v := range vars {
		if v.SectionName == section && int(v.Offset) <= len(data) {
			copy(data[v.Offset:], v.Value)
		}
	}
	m.Contents = []ebpf.MapKV{{Key: m.Contents[0].Key, Value: data}}
}

// loadPrograms relocates the programs and loads them, as many at a time as there
// are processors: the kernel proves each by itself.
func (o *Object) loadPrograms(spec *ebpf.CollectionSpec, types *Types) error {
	var all []*relocated
	for name, p := range spec.Programs {
		r, err := o.relocate(p, types)
		if err != nil {
			return fmt.Errorf("program %s: %w", name, err)
		}
		all = append(all, r)
	}
	var next atomic.Int32
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for range min(runtime.GOMAXPROCS(0), len(all)) {
		wg.Go(func() {
			for n := next.Add(1); int(n) <= len(all); n = next.Add(1) {
				r := all[n-1]
				loaded, err := r.load()
				mu.Lock()
				if err != nil {
					errs = append(errs, fmt.Errorf("program %s: %w", r.spec.Name, err))
					next.Store(int32(len(all)))
				} else {
					o.Programs[r.spec.Name] = loaded
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
