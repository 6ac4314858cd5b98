package main

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/ask"
	"github.com/seed-44df2ae6/whose/internal/netns"
	"github.com/seed-44df2ae6/whose/internal/render"
	"github.com/seed-44df2ae6/whose/track"
)

// watchFlags are the flags of whose watch, and their values.
type watchFlags struct {
	question
	events                         string
	format, template, fields       string
	noInitial, noHeader            bool
	summary, quiet, follow         bool
	top, buffer, backlog           int
	length, udpIdle, interval      time.Duration
	resolve                        bool
	within                         time.Duration // of resolve
	wantListening, wantEstablished bool          // of the listing; refused
	wantAll                        bool
	kinds                          whose.Set[whose.EventKind]
}

// topDefault is the default number of lines in each list of the summary.
const topDefault = 10

// maxTop is the greatest number of lines in a list.
const maxTop = 1000

// largestBuffer is the greatest size of the kernel's buffer in MiB.
const largestBuffer = 1024

func (w *watchFlags) addFlags(cmd *cobra.Command) {
	which := flagGroup{cmd.Flags(), groupWhich}
	which.text(&w.events, "events", "", "", "KIND,…", "only these: "+strings.Join(ask.KindNames(), ", "))
	w.addProtocols(which)
	w.addNetNS(cmd, which)
	which.boolean(&w.noInitial, "no-initial", "", "not those that stand when it begins")
	which.boolean(&w.numeric, "numeric", "n", "accepted and needless: numbers are the default")
	which.boolean(&w.processes, "processes", "p", "accepted and needless: owners are shown anyway")
	which.boolean(&w.wantListening, "listening", "l", "refused: an event has no state")
	which.boolean(&w.wantEstablished, "established", "e", "refused: an event has no state")
	which.boolean(&w.wantAll, "all", "a", "refused: an event has no state")

	show := flagGroup{cmd.Flags(), groupShow}
	show.text(&w.format, "output", "o", render.Text, "FORMAT", "format: text, jsonl, csv, tsv")
	show.text(&w.fields, "fields", "", "", "NAME,…", "show these fields of the session; +NAME,… these too")
	show.text(&w.template, "template", "", "", "TEXT", "write each event by a Go text/template")
	show.boolean(&w.noHeader, "no-header", "H", "no titles of columns")
	show.boolean(&w.resolve, "resolve", "", "names of remote hosts (by DNS) and services, in text")
	show.duration(&w.within, "resolve-time", "", resolveTime, "stop asking for a name after this time")
	show.duration(&w.length, "for", "", 0, "end after this time, 30s for example")
	show.boolean(&w.summary, "summary", "", "at the end: by process, by remote, what failed, the busiest")
	show.number(&w.top, "top", "", "N", "lines in each list of the summary (default "+strconv.Itoa(topDefault)+")")
	show.boolean(&w.quiet, "quiet", "q", "no events: with --summary only that, else end with the first")

	how := flagGroup{cmd.Flags(), groupHow}
	how.text(&w.source, "source", "", "auto", "NAME", "follow by bpf, netlink or snapshot; or ask an agent")
	how.duration(&w.udpIdle, "udp-idle", "", 0, "a UDP flow ends after this time without a datagram (default 30s)")
	how.duration(&w.interval, "interval", "", 0, "time between two snapshots (default 1s, with bpf 10s)")
	how.number(&w.buffer, "buffer", "", "MIB", "size of the kernel's buffer in MiB (default 8)")
	how.number(&w.backlog, "backlog", "", "N", "events that wait for a slow reader (default 65536)")
	how.text(&w.proc, "proc", "", "", valueDir, "another root of procfs, such as /host/proc")
	how.boolean(&w.strict, "strict", "", "exit with 4 if something cannot be seen, or was lost")

	w.past.addFlags(cmd, false)
	then := flagGroup{cmd.Flags(), groupThen}
	then.boolean(&w.follow, "follow", "", "continue with new events until Ctrl-C")

	for _, name := range []string{"listening", "established", "all"} {
		cmd.Flags().Lookup(name).Hidden = true
	}
	complete(cmd, "events", completeList(ask.KindNames()))
	complete(cmd, "output", completeWords(watchFormats()...))
	complete(cmd, "fields", completeFields("+"))
	complete(cmd, "source", completeWords(watchSources()...))
}

func watchFormats() []string {
	return slices.DeleteFunc(render.EventFormats(), func(w string) bool { return w == render.Template })
}

func watchSources() []string { return append(track.SourceNames(), sourceAgent) }

// options turns flags and filter words into options of the tracker, without the
// needed facts.
func (w *watchFlags) options(cmd *cobra.Command, words []string) (*track.Options, error) {
	if err := w.refuseStates(); err != nil {
		return nil, err
	}
	if err := refuseKinds(w.events, words); err != nil {
		return nil, err
	}
	where, typed, err := parseFilter(words)
	if err != nil {
		return nil, err
	}
	if namesState(where) {
		return nil, whose.WithHint(usagef("filter: an event has no state"),
			"what becomes of a session: whose watch --events %s", strings.Join(ask.KindNames(), ","))
	}
	w.where, w.typed = where, typed
	if w.kinds, err = ask.Kinds("events", w.events); err != nil {
		return nil, flagMistake(err)
	}
	if err := w.checkNumbers(cmd); err != nil {
		return nil, err
	}
	if !slices.Contains(watchSources(), w.source) {
		err := usagef("--source: unknown source %q", w.source)
		if w.source == "procfs" {
			return nil, whose.WithHint(err, "procfs can only be read again and again: --source snapshot")
		}
		return nil, whose.WithHint(err, "the sources are %s", strings.Join(watchSources(), ", "))
	}
	if _, err := w.asksAgent(cmd); err != nil {
		return nil, err
	}
	pinDir, err := cmd.Flags().GetString("pin-dir")
	if err != nil {
		return nil, err
	}
	return &track.Options{
		Filter: where, Protos: w.protos(), Families: w.families(), NetNS: w.netns,
		Events: w.kinds, NoInitial: w.noInitial || w.initialCounted(),
		UDPIdle: w.udpIdle, Source: w.source, Interval: w.interval,
		BufferSize: w.buffer << 20, MaxEvents: w.backlog, Proc: w.proc, PinDir: pinDir,
	}, nil
}

// initialCounted reports whether standing sessions are counted and not shown:
// for a person who did not ask for them.
func (w *watchFlags) initialCounted() bool {
	return (w.format == render.Text || w.quiet) && !w.kinds.Has(whose.EventStanding)
}

func (w *watchFlags) refuseStates() error {
	for flag, given := range map[string]bool{"listening": w.wantListening, "established": w.wantEstablished, "all": w.wantAll} {
		if !given {
			continue
		}
		hint := "whose watch --events " + strings.Join(ask.KindNames(), ",")
		if flag == "listening" {
			hint = "listeners that come and go: whose watch --events listen,unlisten,bind"
		}
		return whose.WithHint(usagef("--%s: an event has no state", flag), "%s", hint)
	}
	return nil
}

// refuseKinds refuses a filter of nothing but kinds of events: hardly anybody
// means processes of such names.
func refuseKinds(events string, words []string) error {
	kinds := strings.FieldsFunc(strings.Join(words, ","), func(r rune) bool { return r == ',' })
	if len(kinds) == 0 || slices.ContainsFunc(kinds, func(k string) bool { return !slices.Contains(ask.KindNames(), k) }) {
		return nil
	}
	given := slices.DeleteFunc(strings.Split(events, ","), func(k string) bool { return k == "" })
	hint := "whose watch --events " + strings.Join(append(given, kinds...), ",")
	if len(kinds) == 1 {
		hint += "; for a process of that name: process " + kinds[0]
	}
	return whose.WithHint(usagef("filter: %s is a kind of event", kinds[0]), "%s", hint)
}

// namesState reports whether the filter asks for a state.
func namesState(e filter.Expr) bool {
	switch e := e.(type) {
	case *filter.And:
		return slices.ContainsFunc(e.Terms, namesState)
	case *filter.Or:
		return slices.ContainsFunc(e.Terms, namesState)
	case *filter.Not:
		return namesState(e.X)
	case *filter.Cond:
		return e.Field() == "state"
	}
	return false
}

func (w *watchFlags) checkNumbers(cmd *cobra.Command) error {
	switch {
	case w.top < 0 || w.top > maxTop:
		return usagef("--top: want a number of lines up to %d, got %d", maxTop, w.top)
	case w.buffer < 0 || w.buffer > largestBuffer:
		return usagef("--buffer: want up to %d MiB, got %d", largestBuffer, w.buffer)
	case cmd.Flags().Changed("interval") && w.interval < shortestInterval:
		return usagef("--interval: want at least %v, got %v", shortestInterval, w.interval)
	case w.backlog < 0:
		return usagef("--backlog: want a number of events, got %d", w.backlog)
	case w.summary && w.format != render.Text && w.format != render.JSONL || w.summary && w.template != "":
		return whose.WithHint(usagef("--summary: only text and jsonl have a place for it"), "with -q the summary stands alone")
	case cmd.Flags().Changed("top") && !w.summary:
		return usagef("--top: there are lists with --summary only")
	}
	if w.top == 0 {
		w.top = topDefault
	}
	return nil
}

// filterNeeds returns the facts for the decisions of the filter.
func (w *watchFlags) filterNeeds() whose.Needs { return filter.Needs(w.where) }

// shaped checks the flags for the look of events.
func (w *watchFlags) shaped(cmd *cobra.Command, sh *shell) (render.EventOptions, error) {
	none := render.EventOptions{}
	if cmd.Flags().Changed("template") {
		if cmd.Flags().Changed("output") {
			return none, usagef("--template and --output exclude each other")
		}
		w.format = render.Template
	} else if !slices.Contains(watchFormats(), w.format) {
		return none, unknownFormat(w.format, watchFormats()...)
	}
	mode, err := colorMode(cmd)
	if err != nil {
		return none, err
	}
	fields, err := w.namedFields()
	if err != nil {
		return none, err
	}
	return render.EventOptions{
		Fields: fields, Width: sh.width(), Color: sh.colored(mode, sh.out),
		NoHeader: w.noHeader, Template: w.template, NetNS: ownNetNS(), ASCII: sh.ascii(),
	}, nil
}

// namedFields reads --fields.
func (w *watchFlags) namedFields() ([]*whose.Field, error) {
	if w.fields == "" {
		return nil, nil
	}
	if w.format == render.Text || w.format == render.Template {
		return nil, whose.WithHint(usagef("--fields: %s takes no fields", w.format), "jsonl, csv and tsv do")
	}
	var fields []*whose.Field
	if strings.HasPrefix(strings.TrimSpace(w.fields), "+") {
		fields = render.DefaultEventFields(w.format)
	}
	for name := range strings.SplitSeq(w.fields, ",") {
		field, err := fieldByName("fields", strings.TrimPrefix(strings.TrimSpace(name), "+"))
		if err != nil {
			return nil, err
		}
		if !slices.Contains(fields, field) {
			fields = append(fields, field)
		}
	}
	return fields, nil
}

// ownNetNS is our own network namespace, 0 if unknown.
func ownNetNS() uint32 {
	inode, err := netns.Self()
	if err != nil {
		return 0 // every namespace is named then
	}
	return inode
}
