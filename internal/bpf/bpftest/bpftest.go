// Package bpftest holds tests of objects that every package with BPF programs
// runs over its own.
package bpftest

import (
	"reflect"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// CheckLayout compares structs here with those of the programs, by the names that
// they have there, as the object describes them: size, and place of every member.
// Names are equal but for case and underscores. Padding is "_" here and begins with
// "pad" there. Members that are structs, or arrays of such, are compared too.
func CheckLayout(t *testing.T, spec *ebpf.CollectionSpec, here map[string]any) {
	t.Helper()
	for name, value := range here {
		var there *btf.Struct
		if err := spec.Types.TypeByName(name, &there); err != nil {
			t.Errorf("struct %s: %v", name, err)
			continue
		}
		checkStruct(t, there, reflect.TypeOf(value))
	}
}

func checkStruct(t *testing.T, there *btf.Struct, here reflect.Type) {
	t.Helper()
	if uintptr(there.Size) != here.Size() {
		t.Errorf("struct %s: %d bytes here, %d there", there.Name, here.Size(), there.Size)
	}
	fields := make(map[string]reflect.StructField)
	for i := range here.NumField() {
		if f := here.Field(i); f.Name != "_" {
			fields[bare(f.Name)] = f
		}
	}
	for _, m := range there.Members {
		name := bare(m.Name)
		f, ok := fields[name]
		delete(fields, name)
		switch {
		case !ok && !strings.HasPrefix(name, "pad"):
			t.Errorf("struct %s: member %s is not known here", there.Name, m.Name)
		case ok && f.Offset != uintptr(m.Offset.Bytes()):
			t.Errorf("struct %s: member %s at %d here, at %d there", there.Name, m.Name, f.Offset, m.Offset.Bytes())
		case ok:
			checkMember(t, m.Type, f.Type)
		}
	}
	for name := range fields {
		t.Errorf("struct %s: no member %s", there.Name, name)
	}
}

// checkMember compares the structs that a member is made of.
func checkMember(t *testing.T, there btf.Type, here reflect.Type) {
	t.Helper()
	there = btf.UnderlyingType(there)
	if a, ok := there.(*btf.Array); ok && here.Kind() == reflect.Array {
		checkMember(t, a.Type, here.Elem())
		return
	}
	if s, ok := there.(*btf.Struct); ok && here.Kind() == reflect.Struct {
		checkStruct(t, s, here)
	}
}

// bare returns a name as both languages would have it.
func bare(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// CheckNoPaths shows that no path of the builder's is in the object.
func CheckNoPaths(t *testing.T, spec *ebpf.CollectionSpec) {
	t.Helper()
	for _, p := range spec.Programs {
		for i := range p.Instructions {
			if l, ok := p.Instructions[i].Source().(*btf.Line); ok && strings.HasPrefix(l.FileName(), "/") {
				t.Fatalf("the object names %s", l.FileName())
			}
		}
	}
}
