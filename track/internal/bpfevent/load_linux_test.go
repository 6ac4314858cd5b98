package bpfevent

import (
	"testing"

	"github.com/seed-44df2ae6/whose/internal/bpf"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestLoad_Quickly loads all programs by the loader of package bpf, behind which
// package ebpf would hide what it cannot do.
func TestLoad_Quickly(t *testing.T) {
	testenv.NeedRoot(t)
	for name, c := range map[string]Config{"calls": {Text: true}, "packets": {Packets: true}} {
		t.Run(name, func(t *testing.T) {
			if !c.Packets {
				testenv.NeedKernel(t, 6, 3, "sock_send_length")
			}
			s := Source{config: c.withDefaults()}
			spec, err := loadEvents()
			if err != nil {
				t.Fatal(err)
			}
			if err := s.configure(spec); err != nil {
				t.Fatal(err)
			}
			types, err := bpf.ReadTypes(_EventsBytes)
			if err != nil {
				t.Fatal(err)
			}
			o, err := bpf.LoadQuickly(spec, types)
			if err != nil {
				t.Fatal(err)
			}
			if err := o.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
