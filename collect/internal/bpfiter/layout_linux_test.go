package bpfiter

import (
	"testing"

	"github.com/cilium/ebpf"

	"github.com/seed-44df2ae6/whose/internal/bpf"
	"github.com/seed-44df2ae6/whose/internal/bpf/bpftest"
)

// TestLayout compares the structs here with those of the programs.
func TestLayout(t *testing.T) {
	files, err := loadTaskFile()
	must(t, err)
	walk, err := loadHashWalk()
	must(t, err)
	bpftest.CheckLayout(t, files, map[string]any{
		"socket_record": socketRecord{}, "tcp_record": tcpRecord{}, "task_record": taskRecord{},
		"device_record": deviceRecord{}, "way_record": wayRecord{}, "header_record": headerRecord{}, "inside_record": insideRecord{}, "wanted": wanted{}, "brief": brief{}, "conditions": bpf.Conditions{},
	})
	bpftest.CheckLayout(t, walk, map[string]any{
		"id_record": idRecord{}, "netns_record": netnsRecord{}, "more_record": moreRecord{}, "wanted": wanted{}, "brief": brief{}, "conditions": bpf.Conditions{},
	})
}

// TestSizeOf wants whole words: a record begins where the last one ends.
func TestSizeOf(t *testing.T) {
	for k := recordSocket; k <= recordInside; k++ {
		if n := sizeOf(k); n == 0 || n%8 != 0 {
			t.Errorf("kind %d: %d bytes", k, n)
		}
	}
}

func TestObjects_NoPaths(t *testing.T) {
	for _, load := range []func() (*ebpf.CollectionSpec, error){loadTaskFile, loadHashWalk, loadHashProbe, loadFdWalk} {
		spec, err := load()
		must(t, err)
		bpftest.CheckNoPaths(t, spec)
	}
}
