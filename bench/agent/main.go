//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/seed-44df2ae6/whose/bench/result"
)

func main() {
	whose := flag.String("whose", "../whose", "`path` of whose")
	idle := flag.Duration("idle", 30*time.Second, "how long to measure on an idle host")
	data := flag.String("results", "", "write the report as JSON to this `file`")
	flag.Parse()
	if err := measure(*whose, *idle, *data); err != nil {
		fmt.Fprintln(os.Stderr, "agent: error:", err)
		os.Exit(1)
	}
}

// A bench holds what the measurements have in common.
type bench struct {
	dir, whose, load string
	idle             time.Duration
	rows             [][]result.Cell
}

// add adds a row: what was measured, the target, the figure, and whether it is reached.
func (b *bench) add(what, target, figure string, reached bool) {
	verdict := "missed"
	if reached {
		verdict = "reached"
	}
	b.rows = append(b.rows, []result.Cell{result.Cell(what), result.Cell(target), result.Cell(figure), result.Cell(verdict)})
	fmt.Fprintf(os.Stderr, "agent: %s: %s (%s): %s\n", what, figure, target, verdict)
}

func measure(whose string, idle time.Duration, data string) (err error) {
	if os.Geteuid() != 0 {
		return fmt.Errorf("follow sessions: %w: run as root", os.ErrPermission)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := bench{idle: idle}
	if b.whose, err = filepath.Abs(whose); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "whose-agent-"); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	b.load = filepath.Join(b.dir, "load")
	if out, err := exec.CommandContext(ctx, "cc", "-O2", "-o", b.load, "load/load.c").CombinedOutput(); err != nil {
		return fmt.Errorf("build load: %w: %s", err, out)
	}
	for _, step := range []struct {
		sockets int
		measure func(context.Context, *host) error
	}{{1000, b.quiet}, {10_000, b.many}, {100_000, b.most}} {
		if err := b.beside(ctx, step.sockets, step.measure); err != nil {
			return fmt.Errorf("beside %d sessions: %w", step.sockets, err)
		}
	}
	report := &result.Report{
		Title: "The agent",
		Text:  []string{time.Now().UTC().Format("2006-01-02 15:04 UTC") + ", with history, socket and metrics. " + machine()},
		Tables: []result.Table{{
			Columns: []string{"", "to reach", "measured", ""}, Rows: b.rows,
		}},
	}
	fmt.Print(report.Markdown(1))
	if data != "" {
		return report.WriteFile(data)
	}
	return nil
}

// machine describes the machine in one line.
func machine() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	load, lerr := os.ReadFile("/proc/loadavg")
	if err := errors.Join(err, lerr); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("Kernel %s; load average when it ended: %s.", strings.TrimSpace(string(release)), strings.Fields(string(load))[0])
}
