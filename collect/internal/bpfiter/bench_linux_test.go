package bpfiter

import (
	"context"
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/bpf"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// BenchmarkLoad is what a cold start takes: most of a run on a small host.
func BenchmarkLoad(b *testing.B) {
	testenv.NeedRoot(b)
	for b.Loop() {
		p, err := load(loading{ways: true})
		must(b, err)
		must(b, p.close())
	}
}

// BenchmarkLoadFiles is what a question that takes task_file pays once more.
func BenchmarkLoadFiles(b *testing.B) {
	testenv.NeedRoot(b)
	for b.Loop() {
		p := noPrograms()
		must(b, p.addTaskFile())
		must(b, p.close())
	}
}

// BenchmarkKernelTypes is the part of it that finds the kernel's types.
func BenchmarkKernelTypes(b *testing.B) {
	for b.Loop() {
		_, err := bpf.ReadTypes(_HashWalkBytes, _FdWalkBytes)
		must(b, err)
	}
}

// BenchmarkObjects is the part of it that reads the objects.
func BenchmarkObjects(b *testing.B) {
	for b.Loop() {
		for _, object := range [][]byte{_HashWalkBytes, _FdWalkBytes} {
			_, err := bpf.ReadObject(object)
			must(b, err)
		}
	}
}

// BenchmarkRead is what a collector kept open pays for what the host has, with
// the programs of newer kernels, on one thread and on two, and as older ones have to.
func BenchmarkRead(b *testing.B) {
	testenv.NeedRoot(b)
	for name, o := range map[string]Options{
		"new": {}, "one thread": {Threads: 1}, "two threads": {Threads: 2}, "task_file only": {TaskFileOnly: true},
	} {
		b.Run(name, func(b *testing.B) {
			s, err := Load(o)
			must(b, err)
			defer s.Close()
			var snap source.Snapshot
			for b.Loop() {
				snap.Reset()
				must(b, s.Read(context.Background(), asking(source.Query{States: whose.DefaultStates}), &snap))
			}
			b.ReportMetric(float64(len(snap.Sockets)), "sockets")
		})
	}
}
