package bpf

import (
	"bytes"
	"os"
	"reflect"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// TestReadObject compares an object read without its lines with the whole: all
// else is the same.
func TestReadObject(t *testing.T) {
	object, err := os.ReadFile("../../collect/internal/bpfiter/fdwalk_bpfel_linux.o")
	if err != nil {
		t.Fatal(err)
	}
	before := bytes.Clone(object)
	got, err := ReadObject(object)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, object) {
		t.Error("the object was changed, which others share")
	}
	want, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for name, p := range want.Programs {
		for i := range p.Instructions {
			if p.Instructions[i].Source() != nil {
				lines++
			}
			p.Instructions[i] = p.Instructions[i].WithSource(nil)
		}
		for i := range got.Programs[name].Instructions {
			ins := got.Programs[name].Instructions[i]
			if ins.Source() != nil {
				t.Fatalf("%s: instruction %d has a line", name, i)
			}
			a, b := btf.CORERelocationMetadata(&ins), btf.CORERelocationMetadata(&p.Instructions[i])
			if ins.OpCode != p.Instructions[i].OpCode || ins.Constant != p.Instructions[i].Constant ||
				ins.Reference() != p.Instructions[i].Reference() || ins.Symbol() != p.Instructions[i].Symbol() ||
				(a == nil) != (b == nil) || a != nil && a.String() != b.String() {
				t.Fatalf("%s: instruction %d is %v, want %v", name, i, ins, p.Instructions[i])
			}
		}
		if len(p.Instructions) != len(got.Programs[name].Instructions) {
			t.Errorf("%s: %d instructions, want %d", name, len(got.Programs[name].Instructions), len(p.Instructions))
		}
	}
	if lines == 0 {
		t.Error("the object has no lines to leave out")
	}
	if !reflect.DeepEqual(keys(got.Maps), keys(want.Maps)) || !reflect.DeepEqual(keys(got.Variables), keys(want.Variables)) {
		t.Errorf("maps %v and variables %v, want %v and %v", keys(got.Maps), keys(got.Variables), keys(want.Maps), keys(want.Variables))
	}
	if _, err := ReadObject(object[:100]); err == nil {
		t.Error("a part is taken for an object")
	}
}

func keys[V any](m map[string]V) map[string]bool {
	set := make(map[string]bool)
	for k := range m {
		set[k] = true
	}
	return set
}
