package bpf

import (
	"bytes"
	"testing"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestCopyKernelBTF compares the copy that the kernel makes, which only older
// ones are asked for, with the file.
func TestCopyKernelBTF(t *testing.T) {
	testenv.NeedRoot(t)
	want := kernelBTF(t)
	got, release, err := copyKernelBTF(len(want))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the copy differs from the file")
	}
	release()
	if _, _, err := copyKernelBTF(len(want) - 1); err == nil {
		t.Error("a part is taken for the whole")
	}
	mapped, release, err := readKernelBTF()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if !bytes.Equal(mapped, want) {
		t.Error("what is read differs from the file")
	}
}

func BenchmarkCopyKernelBTF(b *testing.B) {
	testenv.NeedRoot(b)
	size := len(kernelBTF(b))
	for b.Loop() {
		_, release, err := copyKernelBTF(size)
		if err != nil {
			b.Fatal(err)
		}
		release()
	}
}
