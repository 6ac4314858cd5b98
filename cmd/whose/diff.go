package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/baseline"
	"github.com/seed-44df2ae6/whose/internal/render"
)

// A diff is the job of whose diff.
type diff struct {
	question
	comparing
	keptListing
	moments []string
}

// nowWord is the operand for the sessions of this host now.
const nowWord = "now"

func newDiff(sh *shell) *cobra.Command {
	d := &diff{comparing: comparing{sh: sh}}
	cmd := &cobra.Command{
		Use:   "diff [flags] A B [filter…]",
		Short: "show what differs between two listings",
		Long: `Compare two listings as whose baseline compares, so that a restart is no difference. A and B are
files that whose wrote (-o json, -o jsonl, or whose baseline save), - for the standard input, or
now. With --at once, that moment is compared with now, and with --at twice, two moments: both
from the history of this host. Listings in files should have been made with -a and the fields
exe, script, unit, container_name and image: without them the name of the process has to do.

` + diffStatuses,
		Example: "whose diff --at 'yesterday 14:00'\twhat has changed since\n" +
			"whose diff --at 03:00 --at 04:00 listen\tin an hour, of listeners\n" +
			"ssh web2 whose baseline save - listen | whose diff - now listen\tbetween two hosts",
		RunE: d.run(d.compare),
	}
	d.addLook(cmd)
	then := flagGroup{cmd.Flags(), groupThen}
	cmd.Flags().StringArrayVar(&d.moments, "at", nil, "as it was then: 03:12, yesterday 14:00, -1h; once or twice")
	then.mark("at", "WHEN")
	then.boolean(&d.past.utc, "utc", "", "read times in UTC, not in the zone of this host")
	then.text(&d.past.dir, "history", "", defaultHistory, valueDir, "where an agent keeps the past")
	d.comparing.addFlags(cmd)
	d.keptListing.addFlags(flagGroup{cmd.Flags(), groupWhich})
	return cmd
}

func (d *diff) compare(cmd *cobra.Command, args []string) error {
	shape, err := d.settle(cmd)
	if err != nil {
		return err
	}
	rule, err := d.rule()
	if err != nil {
		return err
	}
	allow, err := d.allow()
	if err != nil {
		return err
	}
	sides, words, err := d.operands(args)
	if err != nil {
		return err
	}
	if _, _, err := parseFilter(words); err != nil {
		return err
	}
	var sets [2]baseline.Set
	unseen := ""
	for i, side := range sides {
		one := allow
		if i == 0 {
			one = nil // what was there before is not excused
		}
		text, err := side(cmd, words, rule, &sets[i], one)
		if err != nil {
			return err
		}
		if unseen == "" {
			unseen = text
		}
	}
	return d.show(&sets[0], &sets[1], allow, unseen, shape)
}

// A side fills a set, and says what it did not see.
type side func(cmd *cobra.Command, words []string, rule *baseline.Rule, set *baseline.Set, allow *baseline.Allow) (string, error)

// operands reads the two sides, and leaves the words of the filter.
func (d *diff) operands(args []string) (sides [2]side, words []string, err error) {
	switch len(d.moments) {
	case 1:
		return [2]side{d.at(d.moments[0]), d.at("")}, args, nil
	case 2:
		return [2]side{d.at(d.moments[0]), d.at(d.moments[1])}, args, nil
	case 0:
	default:
		return sides, nil, usagef("--at: want it once or twice")
	}
	if len(args) < 2 {
		return sides, nil, whose.WithHint(usagef("whose diff: want two listings"), "two files, a file and now, or --at WHEN")
	}
	for i, arg := range args[:2] {
		switch {
		case arg == nowWord:
			sides[i] = d.at("")
		case arg == "-" && i == 1 && args[0] == "-":
			return sides, nil, usagef("whose diff: only one side can be the standard input")
		default:
			sides[i] = d.file(arg)
		}
	}
	return sides, args[2:], nil
}

// at is the side of a moment, "" for now.
func (d *diff) at(moment string) side {
	return func(cmd *cobra.Command, words []string, rule *baseline.Rule, set *baseline.Set, allow *baseline.Allow) (string, error) {
		q := d.question
		q.past.at = moment
		opts, err := q.options(cmd, words)
		if err != nil {
			return "", err
		}
		cov, err := q.look(cmd.Context(), d.sh, opts, rule, set, allow)
		if err != nil {
			return "", err
		}
		return notSeen(cov), nil
	}
}

// file is the side of a file.
func (d *diff) file(name string) side {
	return func(cmd *cobra.Command, words []string, rule *baseline.Rule, set *baseline.Set, allow *baseline.Allow) (string, error) {
		in := cmd.InOrStdin()
		if name != "-" {
			f, err := openPlain(name)
			if err != nil {
				return "", fmt.Errorf("read the listing: %w", err)
			}
			defer f.Close()
			in = f
		}
		where, _, err := parseFilter(words)
		if err != nil {
			return "", err
		}
		kernelPorts(rule, d.proc)
		text, err := readListing(in, filter.Compile(where, filter.Env{SelfNetNS: ownNetNS()}), rule, set, allow)
		if err != nil {
			return "", whose.WithHint(fmt.Errorf("read %s: %w", name, err), "whose -o json, whose -o jsonl and whose baseline save write listings")
		}
		return text, nil
	}
}

// maxListing bounds a listing that is read: some 400,000 sessions.
const maxListing = 512 << 20

// readListing reads a listing in JSON, of whatever kind, and says what it did not see.
func readListing(in io.Reader, where *filter.Matcher, rule *baseline.Rule, set *baseline.Set, allow *baseline.Allow) (string, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxListing+1))
	switch {
	case err != nil:
		return "", err
	case len(text) > maxListing:
		return "", fmt.Errorf("longer than %s", render.SizeText(maxListing))
	}
	first, _, _ := bytes.Cut(text, []byte("\n"))
	if _, err := baseline.ReadHead(first); !errors.Is(err, baseline.ErrNoBaseline) {
		return readKept(text, set)
	}
	var whole struct {
		Sessions []json.RawMessage `json:"sessions"`
		Coverage struct {
			Partial []json.RawMessage `json:"partial"`
		} `json:"coverage"`
	}
	if json.Unmarshal(text, &whole) == nil && whole.Sessions != nil {
		for i, one := range whole.Sessions {
			if err := addParsed(one, where, rule, set, allow); err != nil {
				return "", fmt.Errorf("session %d: %w", i+1, err)
			}
		}
		if len(whole.Coverage.Partial) > 0 {
			return "one of the listings is partial", nil
		}
		return "", nil
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 16<<20)
	for no := 1; lines.Scan(); no++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		if err := addParsed(lines.Bytes(), where, rule, set, allow); err != nil {
			return "", fmt.Errorf("line %d: %w", no, err)
		}
	}
	return "", lines.Err()
}

// readKept reads a baseline, which has no sessions that a filter could be asked about.
func readKept(text []byte, set *baseline.Set) (string, error) {
	head, kept, err := baseline.Read(bytes.NewReader(text))
	if err != nil {
		return "", err
	}
	*set = *kept
	return head.Partial, nil
}

func addParsed(text []byte, where *filter.Matcher, rule *baseline.Rule, set *baseline.Set, allow *baseline.Allow) error {
	s, err := whose.ParseSession(text)
	if err != nil {
		return err
	}
	if s.State == 0 {
		return errors.New("no session")
	}
	if s.IsListener() && s.Exposure == 0 {
		s.Exposure = whose.ExposureOf(s.Local.Addr(), false)
	}
	if where.Match(&s) {
		set.Add(rule, &s, allow)
	}
	return nil
}
