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

// An options value holds the flags.
type options struct {
	whose  string
	rounds int
	span   time.Duration
	flat   time.Duration
	only   string
	out    string
	data   string
	tmp    string
}

func parseFlags(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("live", flag.ContinueOnError)
	fs.StringVar(&o.whose, "whose", "", "`path` of whose; empty leaves it out")
	fs.IntVar(&o.rounds, "rounds", 7, "rounds after a first one that is not counted")
	fs.DurationVar(&o.span, "time", 4*time.Second, "how long wrk runs in each turn")
	fs.DurationVar(&o.flat, "flat", 0, "after the rounds, run whose this long under load and read its memory (10m)")
	fs.StringVar(&o.only, "only", "", "only watchers whose names hold this, and nobody")
	fs.StringVar(&o.out, "out", "", "write the page to this `file` too")
	fs.StringVar(&o.data, "results", "", "write the report as JSON to this `file` (result/data/… of docs/performance.md)")
	fs.StringVar(&o.tmp, "tmp", "", "`folder` for outputs (default: the system's)")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("read arguments: %q is none", fs.Arg(0))
	}
	if o.whose != "" {
		path, err := filepath.Abs(o.whose)
		if err != nil {
			return o, fmt.Errorf("find whose: %w", err)
		}
		o.whose = path
	}
	return o, nil
}

func main() {
	o, err := parseFlags(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err == nil {
		err = live(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "live: error:", err)
		os.Exit(1)
	}
}

// live does all the work in a room of its own.
func live(o options) (err error) {
	r, err := enterRoom(o.tmp)
	if err != nil {
		return err
	}
	defer r.leave()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := bench{opts: o, room: r}
	if b.wrk, err = exec.LookPath("wrk"); err != nil {
		return fmt.Errorf("find programs: %w", err)
	}
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		return fmt.Errorf("find programs: %w", err)
	}
	// Ended connections, tracked for minutes, would fill its table.
	for _, name := range []string{"time_wait", "close"} {
		if err := setSysctl("net/netfilter/nf_conntrack_tcp_timeout_"+name, "1"); err != nil {
			fmt.Fprintln(os.Stderr, "live: shorten connection tracking:", err)
		}
	}
	if b.server, err = startServer(ctx, nginx, r); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.server.stop()) }()
	return b.all(ctx)
}

// all measures everything and prints it.
func (b *bench) all(ctx context.Context) error {
	ws := chosen(watchers(b.opts.whose, b.room), b.opts.only)
	b.probe(ctx, ws)
	samples, err := b.run(ctx, ws)
	if err != nil {
		return err
	}
	report := reportOf(ws, samples, b.opts)
	if err := b.watchMemory(ctx, report, ws); err != nil {
		return err
	}
	text := report.Markdown(1)
	fmt.Print(text)
	if b.opts.out != "" {
		if err := os.WriteFile(b.opts.out, []byte(text), 0o644); err != nil {
			return fmt.Errorf("write page: %w", err)
		}
	}
	if b.opts.data != "" {
		return report.WriteFile(b.opts.data)
	}
	return nil
}

func (b *bench) watchMemory(ctx context.Context, report *result.Report, ws []watcher) error {
	for i := range ws {
		if ws[i].name != whoseRow || ws[i].fault != "" || b.opts.flat == 0 {
			continue
		}
		f, err := b.flat(ctx, &ws[i])
		if err != nil {
			return fmt.Errorf("watch memory: %w", err)
		}
		report.Notes = append(report.Notes, f.notes()...)
	}
	return nil
}

// chosen leaves out the watchers without the text in their names.
func chosen(all []watcher, text string) []watcher {
	var some []watcher
	for _, w := range all {
		if w.name == nobody || strings.Contains(w.name, text) {
			some = append(some, w)
		}
	}
	return some
}
