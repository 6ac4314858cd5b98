package main

import (
	"bufio"
	"context"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/history"
	"github.com/seed-44df2ae6/whose/internal/lots"
	"github.com/seed-44df2ae6/whose/internal/render"
)

// parquetFormat is a format that whose-agent alone writes.
const parquetFormat = "parquet"

// A sessionWriter writes one session after the other.
type sessionWriter interface {
	Add(*whose.Session) error
	Close() error
}

// newParquet makes a writer of Parquet. Nil in the light program.
var newParquet func(to io.Writer, fields []*whose.Field) sessionWriter

// A historyExport is the job of whose history export: it writes sessions as they are read,
// and so keeps none of them.
type historyExport struct {
	sh *shell
	question
	format, chosen string
}

func exportFormats() []string { return []string{render.JSONL, render.CSV, parquetFormat} }

func newHistoryExport(sh *shell, p *past) *cobra.Command {
	x := &historyExport{sh: sh}
	cmd := &cobra.Command{
		Use:   "export [flags] [filter…]",
		Short: "write the sessions of the history for another program",
		Long: `Write the sessions of the history, or those of a span of time and a filter, in no order. One after the
other is read and written, so any number of them takes little memory. Unknown values are absent in jsonl,
empty in csv, null in parquet. In parquet the fields of owners are lists, durations are microseconds.`,
		Example: "whose history export --format parquet > week.parquet\tall of it, for DuckDB or ClickHouse\n" +
			"whose history export --from yesterday --to today --format csv nginx\ta day of nginx",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeFilter,
		RunE: func(cmd *cobra.Command, words []string) error {
			x.past.dir = p.dir
			return x.run(cmd, words)
		},
	}
	which := flagGroup{cmd.Flags(), groupWhich}
	x.addProtocols(which)
	x.addStates(which)
	x.addNetNS(cmd, which)
	then := flagGroup{cmd.Flags(), groupThen}
	then.text(&x.past.from, "from", "", "", "WHEN", "all that was there at any moment since then; since the beginning by default")
	then.text(&x.past.to, "to", "", "", "WHEN", "and until then; now by default")
	then.boolean(&x.past.utc, "utc", "", "read and show times in UTC, not in the zone of this host")
	show := flagGroup{cmd.Flags(), groupShow}
	show.text(&x.format, "format", "o", render.JSONL, "FORMAT", "format: jsonl, csv, parquet")
	show.text(&x.chosen, "fields", "f", "", "NAME,…", "these fields; all that the history has by default")
	flagGroup{cmd.Flags(), groupHow}.boolean(&x.strict, "strict", "", "exit with 4 if something could not be seen")
	complete(cmd, "format", completeWords(exportFormats()...))
	complete(cmd, "fields", completeFields(""))
	return cmd
}

func (x *historyExport) run(cmd *cobra.Command, words []string) error {
	if !slices.Contains(exportFormats(), x.format) {
		return unknownFormat(x.format, exportFormats()...)
	}
	d := display{format: render.JSONL, fields: x.chosen}
	if err := d.chooseFields(); err != nil {
		return err
	}
	if d.shape.Fields == nil {
		d.shape.Fields = exportFields(x.format)
	}
	if x.format == parquetFormat && isTerminal(x.sh.out) {
		return whose.WithHint(usagef("--format parquet: no terminal shows it"), "whose history export --format parquet > sessions.parquet")
	}
	src, err := x.past.open(x.sh)
	if err != nil {
		return err
	}
	defer src.Close()
	about, err := x.about(cmd, words, src)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(x.sh.out, outputBuffer)
	to, err := x.writer(out, d.shape.Fields)
	if err != nil {
		return err
	}
	n, failed := 0, error(nil)
	cov, err := src.Sessions(cmd.Context(), about, func(s *whose.Session) bool {
		n++
		failed = to.Add(s)
		return failed == nil
	})
	for _, end := range []func() error{to.Close, out.Flush} {
		if failed == nil {
			failed = end()
		}
	}
	switch {
	case failed != nil:
		return writeError(failed)
	case err != nil:
		return err
	}
	return x.conclude(x.sh, n, &cov)
}

// about returns the question: all that the history has, unless there is a span.
func (x *historyExport) about(cmd *cobra.Command, words []string, src history.Source) (*history.Query, error) {
	x.source = "auto"
	if x.past.from == "" {
		begin, err := beginning(cmd.Context(), src)
		if err != nil {
			return nil, err
		}
		x.past.from = begin.Format(time.RFC3339Nano)
	}
	opts, err := x.question.options(cmd, words)
	if err != nil {
		return nil, err
	}
	return x.question.then(opts)
}

func beginning(ctx context.Context, src history.Source) (time.Time, error) {
	o, err := src.Overview(ctx)
	if err != nil {
		return time.Time{}, err
	}
	return o.From, nil
}

// exportFields are the fields that a history has.
func exportFields(format string) []*whose.Field {
	fields := render.DefaultFields(render.CSV)
	if format == render.JSONL {
		fields = render.DefaultFields(render.JSONL)
	}
	for _, name := range allPast {
		if f := whose.FieldByName(name); !slices.Contains(fields, f) {
			fields = append(fields, f)
		}
	}
	return fields
}

func (x *historyExport) writer(to io.Writer, fields []*whose.Field) (sessionWriter, error) {
	if x.format == parquetFormat {
		return newParquet(to, fields), nil
	}
	first, err := render.New(x.format, render.Options{Fields: fields})
	if err != nil {
		return nil, &usageError{err}
	}
	rest, err := render.New(x.format, render.Options{Fields: fields, NoHeader: true})
	if err != nil {
		return nil, &usageError{err}
	}
	return &inLots{to: to, first: first, rest: rest}, nil
}

// exportLot is the number of sessions that a renderer gets at once.
const exportLot = 512

// inLots hands sessions to a renderer, some at a time. The first lot has the titles.
type inLots struct {
	to          io.Writer
	first, rest render.Renderer
	some        lots.Slice
}

// Add keeps a session until enough are there.
func (w *inLots) Add(s *whose.Session) error {
	if w.some = append(w.some, history.Keep(s)); len(w.some) < exportLot {
		return nil
	}
	return w.flush()
}

func (w *inLots) flush() error {
	err := w.first.Write(w.to, w.some, nil)
	w.first, w.some = w.rest, w.some[:0]
	return err
}

// Close writes the rest.
func (w *inLots) Close() error {
	if len(w.some) == 0 && w.first == w.rest {
		return nil
	}
	return w.flush()
}
