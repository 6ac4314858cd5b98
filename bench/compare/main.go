//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/seed-44df2ae6/whose/bench/result"
)

// An options value holds the flags.
type options struct {
	loads string
	runs  int
	quick bool
	whose string
	// before is an older whose.
	before string
	out    string
	data   string
	tmp    string
	bound  time.Duration
	spend  time.Duration
}

func parseFlags(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("compare", flag.ContinueOnError)
	fs.StringVar(&o.loads, "loads", "", "loads, separated by commas (default: all): "+loadKeys())
	fs.IntVar(&o.runs, "runs", 9, "runs of each command after a first one that is not counted")
	fs.BoolVar(&o.quick, "quick", false, "only the small loads, three runs")
	fs.StringVar(&o.whose, "whose", "", "`path` of whose; empty builds it, none leaves it out")
	fs.StringVar(&o.before, "before", "", "`path` of an older whose, timed in the same turns")
	fs.StringVar(&o.out, "out", "", "write the page to this `file` too")
	fs.StringVar(&o.data, "results", "", "write the report as JSON to this `file` (result/data/… of docs/performance.md)")
	fs.StringVar(&o.tmp, "tmp", "", "`folder` for outputs and programs (default: the system's)")
	fs.DurationVar(&o.bound, "bound", time.Minute, "a command that takes longer is ended and not run again on that load")
	fs.DurationVar(&o.spend, "spend", 30*time.Second, "time for one command on one load; slow ones run fewer times")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("read arguments: %q is none", fs.Arg(0))
	}
	if o.quick {
		o.runs = min(o.runs, 3)
		if o.loads == "" {
			o.loads = "idle,1k,10k,small"
		}
	}
	return o, nil
}

func main() {
	o, err := parseFlags(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err == nil {
		err = compare(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare: error:", err)
		os.Exit(1)
	}
}

// compare does all the work in a folder of its own.
func compare(o options) error {
	chosen, err := chooseLoads(o.loads)
	if err != nil {
		return err
	}
	room, err := enterRoom(o.tmp)
	if err != nil {
		return err
	}
	defer room.leave()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p, err := buildPrograms(ctx, o, room)
	if err != nil {
		return err
	}
	page := page{host: describeHost(ctx, p), when: time.Now(), took: map[string]stats{}}
	page.note("Load average when it began: %s.", loadAverage())
	if p.found["python3"] == "" {
		page.note("python3 is missing: the scripts that people use for Zabbix were left out.")
	}
	bench := bench{opts: o, programs: p, room: room, tools: toolsOf(p, room)}
	bench.pin(ctx, &page)
	for _, group := range groups(chosen) {
		results, err := bench.measure(ctx, group)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			page.note("load %s: %v", group[0].key, err)
			continue
		}
		for i, l := range group {
			page.add(l, bench.tools, results[i])
			page.printLoad(os.Stderr, l)
		}
	}
	return errors.Join(ctx.Err(), o.write(page.report()))
}

// write prints the report and writes the requested files.
func (o options) write(r *result.Report) error {
	text := r.Markdown(1)
	fmt.Print(text)
	if o.out != "" {
		if err := os.WriteFile(o.out, []byte(text), 0o644); err != nil {
			return fmt.Errorf("write page: %w", err)
		}
	}
	if o.data != "" {
		return r.WriteFile(o.data)
	}
	return nil
}

// chooseLoads returns the loads with the keys, or all.
func chooseLoads(keys string) ([]load, error) {
	all := loads()
	if keys == "" {
		return all, nil
	}
	var chosen []load
	for key := range strings.SplitSeq(keys, ",") {
		n := len(chosen)
		for _, l := range all {
			if l.key == strings.TrimSpace(key) {
				chosen = append(chosen, l)
			}
		}
		if len(chosen) == n {
			return nil, fmt.Errorf("choose loads: no %q; there are %s", key, loadKeys())
		}
	}
	return chosen, nil
}

// groups puts loads of one group together, at the place of the first.
func groups(all []load) [][]load {
	var list [][]load
	for _, l := range all {
		at := slices.IndexFunc(list, func(g []load) bool { return l.group != "" && g[0].group == l.group })
		if at < 0 {
			list = append(list, []load{l})
			continue
		}
		list[at] = append(list[at], l)
	}
	return list
}

func loadKeys() string {
	var keys []string
	for _, l := range loads() {
		keys = append(keys, l.key)
	}
	return strings.Join(keys, ",")
}
