package bpfiter

import (
	"testing"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// BenchmarkLoad is what a cold start takes: most of a run on a small host.
func BenchmarkLoad(b *testing.B) {
	testenv.NeedRoot(b)
	for b.Loop() {
		p, err := load()
		must(b, err)
		must(b, p.close())
	}
}

// BenchmarkKernelTypes is the part of it that finds the kernel's types.
func BenchmarkKernelTypes(b *testing.B) {
	walk, err := loadHashWalk()
	must(b, err)
	fds, err := loadFdWalk()
	must(b, err)
	for b.Loop() {
		_, err := readKernelTypes(walk, fds)
		must(b, err)
	}
}

// BenchmarkObjects is the part of it that reads the objects.
func BenchmarkObjects(b *testing.B) {
	for b.Loop() {
		_, err := loadHashWalk()
		must(b, err)
		_, err = loadFdWalk()
		must(b, err)
	}
}
