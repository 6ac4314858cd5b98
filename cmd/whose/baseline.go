package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/baseline"
	"github.com/seed-44df2ae6/whose/internal/lots"
	"github.com/seed-44df2ae6/whose/internal/proc"
)

// The exit statuses of whose diff and whose baseline check, those of diff.
const (
	exitSame    = 0
	exitDiffers = 1
	exitTrouble = 2
	exitUnseen  = 3
)

// diffStatuses are the exit statuses in the help of both.
const diffStatuses = `The exit status is that of diff: 0 nothing differs, 1 something does, 2 an error; and 3 if
nothing differs in what was seen, and something was not seen.`

// defaultPrefix are the lengths of prefixes of remote addresses.
const defaultPrefix = "24,64"

func newBaseline(sh *shell) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "baseline COMMAND",
		Short: "compare who listens and who calls with what was there before",
		Long: `Keep in a file who listens on this host and, with --calls, who calls where, and compare later.
An entry is a workload (the image or the name of a container, else the systemd unit, else the
executable), its user, the protocol, the reach of the address and the port; of a call the
workload, the remote prefix and the port. PIDs, inodes and ports that the kernel chose are no
part of it, so restarts and reboots change nothing.`,
		Example: "sudo whose baseline save /etc/whose/baseline listen\twho may listen here\n" +
			"sudo whose baseline check /etc/whose/baseline\twhat is new, gone or changed\n" +
			"sudo whose baseline check FILE --allow /etc/whose/allow\twithout what is known and meant\n" +
			"sudo whose baseline check FILE -o markdown\tfor a pull request",
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return whose.WithHint(usagef("whose baseline: want a command"), "the commands are %s", strings.Join(commandNames(cmd), ", "))
		},
	}
	cmd.AddCommand(newBaselineSave(sh), newBaselineCheck(sh))
	return cmd
}

// A keptListing says how entries are made of sessions.
type keptListing struct {
	calls  bool
	prefix string
}

func (k *keptListing) addFlags(which flagGroup) {
	which.boolean(&k.calls, "calls", "", "calls too: who calls where, of the sessions that stand")
	which.text(&k.prefix, "prefix", "", defaultPrefix, "N,N", "remote addresses are one below IPv4 and IPv6 prefixes of this length")
}

// rule makes the rule of these flags.
func (k *keptListing) rule() (*baseline.Rule, error) {
	four, six, ok := strings.Cut(k.prefix, ",")
	r := &baseline.Rule{Calls: k.calls}
	var errs [2]error
	r.Bits4, errs[0] = strconv.Atoi(four)
	r.Bits6, errs[1] = strconv.Atoi(six)
	if !ok || errs[0] != nil || errs[1] != nil || r.Bits4 < 0 || r.Bits4 > 32 || r.Bits6 < 0 || r.Bits6 > 128 {
		return nil, usagef("--prefix: want two lengths of prefixes as in 24,64, got %q", k.prefix)
	}
	return r, nil
}

// kernelPorts gives a rule the ports from which the kernel of this host chooses.
func kernelPorts(r *baseline.Rule, root string) {
	ports, err := proc.EphemeralPorts(root)
	if err != nil { // as most kernels have it
		ports = filter.PortRange{First: 32768, Last: 60999}
	}
	r.Low, r.High = ports.First, ports.Last
}

// A baselineSave is the job of whose baseline save.
type baselineSave struct {
	sh *shell
	question
	keptListing
}

func newBaselineSave(sh *shell) *cobra.Command {
	b := &baselineSave{sh: sh}
	cmd := &cobra.Command{
		Use:   "save [flags] FILE [filter…]",
		Short: "write down who listens now, for a comparison later",
		Long: `Write a baseline of the sessions that match the filter to FILE, or to the standard output for -.
A baseline that is there is replaced as a whole; any other file stays. The file is a line of
JSON for each entry, in order, so that it can be kept under version control. With --from it holds
all that was there in that span of time.`,
		Example: "sudo whose baseline save baseline listen\twho listens\n" +
			"sudo whose baseline save baseline --calls --from -7d\twith all who called in a week, from the history",
		Args: cobra.MinimumNArgs(1),
		RunE: b.run,
	}
	b.addLook(cmd)
	b.past.addFlags(cmd, true)
	b.keptListing.addFlags(flagGroup{cmd.Flags(), groupWhich})
	return cmd
}

func (b *baselineSave) run(cmd *cobra.Command, args []string) error {
	file := args[0]
	rule, err := b.rule()
	if err != nil {
		return err
	}
	opts, err := b.question.options(cmd, args[1:])
	if err != nil {
		return err
	}
	if err := refuseOthers(file); err != nil {
		return err
	}
	set := new(baseline.Set)
	cov, err := b.look(cmd.Context(), b.sh, opts, rule, set, nil)
	if err != nil {
		return err
	}
	head := &baseline.Head{
		Taken: time.Now().UTC().Truncate(time.Second), Filter: b.typed,
		Calls: rule.Calls, Bits4: rule.Bits4, Bits6: rule.Bits6, Partial: cov.Missing(),
	}
	if head.Host, err = os.Hostname(); err != nil {
		head.Host = ""
	}
	if file == "-" {
		return writeError(baseline.Write(b.sh.out, head, set))
	}
	if err := replaceFile(file, func(w io.Writer) error { return baseline.Write(w, head, set) }); err != nil {
		return err
	}
	b.sh.remark("%s in %s", plural(set.Len(), "entry", "entries"), file)
	if text := notSeen(cov); text != "" {
		b.sh.say("%s", text)
	}
	return nil
}

// addLook defines the flags of a look at the sessions of a filter alone: what else
// chooses sessions would have to be the same at the next look.
func (q *question) addLook(cmd *cobra.Command) {
	how := flagGroup{cmd.Flags(), groupHow}
	q.netns = "all"
	q.addSource(cmd, how)
	q.addTimeout(how)
}

// look fills a set with the sessions of a question, now or in the past.
func (q *question) look(ctx context.Context, sh *shell, opts *collect.Options, rule *baseline.Rule, set *baseline.Set, allow *baseline.Allow) (*whose.Coverage, error) {
	kernelPorts(rule, opts.Proc)
	if q.past.asked() {
		about, err := q.then(opts)
		if err != nil {
			return nil, err
		}
		src, err := q.past.open(sh)
		if err != nil {
			return nil, err
		}
		defer src.Close()
		cov, err := src.Sessions(ctx, about, func(s *whose.Session) bool {
			set.Add(rule, s, allow)
			return true
		})
		return &cov, err
	}
	opts.Needs = baseline.Needs | allow.Needs()
	if rule.Calls {
		opts.Needs |= baseline.CallNeeds
	}
	c := collect.Open()
	defer c.Close()
	answer, err := c.Collect(ctx, opts)
	if err != nil {
		return nil, collectError(err)
	}
	defer answer.Close()
	err = lots.Feed(answer, helpers(), func(s *whose.Session) error {
		set.Add(rule, s, allow)
		return nil
	})
	return &answer.Coverage, err
}

// refuseOthers is an error if a file is there that is none of a baseline.
func refuseOthers(file string) error {
	if file == "-" {
		return nil
	}
	f, err := openPlain(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	defer f.Close()
	first, _ := bufio.NewReader(io.LimitReader(f, 1<<16)).ReadBytes('\n') // what is there is enough
	if len(bytes.TrimSpace(first)) == 0 {
		return nil
	}
	if _, err := baseline.ReadHead(first); err != nil {
		return whose.WithHint(usagef("write %s: it is there, and is no baseline", file), "another name, or remove it first")
	}
	return nil
}

// openPlain opens a plain file: a pipe or a device might never answer.
func openPlain(file string) (*os.File, error) {
	if err := refuseRaisedFile(file); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if stat, err := f.Stat(); err != nil || !stat.Mode().IsRegular() {
		f.Close()
		return nil, usagef("%s is no plain file", file)
	}
	return f, nil
}

// replaceFile writes a file as a whole or not at all.
func replaceFile(file string, write func(io.Writer) error) error {
	if err := refuseRaisedFile(file); err != nil {
		return err
	}
	name := filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+"."+strconv.FormatUint(rand.Uint64(), 36))
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	err = write(f)
	if stat, bad := os.Stat(file); bad == nil {
		err = errors.Join(err, f.Chmod(stat.Mode().Perm()))
	}
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(name, file)
	}
	if err != nil {
		_ = os.Remove(name) // the error above says what matters
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}
