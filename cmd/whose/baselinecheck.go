package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/baseline"
	"github.com/seed-44df2ae6/whose/internal/render"
)

// A comparing shows the difference of two sets. baseline check and diff share it.
type comparing struct {
	sh       *shell
	allowed  string
	format   string
	noHeader bool
}

func (c *comparing) addFlags(cmd *cobra.Command) {
	show := flagGroup{cmd.Flags(), groupShow}
	show.text(&c.allowed, "allow", "", "", "FILE", "what may differ: a filter, a reason and a last day a line")
	show.text(&c.format, "output", "o", render.Table, "FORMAT", "format: table, json, markdown")
	show.boolean(&c.noHeader, "no-header", "H", "no titles of columns")
	complete(cmd, "output", completeWords(render.ChangeFormats()...))
}

// run gives a command the exit statuses of diff: an error is 2, whatever it is.
func (c *comparing) run(do func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := do(cmd, args)
		var status statusError
		if err == nil || errors.As(err, &status) || errors.Is(err, syscall.EPIPE) || errors.Is(err, context.Canceled) {
			return err
		}
		c.sh.report(err)
		return statusError(exitTrouble)
	}
}

// allow reads the allow list, nil for none.
func (c *comparing) allow() (*baseline.Allow, error) {
	if c.allowed == "" {
		return nil, nil
	}
	f, err := openPlain(c.allowed)
	if err != nil {
		return nil, fmt.Errorf("--allow: %w", err)
	}
	defer f.Close()
	now := time.Now()
	a, err := baseline.ReadAllow(f, hostDialect(), filter.Env{SelfNetNS: ownNetNS(), Now: now}, now)
	if err != nil {
		return nil, whose.WithHint(usagef("--allow: %s: %w", c.allowed, err), "%s", whose.Hint(err))
	}
	return a, nil
}

// settle checks the flags before anything is asked.
func (c *comparing) settle(cmd *cobra.Command) (render.Options, error) {
	if !slices.Contains(render.ChangeFormats(), c.format) {
		return render.Options{}, unknownFormat(c.format, render.ChangeFormats()...)
	}
	color, err := colorMode(cmd)
	return render.Options{Width: c.sh.width(), Color: c.sh.colored(color, c.sh.out), NoHeader: c.noHeader, ASCII: c.sh.ascii()}, err
}

// show writes the differences and ends the command. unseen is what either side did not
// see, "" for nothing.
func (c *comparing) show(was, now *baseline.Set, allow *baseline.Allow, unseen string, opts render.Options) error {
	all := baseline.Compare(was, now, allow)
	stale := allow.Stale()
	out := bufio.NewWriter(c.sh.out)
	if err := render.Changes(out, c.format, &render.Difference{Changes: all, Unseen: unseen, Stale: stale}, opts); err != nil {
		return writeError(err)
	}
	if err := out.Flush(); err != nil {
		return writeError(err)
	}
	for _, line := range stale {
		c.sh.say("--allow: %s", line)
	}
	if unseen != "" {
		c.sh.say("%s", unseen)
	}
	switch {
	case slices.ContainsFunc(all, func(x baseline.Change) bool { return !x.Excused }):
		return statusError(exitDiffers)
	case unseen != "":
		return statusError(exitUnseen)
	case len(all) == 0:
		c.sh.remark("nothing differs")
	}
	return nil
}

// A baselineCheck is the job of whose baseline check.
type baselineCheck struct {
	question
	comparing
}

func newBaselineCheck(sh *shell) *cobra.Command {
	b := &baselineCheck{comparing: comparing{sh: sh}}
	cmd := &cobra.Command{
		Use:   "check [flags] FILE",
		Short: "show what differs from a baseline",
		Long: `Compare who listens now with a baseline, by the filter with which it was made. An entry with
another user or another reach than before is changed. Where an owner is hidden on one side,
nothing is called new or gone for that. A line of the allow list is a filter, a reason and the day
from which it counts no more:

    process nginx port 8443   # status page, until 2027-01-31

` + diffStatuses,
		Example: "sudo whose baseline check baseline\tnew, gone and changed listeners\n" +
			"sudo whose baseline check baseline -o json\tfor a program",
		Args: cobra.ExactArgs(1),
		RunE: b.run(b.check),
	}
	b.addLook(cmd)
	b.past.addFlags(cmd, true)
	b.comparing.addFlags(cmd)
	return cmd
}

func (b *baselineCheck) check(cmd *cobra.Command, args []string) error {
	shape, err := b.settle(cmd)
	if err != nil {
		return err
	}
	allow, err := b.allow()
	if err != nil {
		return err
	}
	head, was, err := readBaseline(args[0], cmd.InOrStdin())
	if err != nil {
		return err
	}
	opts, err := b.question.options(cmd, oneWord(head.Filter))
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	rule := &baseline.Rule{Calls: head.Calls, Bits4: head.Bits4, Bits6: head.Bits6}
	now := new(baseline.Set)
	cov, err := b.look(cmd.Context(), b.sh, opts, rule, now, allow)
	if err != nil {
		return err
	}
	unseen := notSeen(cov)
	if now.Left > 0 {
		unseen = "more entries than fit: " + plural(now.Left, "session was", "sessions were") + " left out"
	}
	if head.Partial != "" && unseen == "" {
		unseen = "when the baseline was made: " + printable(head.Partial)
	}
	return b.show(was, now, allow, unseen, shape)
}

// oneWord is a filter as the words of a command line.
func oneWord(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

// readBaseline reads a file, or the standard input for -.
func readBaseline(file string, in io.Reader) (*baseline.Head, *baseline.Set, error) {
	if file != "-" {
		f, err := openPlain(file)
		if err != nil {
			return nil, nil, fmt.Errorf("read the baseline: %w", err)
		}
		defer f.Close()
		in = f
	}
	head, set, err := baseline.Read(in)
	if err != nil {
		return nil, nil, whose.WithHint(fmt.Errorf("read %s: %w", file, err), "whose baseline save writes one")
	}
	return head, set, nil
}
