package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// An options value holds the flags.
type options struct {
	kernels string
	run     string
	record  string
	cache   string
	accel   string
	timeout time.Duration
	memory  int
	env     multi
	with    multi
	verbose bool
	targets []string
}

// A multi is a flag that may be given many times.
type multi []string

func (m *multi) String() string     { return strings.Join(*m, " ") }
func (m *multi) Set(s string) error { *m = append(*m, s); return nil }

func parseFlags(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("matrix", flag.ContinueOnError)
	fs.StringVar(&o.kernels, "kernels", "6.1@bookworm,6.12@bookworm-backports,host",
		"kernels to try: `VERSION[@SUITE]`, where SUITE is tried if the configured suites have none, or host")
	fs.StringVar(&o.run, "run", "", "run only the tests that match this `regexp`")
	fs.StringVar(&o.record, "record", "", "write the result into its marked place in this Markdown `file`")
	fs.StringVar(&o.cache, "cache", "", "folder for kernels (default: whose-matrix in the user's cache folder)")
	fs.StringVar(&o.accel, "accel", "auto", "how QEMU runs: auto, kvm or tcg")
	fs.DurationVar(&o.timeout, "timeout", 20*time.Minute, "bound on one kernel")
	fs.IntVar(&o.memory, "memory", 2048, "memory of the virtual machine in `MiB`")
	fs.Var(&o.env, "env", "`NAME=VALUE` for the tests; may be repeated")
	fs.Var(&o.with, "with", "`SOURCE:PLACE` copies a file or folder into the virtual machine; may be repeated")
	fs.BoolVar(&o.verbose, "v", false, "print the console while it comes")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	o.targets = fs.Args()
	if len(o.targets) == 0 {
		o.targets = []string{"./..."}
	}
	if o.cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return o, fmt.Errorf("find cache folder: %w", err)
		}
		o.cache = filepath.Join(dir, "whose-matrix")
	}
	return o, nil
}

func main() {
	o, err := parseFlags(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := matrix(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "matrix: error:", err)
	}
	os.Exit(code)
}

// matrix tries every kernel in turn, prints the table, and returns the exit status.
func matrix(ctx context.Context, o options) (int, error) {
	work, err := os.MkdirTemp("", "whose-matrix-")
	if err != nil {
		return 2, fmt.Errorf("make work folder: %w", err)
	}
	defer os.RemoveAll(work)
	bins, err := buildTests(ctx, o.targets, filepath.Join(work, "tests"))
	if err != nil {
		return 2, err
	}
	m := machine{opts: o, work: work, accel: o.accel}
	var results []result
	for _, spec := range strings.Split(o.kernels, ",") {
		r := m.try(ctx, strings.TrimSpace(spec), bins)
		if err := ctx.Err(); err != nil {
			return 2, fmt.Errorf("try kernel %s: %w", spec, err)
		}
		r.print(os.Stdout)
		results = append(results, r)
	}
	writeTable(os.Stdout, results)
	if o.record != "" {
		if err := writeRecord(o.record, results, time.Now()); err != nil {
			return 2, err
		}
	}
	return exitStatus(results), nil
}

// exitStatus is the worst that the results say.
func exitStatus(results []result) int {
	code := 0
	for _, r := range results {
		if r.err != nil {
			return 2
		}
		if r.failed() {
			code = 1
		}
	}
	return code
}
