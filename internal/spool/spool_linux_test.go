package spool

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkSpool_File is what a line costs from the spool to a file, in bursts
// as the kernel's buffer gives them: the CPU time of the process, by user and
// system, without what makes the line.
func BenchmarkSpool_File(b *testing.B) {
	const burst = 12_000
	line := append(bytes.Repeat([]byte("x"), 576), '\n')
	add := func(dst []byte) []byte { return append(dst, line...) }
	f, err := os.Create(filepath.Join(b.TempDir(), "out"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	s := New(f, 50*time.Millisecond)
	go s.Run(func(err error) { b.Error(err) })
	before := usage(b)
	for b.Loop() {
		for range burst {
			if _, err := s.Add(add); err != nil {
				b.Fatal(err)
			}
		}
		time.Sleep(60 * time.Millisecond)
	}
	if err := s.Close(0); err != nil {
		b.Fatal(err)
	}
	after := usage(b)
	n := float64(b.N) * burst
	b.ReportMetric(float64(after.Utime.Nano()-before.Utime.Nano())/n, "user-ns/line")
	b.ReportMetric(float64(after.Stime.Nano()-before.Stime.Nano())/n, "sys-ns/line")
	b.ReportMetric(float64(after.Nvcsw-before.Nvcsw)/n*1000, "sleeps/1000")
}

func usage(b *testing.B) unix.Rusage {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return r
}
