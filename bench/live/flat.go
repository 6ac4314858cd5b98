//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// A flatness is the resident memory of whose over a long time under load.
type flatness struct {
	span time.Duration
	made uint64
	// kib holds a reading every ten seconds, sockets the number of TCP sockets of
	// the host at the time: more than the load's, if others are at work.
	kib, sockets []int64
	lines        uint64
}

// counting counts lines and keeps none, so no disk fills.
type counting struct{ lines uint64 }

func (c *counting) Write(p []byte) (int, error) {
	c.lines += uint64(bytes.Count(p, []byte("\n")))
	return len(p), nil
}

// flat runs whose for a long time and reads its memory.
func (b *bench) flat(ctx context.Context, w *watcher) (flatness, error) {
	f := flatness{span: b.opts.flat}
	var out counting
	cmd := exec.Command(w.args[0], w.args[1:]...)
	cmd.Stdout, cmd.Stderr = &out, io.Discard
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return f, err
	}
	time.Sleep(warming)
	if _, _, err := settled(cmd.Process.Pid); err != nil {
		return f, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	before, err := b.server.accepted(ctx)
	fired := make(chan error, 1)
	if err == nil {
		go func() { _, err := fire(ctx, b.wrk, b.opts.flat); fired <- err }()
		err = f.sample(cmd.Process.Pid, fired)
	}
	if err == nil {
		f.made, err = b.server.accepted(ctx)
		f.made -= before
	}
	time.Sleep(quiet)
	err = errors.Join(err, cmd.Process.Signal(syscall.SIGINT))
	cmd.Wait() // by the signal
	f.lines = out.lines
	return f, err
}

// sample reads the memory until wrk has ended.
func (f *flatness) sample(pid int, fired <-chan error) error {
	every := time.NewTicker(10 * time.Second)
	defer every.Stop()
	for {
		select {
		case err := <-fired:
			return err
		case <-every.C:
			kib, err := memoryOf(pid, "VmRSS:")
			if err != nil {
				return err
			}
			sockets, err := hostSockets()
			if err != nil {
				return err
			}
			f.kib, f.sockets = append(f.kib, kib), append(f.sockets, sockets)
		}
	}
}

// hostSockets returns the number of TCP sockets in all namespaces ("alloc" of
// /proc/net/sockstat).
func hostSockets() (n int64, err error) {
	text, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), " alloc ")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		return 0, fmt.Errorf("/proc/net/sockstat: read alloc: %w", err)
	}
	return n, nil
}

// notes describes the result.
func (f *flatness) notes() []string {
	if len(f.kib) == 0 {
		return []string{fmt.Sprintf("Memory: no reading in %v.", f.span)}
	}
	mib := func(i int) float64 { return float64(f.kib[i]) / 1024 }
	n := len(f.kib)
	least, most := f.kib[n/2], f.kib[n/2]
	for _, kib := range f.kib[n/2:] {
		least, most = min(least, kib), max(most, kib)
	}
	whole := fmt.Sprintf("Memory over %v of it: %d connections, %d events; resident %.1f MiB after 10 s, %.1f in the middle, %.1f at the end; "+
		"second half between %.1f and %.1f.", f.span, f.made, f.lines, mib(0), mib(n/2), mib(n-1),
		float64(least)/1024, float64(most)/1024)
	minutes := "By the minute, MiB (TCP sockets on the host):"
	for i := 0; i < n; i += 6 {
		minutes += fmt.Sprintf(" %.0f (%d)", mib(i), f.sockets[i])
	}
	return []string{whole, minutes + "."}
}
