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
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A sample is one run of one command.
type sample struct {
	wall, cpu time.Duration
	peakKiB   int64
	// status is the exit status, or minus the signal that ended it.
	status int
	// rows counts the lines of the output, named those with a process of the load.
	rows, named int
	stderr      string
}

// A stats value sums up all counted runs of a command on a load.
type stats struct {
	wall, best, cpu time.Duration
	peakKiB         int64
	rows, named     int
	runs            int
	// over: the bound ended the command. wall is then the bound.
	over bool
	// fault is the reason against a comparison of the command. Nothing else counts
	// then.
	fault string
}

// A bench holds the common means of all loads.
type bench struct {
	opts     options
	programs programs
	room     room
	tools    []tool
}

// pin pins the iterators of each whose, or removes the tools for reading them.
func (b *bench) pin(ctx context.Context, p *page) {
	for _, one := range []struct{ program, dir string }{
		{b.programs.whose, b.room.pins()}, {b.programs.before, b.room.pinsBefore()},
	} {
		if one.program == "" {
			continue
		}
		out, err := exec.CommandContext(ctx, one.program, "pin", "--pin-dir", one.dir).CombinedOutput()
		if err == nil {
			continue
		}
		p.note("%s pin: %v: %s", one.program, err, bytes.TrimSpace(out))
		b.tools = slices.DeleteFunc(b.tools, func(t tool) bool { return slices.Contains(t.args, one.dir) })
	}
}

// turns is how often the loads of a group are built in turn.
const turns = 3

// measure times every tool on each load of a group.
func (b *bench) measure(ctx context.Context, group []load) ([]map[string]stats, error) {
	times := 1
	if len(group) > 1 {
		times = min(turns, b.opts.runs)
	}
	samples := make([]map[string][]sample, len(group))
	results := make([]map[string]stats, len(group))
	for i := range group {
		samples[i], results[i] = map[string][]sample{}, map[string]stats{}
	}
	for range times {
		for i, l := range group {
			if err := b.sampleOn(ctx, l, times, samples[i]); err != nil {
				return nil, err
			}
		}
	}
	for i, l := range group {
		for _, t := range b.tools {
			if got := samples[i][t.name]; len(got) > 0 {
				results[i][t.name] = b.summary(t, l, got)
			}
		}
	}
	return results, nil
}

// sampleOn builds a load, runs every tool on it for one of so many turns, and
// removes it.
func (b *bench) sampleOn(ctx context.Context, l load, times int, samples map[string][]sample) (err error) {
	s := &standing{pid: os.Getpid()}
	if !l.idle() {
		fmt.Fprintf(os.Stderr, "compare: building %s\n", l.title)
		if s, err = start(ctx, b.programs.load, l); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.stop()) }()
	}
	var tools []tool
	for _, t := range b.tools {
		if t.runsOn(l) {
			tools = append(tools, t)
		}
	}
	rounds := (b.opts.runs + times - 1) / times
	wanted := make([]int, len(tools))
	for round := 0; round <= rounds; round++ {
		for i, t := range tools {
			if round > 0 && round > wanted[i] {
				continue
			}
			one, err := b.run(ctx, t, s, i)
			if err != nil {
				return err
			}
			if round == 0 {
				wanted[i] = worth(one, rounds, b.opts.spend/time.Duration(times))
			}
			// The first run warms up. It counts only if it is the only one.
			if round > 0 || wanted[i] == 0 {
				samples[t.name] = append(samples[t.name], one)
			}
		}
	}
	return nil
}

// worth returns the number of runs of a command after its first.
func worth(first sample, runs int, spend time.Duration) int {
	if first.wall > spend/2 {
		return 0
	}
	return min(runs, max(1, int(spend/first.wall)))
}

// run runs a tool once, in each of the namespaces if it sees only one.
func (b *bench) run(ctx context.Context, t tool, s *standing, index int) (sample, error) {
	namespaces := s.namespaces
	if !t.each && len(namespaces) > 1 {
		namespaces = namespaces[:1]
	}
	if len(namespaces) == 0 {
		namespaces = []int{os.Getpid()}
	}
	var sum sample
	for _, pid := range namespaces {
		one, err := b.once(ctx, t.command(s), pid, b.room.output(index))
		if err != nil {
			return sum, fmt.Errorf("time %s: %w", t.name, err)
		}
		sum.wall += one.wall
		sum.cpu += one.cpu
		sum.peakKiB = max(sum.peakKiB, one.peakKiB)
		if t.counts {
			if one.rows, err = readNumber(b.room.output(index)); err != nil {
				return sum, fmt.Errorf("read output of %s: %w: %s", t.name, err, one.stderr)
			}
		}
		sum.rows += one.rows
		sum.named += one.named
		sum.status, sum.stderr = one.status, one.stderr
	}
	return sum, nil
}

// once runs a command and counts its output.
func (b *bench) once(ctx context.Context, command []string, netns int, output string) (sample, error) {
	args := append([]string{"-ns", strconv.Itoa(netns), "-t", strconv.Itoa(int(b.opts.bound.Seconds())), "-o", output}, command...)
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, b.programs.timed, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Run(); err != nil {
		return sample{}, fmt.Errorf("%w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	s, err := parseTimed(stdout.String())
	if err != nil {
		return s, err
	}
	s.stderr, _, _ = strings.Cut(strings.TrimSpace(stderr.String()), "\n")
	f, err := os.Open(output)
	if err != nil {
		return s, err
	}
	defer f.Close()
	s.rows, s.named, err = countRows(f)
	return s, err
}

// parseTimed reads the line of ../timed.
func parseTimed(line string) (sample, error) {
	var s sample
	var wall, user, system int64
	_, err := fmt.Sscanf(line, "%d %d %d %d %d", &wall, &user, &system, &s.peakKiB, &s.status)
	if err != nil {
		return s, fmt.Errorf("read what timed says: %q: %w", line, err)
	}
	s.wall = time.Duration(wall)
	s.cpu = time.Duration(user+system) * time.Microsecond
	return s, nil
}

// ownProcess matches the name of a process of the load in the form of each tool.
// netstat shows the program's name.
var ownProcess = regexp.MustCompile(`app[0-9]{4}|/load\b`)

// countRows counts the lines, and those with the name of a process of the load.
func countRows(r io.Reader) (rows, named int, err error) {
	lines := bufio.NewReaderSize(r, 1<<20)
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			rows++
			if ownProcess.Match(line) {
				named++
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return rows, named, nil
		case errors.Is(err, bufio.ErrBufferFull):
			rows-- // the rest of the line follows
		case err != nil:
			return rows, named, err
		}
	}
}

// readNumber reads an output that is one number.
func readNumber(path string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(bytes.TrimSpace(text)))
}

// summary makes one of all runs. A short answer becomes a fault.
func (b *bench) summary(t tool, l load, samples []sample) stats {
	var walls, cpus []time.Duration
	s := stats{runs: len(samples)}
	for _, one := range samples {
		walls, cpus = append(walls, one.wall), append(cpus, one.cpu)
		s.peakKiB = max(s.peakKiB, one.peakKiB)
		s.rows, s.named = one.rows, one.named
		if one.status == -int(syscall.SIGKILL) && one.wall >= b.opts.bound {
			s.over = true
			continue
		}
		if want := t.atLeast(l); one.rows < want || (t.owners && one.named < want) {
			s.fault = fmt.Sprintf("%d rows, %d with a process, want %d; exit status %d %s",
				one.rows, one.named, want, one.status, one.stderr)
		}
		// An idle host may have an empty answer, exit status 1 for some.
		if l.idle() && (one.status < 0 || one.status > 1) {
			s.fault = fmt.Sprintf("exit status %d %s", one.status, one.stderr)
		}
	}
	s.wall, s.best, s.cpu = median(walls), slices.Min(walls), median(cpus)
	return s
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	n := len(d)
	return (d[(n-1)/2] + d[n/2]) / 2
}
