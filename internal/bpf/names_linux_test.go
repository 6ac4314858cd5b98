package bpf

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// TestNames compares the names read from the sections of every object of the
// project with those that package ebpf finds in it.
func TestNames(t *testing.T) {
	var objects []string
	for _, dir := range []string{"../../collect/internal/bpfiter", "../../track/internal/bpfevent"} {
		found, err := filepath.Glob(filepath.Join(dir, "*_bpfel_*.o"))
		if err != nil || len(found) == 0 {
			t.Fatalf("no objects in %s (%v)", dir, err)
		}
		objects = append(objects, found...)
	}
	for _, path := range objects {
		object, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		spec, err := ebpf.LoadCollectionSpec(path)
		if err != nil {
			t.Fatal(err)
		}
		got, want := newNames(), namesOf(t, spec)
		if err := got.addObject(object); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for what, sets := range map[string][2]map[string]bool{
			"types": {got.types, want.types}, "members": {got.members, want.members}, "targets": {got.targets, want.targets},
		} {
			if !maps.Equal(sets[0], sets[1]) || len(sets[1]) == 0 {
				t.Errorf("%s: %s are\n%q, want\n%q", filepath.Base(path), what, sorted(sets[0]), sorted(sets[1]))
			}
		}
	}
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

func namesOf(t *testing.T, spec *ebpf.CollectionSpec) *names {
	t.Helper()
	n := newNames()
	addMembers := func(members []btf.Member) {
		for _, m := range members {
			n.members[m.Name] = true
		}
	}
	for typ, err := range spec.Types.All() {
		if err != nil {
			t.Fatal(err)
		}
		switch typ := typ.(type) {
		case *btf.Struct:
			n.addType(typ.Name)
			addMembers(typ.Members)
		case *btf.Union:
			n.addType(typ.Name)
			addMembers(typ.Members)
		case *btf.Typedef:
			n.addType(typ.Name)
		}
	}
	for _, p := range spec.Programs {
		if name := targetOf(p); name != "" {
			n.targets[name] = true
		}
	}
	return n
}

// TestNames_Broken reads what is no object.
func TestNames_Broken(t *testing.T) {
	object, err := os.ReadFile("../../collect/internal/bpfiter/fdwalk_bpfel_linux.o")
	if err != nil {
		t.Fatal(err)
	}
	for name, broken := range map[string][]byte{"nothing": nil, "text": []byte("text"), "a part": object[:len(object)/2]} {
		if err := newNames().addObject(broken); err == nil {
			t.Errorf("%s is taken for an object", name)
		}
		if _, err := ReadTypes(broken); err == nil {
			t.Errorf("%s: types are read for it", name)
		}
	}
}
