package proc

import (
	"context"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkWalk walks processes with sockets, and no others.
func BenchmarkWalk(b *testing.B) {
	for _, load := range []struct{ processes, sockets int }{{100, 100}, {20, 1000}, {500, 10}} {
		for _, workers := range []int{1, 2} {
			b.Run(fmt.Sprintf("%dx%d/workers=%d", load.processes, load.sockets, workers), func(b *testing.B) {
				benchmarkWalk(b, load.processes, load.sockets, workers)
			})
		}
	}
}

func benchmarkWalk(b *testing.B, processes, sockets, workers int) {
	opt := WalkOptions{Workers: workers}
	for range processes {
		opt.PIDs = append(opt.PIDs, forkHolder(b, sockets))
	}
	f := open(b)
	var w Walk
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		w.Reset()
		if err := f.Walk(ctx, opt, &w); err != nil {
			b.Fatal(err)
		}
	}
	if len(w.Holdings) < processes*sockets {
		b.Fatalf("found %d of %d sockets", len(w.Holdings), processes*sockets)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(w.Links), "ns/link")
}

// forkHolder makes a process that holds sockets, without the cost of starting a
// program: a copy of this one that makes system calls and no more.
func forkHolder(b *testing.B, sockets int) uint32 {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		b.Fatal(err)
	}
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		b.Fatal(errno)
	}
	if pid == 0 {
		for range sockets {
			unix.RawSyscall(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_DGRAM, 0)
		}
		unix.RawSyscall(unix.SYS_CLOSE, uintptr(pipe[0]), 0, 0)
		unix.RawSyscall(unix.SYS_CLOSE, uintptr(pipe[1]), 0, 0)
		for {
			unix.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
		}
	}
	unix.Close(pipe[1])
	unix.Read(pipe[0], make([]byte, 1)) // ends when the child has closed its end
	unix.Close(pipe[0])
	b.Cleanup(func() {
		unix.Kill(int(pid), unix.SIGKILL)
		unix.Wait4(int(pid), nil, 0, nil)
	})
	return uint32(pid)
}

func BenchmarkWalkHost(b *testing.B) {
	f := open(b)
	var w Walk
	b.ReportAllocs()
	for b.Loop() {
		w.Reset()
		if err := f.Walk(context.Background(), WalkOptions{}, &w); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(w.Processes), "processes")
	b.ReportMetric(float64(w.Links), "links")
}

func BenchmarkProcess(b *testing.B) {
	f := open(b)
	w := walk(b, f, WalkOptions{PIDs: []uint32{forkHolder(b, 1)}})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Process(w.Tasks[0].PID, w.Tasks[0].Start, allNeeds); err != nil {
			b.Fatal(err)
		}
	}
}
