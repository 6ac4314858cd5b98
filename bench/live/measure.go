//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// warming is the least time for a watcher to begin its watch. settling is the
	// longest wait for its use of the CPU to end.
	warming  = 2 * time.Second
	settling = 15 * time.Second
	// quiet is the time without output after the end of wrk before the watcher is
	// asked to end. patience bounds this wait, and the wait for its end.
	quiet    = 600 * time.Millisecond
	patience = 20 * time.Second
)

// A sample is one turn of one watcher.
type sample struct {
	rate float64
	// without is the rate without a watcher: the mean of before and after it.
	without float64
	// lost is the number of events lost by the watcher's own account.
	lost uint64
	// made is the number of connections, seen the number of those reported.
	made, seen uint64
	// lines counts the output.
	lines uint64
	// user and system are the CPU time from the first connection to the end.
	user, system time.Duration
	peakKiB      int64
	faults       string
}

// A bench holds the common means of all turns.
type bench struct {
	opts   options
	room   room
	server *server
	wrk    string
}

// run makes all rounds. Each begins with another watcher. Before and after each
// watcher there is a turn with nobody, so a longer disturbance of the machine
// hits both.
func (b *bench) run(ctx context.Context, ws []watcher) (map[string][]sample, error) {
	samples := make(map[string][]sample)
	before, err := b.count(ctx, &watcher{name: nobody}, samples)
	if err != nil {
		return samples, err
	}
	for round := 0; round <= b.opts.rounds; round++ {
		if round == 1 {
			clear(samples) // the first round warms up
		}
		for i := range ws {
			w := &ws[(i+round)%len(ws)]
			if w.fault != "" || w.name == nobody {
				continue
			}
			s, err := b.count(ctx, w, samples)
			if err != nil {
				return samples, err
			}
			after, err := b.count(ctx, &watcher{name: nobody}, samples)
			if err != nil {
				return samples, err
			}
			s.without = (before.rate + after.rate) / 2
			before = after
			fmt.Fprintf(os.Stderr, "live: round %d: %-32s %8.0f requests/s, %5.1f %% of that without, %d connections, %d seen, %d lines, %d told as lost\n",
				round, w.name, s.rate, 100*s.rate/s.without, s.made, s.seen, s.lines, s.lost)
		}
	}
	return samples, nil
}

// count makes a turn and keeps its sample.
func (b *bench) count(ctx context.Context, w *watcher, samples map[string][]sample) (*sample, error) {
	s, err := b.turn(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("measure %s: %w", w.name, err)
	}
	samples[w.name] = append(samples[w.name], s)
	return &samples[w.name][len(samples[w.name])-1], nil
}

// turn runs wrk beside a watcher.
func (b *bench) turn(ctx context.Context, w *watcher) (s sample, err error) {
	if err := apply(ctx, w.before); err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, apply(context.WithoutCancel(ctx), w.after)) }()
	watching, err := b.start(ctx, w)
	if err != nil {
		return s, err
	}
	before, err := b.server.accepted(ctx)
	if err != nil {
		return s, errors.Join(err, watching.end(nil))
	}
	v, err := fire(ctx, b.wrk, b.opts.span)
	if err != nil {
		return s, errors.Join(err, watching.end(nil))
	}
	after, err := b.server.accepted(ctx)
	if err != nil {
		return s, errors.Join(err, watching.end(nil))
	}
	s.rate, s.faults, s.made = v.rate, v.faults, after-before
	return s, watching.end(&s)
}

// A watching is a running watcher with its output in a file.
type watching struct {
	watcher *watcher
	cmd     *exec.Cmd
	out     *os.File
	stderr  *bytes.Buffer
	// ended receives the result of a watcher ended by itself.
	ended chan error
	// user and system are the CPU time it used to get ready.
	user, system time.Duration
}

// start starts a watcher and waits until it watches. For nobody it returns a
// watching without a process.
func (b *bench) start(ctx context.Context, w *watcher) (*watching, error) {
	g := &watching{watcher: w, stderr: new(bytes.Buffer), ended: make(chan error, 1)}
	if w.args == nil {
		return g, nil
	}
	var err error
	if g.out, err = os.Create(b.room.path("out")); err != nil {
		return nil, fmt.Errorf("make file for output: %w", err)
	}
	g.cmd = exec.Command(w.args[0], w.args[1:]...)
	g.cmd.Stdout, g.cmd.Stderr = g.out, g.stderr
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := g.cmd.Start(); err != nil {
		g.out.Close()
		return nil, err
	}
	go func() { g.ended <- g.cmd.Wait() }()
	select {
	case err := <-g.ended:
		g.out.Close()
		return nil, fmt.Errorf("it ended at once: %v: %s", err, outline(g.stderr.String()))
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), g.kill())
	case <-time.After(warming):
	}
	g.user, g.system, err = settled(g.cmd.Process.Pid)
	if err != nil {
		return nil, errors.Join(err, g.kill())
	}
	return g, nil
}

// settled waits until a process uses hardly any CPU, and returns its CPU time
// until then. Its start, above all the load of its programs, is over then.
func settled(pid int) (user, system time.Duration, err error) {
	began := time.Now()
	for {
		u, s, err := usedBy(pid)
		if err != nil {
			return u, s, err
		}
		time.Sleep(warming / 4)
		if user, system, err = usedBy(pid); err != nil {
			return user, system, err
		}
		if user+system-u-s <= 2*tick || time.Since(began) > settling {
			return user, system, nil
		}
	}
}

func (g *watching) kill() error {
	err := g.cmd.Process.Kill()
	<-g.ended
	return errors.Join(err, g.out.Close())
}

// end lets the watcher finish its output, ends it, and counts. Without a sample
// it only ends it.
func (g *watching) end(s *sample) error {
	if g.cmd == nil {
		return nil
	}
	if s == nil {
		return g.kill()
	}
	if err := g.drain(); err != nil {
		return errors.Join(err, g.kill())
	}
	var err error
	if s.peakKiB, err = peakOf(g.cmd.Process.Pid); err != nil {
		return errors.Join(err, g.kill())
	}
	if err := g.cmd.Process.Signal(syscall.SIGINT); err != nil {
		return errors.Join(err, g.kill())
	}
	select {
	case <-g.ended: // many end by the signal, some of them with an error
	case <-time.After(patience):
		return errors.Join(fmt.Errorf("%s does not end", g.watcher.name), g.kill())
	}
	s.user, s.system = g.cmd.ProcessState.UserTime()-g.user, g.cmd.ProcessState.SystemTime()-g.system
	if text := firstLine(g.stderr.String()); text != "" {
		s.faults = strings.TrimSpace(s.faults + " " + text)
	}
	defer g.out.Close()
	if g.watcher.read != nil {
		k, err := g.watcher.read(context.Background())
		s.lines, s.seen, s.lost = k.events, k.server, k.lost
		return errors.Join(err, os.Remove(g.out.Name()))
	}
	if _, err := g.out.Seek(0, io.SeekStart); err != nil {
		return err
	}
	s.lines, s.seen, err = countLines(g.out, func(line []byte) bool {
		s.lost += lostIn(line)
		return g.watcher.server(line)
	})
	return errors.Join(err, os.Remove(g.out.Name()))
}

// drain waits until the watcher stops writing.
func (g *watching) drain() error {
	size, since, began := int64(-1), time.Now(), time.Now()
	for time.Since(since) < quiet && time.Since(began) < patience {
		time.Sleep(quiet / 6)
		file, err := g.out.Stat()
		if err != nil {
			return err
		}
		if file.Size() != size {
			size, since = file.Size(), time.Now()
		}
	}
	return nil
}

// countLines counts the lines, and those of the server's ends.
func countLines(r io.Reader, server func([]byte) bool) (lines, seen uint64, err error) {
	in := bufio.NewReaderSize(r, 1<<20)
	for rest := false; ; {
		line, err := in.ReadSlice('\n')
		if len(line) > 0 && !rest {
			lines++
			if server(line) {
				seen++
			}
		}
		rest = errors.Is(err, bufio.ErrBufferFull) // of a counted line
		switch {
		case errors.Is(err, io.EOF):
			return lines, seen, nil
		case err != nil && !rest:
			return lines, seen, err
		}
	}
}

// tick is the unit of times in /proc/PID/stat.
const tick = 10 * time.Millisecond

// usedBy returns the CPU time of a process (utime and stime of /proc/PID/stat).
func usedBy(pid int) (user, system time.Duration, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(f) < 13 {
		return 0, 0, fmt.Errorf("/proc/%d/stat: want 15 fields, got %d", pid, len(f)+2)
	}
	u, uerr := strconv.ParseInt(f[11], 10, 64)
	s, serr := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(u) * tick, time.Duration(s) * tick, errors.Join(uerr, serr)
}

// peakOf returns the peak of a process's resident memory.
func peakOf(pid int) (kib int64, err error) { return memoryOf(pid, "VmHWM:") }

// memoryOf returns a line of /proc/PID/status in KiB.
func memoryOf(pid int, name string) (kib int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			f := strings.Fields(rest)
			if len(f) > 0 {
				return strconv.ParseInt(f[0], 10, 64)
			}
		}
	}
	return 0, fmt.Errorf("/proc/%d/status: no %s", pid, name)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

// outline returns the first line and the last.
func outline(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) == 1 {
		return lines[0]
	}
	return lines[0] + " … " + lines[len(lines)-1]
}

// probe finds the watchers unable to run, and notes their errors.
func (b *bench) probe(ctx context.Context, ws []watcher) {
	for i := range ws {
		w := &ws[i]
		for _, c := range append(slices.Clone(w.before), w.args) {
			if len(c) == 0 {
				continue
			}
			if _, err := exec.LookPath(c[0]); err != nil && w.fault == "" {
				w.fault = err.Error()
			}
		}
		if w.fault != "" || w.args == nil {
			continue
		}
		if g, err := b.start(ctx, w); err != nil {
			w.fault = err.Error()
		} else if err := g.kill(); err != nil {
			w.fault = err.Error()
		}
	}
}
