package collect_test

import (
	"bufio"
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// BenchmarkKept compares a pass of a collector that is kept open with the whole
// process that answers once, for 10,000 sockets in 500 processes.
func BenchmarkKept(b *testing.B) {
	testenv.NeedRoot(b)
	load(b, "-sockets", "10000", "-procs", "500", "-netns", "1")
	program := built(b, "../cmd/whose")
	dir := pin(b, collect.PinOptions{GID: -1})
	for _, way := range []struct {
		name string
		opts collect.Options
	}{
		{"pinned", collect.Options{Source: collect.BPF, PinDir: dir}},
		{"bpf", collect.Options{Source: collect.BPF, PinDir: b.TempDir()}},
		{"netlink", collect.Options{Source: collect.Netlink, PinDir: dir}},
	} {
		b.Run(way.name+"/pass", func(b *testing.B) { benchmarkPass(b, way.opts) })
		b.Run(way.name+"/process", func(b *testing.B) {
			for b.Loop() {
				cmd := exec.Command(program, "-a", "-o", "tsv", "--source", way.opts.Source, "--pin-dir", way.opts.PinDir)
				if err := cmd.Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchmarkPass(b *testing.B, opts collect.Options) {
	c := opened(b)
	opts.States, opts.Needs = whose.AllStates, whose.NeedDefault
	b.ReportAllocs()
	for b.Loop() {
		answer, err := c.Collect(context.Background(), &opts)
		if err != nil {
			b.Fatal(err)
		}
		read, owned := answer.Reader(), 0
		for i := range answer.Len() {
			owned += len(read(i).Owners)
		}
		if answer.Close(); owned < 10_000 {
			b.Fatalf("%d sessions with an owner, want 10,000", owned)
		}
	}
}

// load builds a standing load with the generator of the benchmarks.
func load(b testing.TB, shape ...string) {
	b.Helper()
	program := filepath.Join(b.TempDir(), "load")
	cc := exec.Command(testenv.NeedProgram(b, "cc"), "-O2", "-o", program, "../bench/load/load.c")
	if out, err := cc.CombinedOutput(); err != nil {
		b.Fatalf("compile the load: %v\n%s", err, out)
	}
	cmd := exec.Command(program, shape...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := testenv.Start(b, cmd); err != nil {
		b.Fatalf("start the load: %v", err)
	}
	b.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			b.Errorf("end the load: %v", err)
		}
	})
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		b.Fatalf("build the load: %v", err)
	}
}

// built builds a command of this module.
func built(b *testing.B, pkg string) string {
	b.Helper()
	program := filepath.Join(b.TempDir(), filepath.Base(pkg))
	if out, err := exec.Command("go", "build", "-o", program, pkg).CombinedOutput(); err != nil {
		b.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return program
}
