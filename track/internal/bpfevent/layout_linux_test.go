package bpfevent

import (
	"reflect"
	"testing"

	"github.com/seed-44df2ae6/whose/internal/bpf"
	"github.com/seed-44df2ae6/whose/internal/bpf/bpftest"
)

// TestLayout compares the structs here with those of the programs. Records are
// whole words.
func TestLayout(t *testing.T) {
	spec, err := loadEvents()
	if err != nil {
		t.Fatal(err)
	}
	records := map[string]any{
		"tcp_record": tcpRecord{}, "udp_record": udpRecord{}, "process_record": processRecord{}, "exit_record": exitRecord{},
	}
	bpftest.CheckLayout(t, spec, records)
	bpftest.CheckLayout(t, spec, map[string]any{"flow_key": rawKey{}, "flow": rawFlow{}, "conditions": bpf.Conditions{}})
	for name, r := range records {
		if n := reflect.TypeOf(r).Size(); n%8 != 0 {
			t.Errorf("struct %s: %d bytes, not a multiple of 8", name, n)
		}
	}
}

func TestObject_NoPaths(t *testing.T) {
	spec, err := loadEvents()
	if err != nil {
		t.Fatal(err)
	}
	bpftest.CheckNoPaths(t, spec)
}
