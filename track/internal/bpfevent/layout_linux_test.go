package bpfevent

import (
	"reflect"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// TestLayout compares the structs here with those of the programs, as the
// object describes them: size, and place of every member.
func TestLayout(t *testing.T) {
	spec, err := loadEvents()
	if err != nil {
		t.Fatal(err)
	}
	for name, here := range map[string]any{
		"tcp_record": tcpRecord{}, "udp_record": udpRecord{}, "process_record": processRecord{},
		"exit_record": exitRecord{}, "flow_key": rawKey{}, "flow": rawFlow{}, "narrow": narrow{}, "ends": ends{},
	} {
		checkStruct(t, spec, name, reflect.TypeOf(here))
	}
}

// plain returns a name as both languages would have it.
func plain(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

func checkStruct(t *testing.T, spec *ebpf.CollectionSpec, name string, here reflect.Type) {
	t.Helper()
	var there *btf.Struct
	if err := spec.Types.TypeByName(name, &there); err != nil {
		t.Errorf("struct %s: %v", name, err)
		return
	}
	if uintptr(there.Size) != here.Size() {
		t.Errorf("struct %s: %d bytes here, %d there", name, here.Size(), there.Size)
	}
	if name != "flow" && there.Size%8 != 0 {
		t.Errorf("struct %s: %d bytes, not a multiple of 8", name, there.Size)
	}
	offsets := make(map[string]uintptr)
	for i := range here.NumField() {
		offsets[plain(here.Field(i).Name)] = here.Field(i).Offset
	}
	for _, m := range membersOf(there, 0) {
		off, ok := offsets[m.name]
		switch {
		case strings.HasPrefix(m.name, "pad"):
		case !ok:
			t.Errorf("struct %s: member %s is not known here", name, m.name)
		case off != m.offset:
			t.Errorf("struct %s: member %s at %d here, at %d there", name, m.name, off, m.offset)
		}
	}
}

type member struct {
	name   string
	offset uintptr
}

// membersOf returns the members, with those of struct who in its place.
func membersOf(s *btf.Struct, base uintptr) []member {
	var all []member
	for _, m := range s.Members {
		at := base + uintptr(m.Offset.Bytes())
		if inner, ok := m.Type.(*btf.Struct); ok && inner.Name == "who" {
			all = append(all, membersOf(inner, at)...)
			continue
		}
		all = append(all, member{plain(m.Name), at})
	}
	return all
}

// TestObject_NoPaths shows that no path of the builder's is in the object.
func TestObject_NoPaths(t *testing.T) {
	spec, err := loadEvents()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range spec.Programs {
		for i := range p.Instructions {
			l, ok := p.Instructions[i].Source().(*btf.Line)
			if ok && strings.HasPrefix(l.FileName(), "/") {
				t.Fatalf("the object names %s", l.FileName())
			}
		}
	}
}
