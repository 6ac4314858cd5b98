package bpf

import (
	"bytes"
	"os"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

func kernelBTF(t testing.TB) []byte {
	raw, err := os.ReadFile("/sys/kernel/btf/vmlinux")
	if err != nil {
		testenv.Missing(t, "the kernel's BTF", err.Error())
	}
	return raw
}

// TestCutBTF compares what the cut tells with what the whole tells.
func TestCutBTF(t *testing.T) {
	types := map[string]bool{"sock": true, "sock_common": true, "atomic_t": true, "pid": true}
	members := map[string]bool{
		"__sk_common": true, "sk_uid": true, "skc_v6_daddr": true, "skc_ipv6only": true,
		"counter": true, "level": true, "numbers": true, "nr": true,
	}
	small, ids, err := cutBTF(kernelBTF(t), types, members, map[string]bool{"bpf_iter_task_file": true})
	if err != nil {
		t.Fatal(err)
	}
	cut, err := btf.LoadSpecFromReader(bytes.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	whole, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	for name := range types {
		if name != "atomic_t" {
			compareStructs(t, name, cut, whole)
		}
	}
	var fn *btf.Func
	if err := whole.TypeByName("bpf_iter_task_file", &fn); err != nil {
		t.Fatal(err)
	}
	if id, err := whole.TypeID(fn); err != nil || uint32(id) != ids["bpf_iter_task_file"] {
		t.Errorf("bpf_iter_task_file: id %d, want %d (%v)", ids["bpf_iter_task_file"], id, err)
	}
}

func compareStructs(t *testing.T, name string, cut, whole *btf.Spec) {
	t.Helper()
	var a, b *btf.Struct
	if err := cut.TypeByName(name, &a); err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if err := whole.TypeByName(name, &b); err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if a.Size != b.Size {
		t.Errorf("%s: size %d, want %d", name, a.Size, b.Size)
	}
	places := make(map[string]btf.Member)
	for _, m := range b.Members {
		places[m.Name] = m
	}
	named := 0
	for _, m := range a.Members {
		if m.Name == "" {
			continue
		}
		named++
		if w := places[m.Name]; m.Offset != w.Offset || m.BitfieldSize != w.BitfieldSize {
			t.Errorf("%s.%s: at bit %d, %d bits; want %d, %d", name, m.Name, m.Offset, m.BitfieldSize, w.Offset, w.BitfieldSize)
		}
	}
	if named == 0 {
		t.Errorf("%s: no members are left", name)
	}
}

// FuzzCutBTF cuts broken BTF: there may be an error, never a crash or a hang.
func FuzzCutBTF(f *testing.F) {
	types := map[string]bool{"sock": true, "pid": true, "t": true}
	members := map[string]bool{"counter": true, "level": true, "m": true}
	if raw, err := os.ReadFile("/sys/kernel/btf/vmlinux"); err == nil {
		small, _, err := cutBTF(raw, types, members, nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(small)
	}
	f.Add([]byte{0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		cutBTF(raw, types, members, map[string]bool{"f": true})
	})
}
