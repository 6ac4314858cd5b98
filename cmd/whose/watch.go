package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/footprint"
	"github.com/seed-44df2ae6/whose/internal/hostname"
	"github.com/seed-44df2ae6/whose/internal/render"
	"github.com/seed-44df2ae6/whose/internal/spool"
	"github.com/seed-44df2ae6/whose/internal/tally"
	"github.com/seed-44df2ae6/whose/track"
)

// A watch is the job of whose watch: sessions shown as they open and close.
type watch struct {
	sh *shell
	watchFlags

	shape    render.EventOptions
	renderer render.EventRenderer
	sums     *tally.Events // nil without --summary
	began    time.Time
	took     time.Duration // of a question about the past
	by       string        // the chosen source
	unseen   whose.Gaps    // its gaps
	measurer measurer      // nil: nobody knows the traffic of open sessions
	// unmeasured are the gaps of the measurement.
	unmeasured whose.Gaps
	names      *hostname.Resolver // nil without --resolve
	// shown counts the shown events, lost the lost ones.
	shown uint64
	lost  whose.Gaps
	// now is the event in hand, bad the renderer's error. They are kept here so no
	// event costs memory.
	now *whose.Event
	bad error
}

// An eventStream is the part of a [track.Tracker] in use.
type eventStream interface {
	Each(ctx context.Context, fn func(*whose.Event) bool) error
	Close() error
}

func newWatch(sh *shell) *cobra.Command {
	w := &watch{sh: sh}
	cmd := &cobra.Command{
		Use:   "watch [flags] [filter…]",
		Short: "show sessions as they open and close",
		Long: `Show sessions as they open and close, a line for each event, until Ctrl-C: a TCP connection
opened from here (out) or from elsewhere (in), closed, with who closed it, how long it lasted and how
many bytes went over it; a connect that failed, and why; a socket that listens or no longer does; a flow of UDP
between a socket and a remote address, with its datagrams; and the process to which it belonged at that
moment, however short it lived. docs/watch.md explains every line.

The sessions that stand when it begins are counted, not shown, as lines of text; --events standing shows
them. A program (-o jsonl) gets each as an event, unless --no-initial.

Lost events always appear as a line LOST: if nothing is shown, nothing happened.`,
		Example: "whose watch\tevery session that opens, closes or fails\n" +
			"whose watch curl\tthe sessions of a process\n" +
			"whose watch --events fail\tconnects that fail\n" +
			"whose watch --events listen,unlisten -o jsonl\tlisteners that come and go, for a program\n" +
			"whose watch --for 30s --summary -q\thalf a minute, by process and by remote host\n" +
			"whose watch --from -1h --events fail\tconnects that failed in the last hour, of a history\n" +
			"whose watch -u port 53\tquestions to name servers, and who asks",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeFilter,
		RunE:              w.run,
	}
	w.addFlags(cmd)
	return cmd
}

func (w *watch) run(cmd *cobra.Command, words []string) error {
	opts, err := w.settle(cmd, words)
	if err != nil {
		return err
	}
	if w.past.asked() {
		return w.then(cmd, opts)
	}
	if w.source == sourceAgent {
		return w.byAgent(cmd, opts)
	}
	footprint.LongLived(w.sh.getenv)
	ctx, stop := signal.NotifyContext(cmd.Context(), stopSignals()...)
	defer stop()
	t, err := track.Start(ctx, opts)
	if err != nil {
		return collectError(err)
	}
	defer closeSoon(t)
	footprint.GiveWay()
	source := t.Source()
	w.by, w.unseen, w.measurer = source.Name, source.Gaps, t.Measure
	if err := w.announce(&source, t.Count(opts.Filter)); err != nil {
		return err
	}
	if w.names != nil {
		defer w.names.Close()
	}
	return w.show(ctx, stop, w.named(t))
}

// closeSoon closes the tracker. It waits no longer than a person after Ctrl-C:
// the tracker's hold on the kernel ends with the process.
func closeSoon(t eventStream) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = t.Close() // all events are shown by now
	}()
	select {
	case <-closed:
	case <-time.After(patience):
	}
}

// settle checks the command line and sets the options of the tracker.
func (w *watch) settle(cmd *cobra.Command, words []string) (*track.Options, error) {
	shape, err := w.shaped(cmd, w.sh)
	if err != nil {
		return nil, err
	}
	if w.shape = shape; w.past.utc {
		w.shape.Zone = time.UTC
	}
	if _, err := w.asksPast(cmd); err != nil {
		return nil, err
	}
	if err := w.settleNames(); err != nil {
		return nil, err
	}
	opts, err := w.options(cmd, words)
	if err != nil {
		return nil, err
	}
	if w.renderer, err = render.NewEvents(w.format, w.shape); err != nil {
		return nil, &usageError{err}
	}
	opts.Needs = render.EventNeeds(w.format, w.shape) | w.filterNeeds()
	if w.summary {
		w.sum(opts)
	}
	return opts, nil
}

// show writes events until the time is over, the user has enough, the reader of
// the output is gone, or, with --quiet alone, something happens.
func (w *watch) show(signals context.Context, stop func(), t eventStream) error {
	ctx, cancel := context.WithCancelCause(signals)
	defer cancel(nil)
	watching, over := context.WithCancel(ctx)
	defer over()
	if w.length > 0 {
		after := time.AfterFunc(w.length, w.ending(t, over))
		defer after.Stop()
	}
	out := spool.New(w.sh.out, w.delay())
	go out.Run(cancel)
	go spool.AwaitReader(w.sh.out, func() { cancel(syscall.EPIPE) })

	_, err := out.Add(w.renderer.Head)
	if err == nil {
		err = w.feed(ctx, watching, t, out)
	}
	interrupted, limit := signals.Err() != nil, time.Duration(0)
	if interrupted {
		stop() // another Ctrl-C ends it in any state
		limit = patience
		w.leaveLine(out)
	}
	if w.sums != nil && err == nil && (interrupted || ctx.Err() == nil) {
		err = w.rest(signals, watching.Err() != nil, t, out)
	}
	if err == nil {
		asking := signals // Ctrl-C ends it at once, unless it has ended the rest before
		if interrupted {
			asking = context.Background()
		}
		err = w.conclude(asking, out)
	}
	written := out.Close(limit)
	switch {
	case err != nil:
		return err
	case written != nil:
		return writeError(written)
	case interrupted:
		return context.Canceled
	case ctx.Err() != nil:
		return writeError(context.Cause(ctx))
	}
	return w.status()
}

// patience is the time for a slow reader after Ctrl-C.
const patience = 300 * time.Millisecond

// delay is the longest wait of a line for others, so a thousand of them are
// written at once. At a terminal it does not wait.
func (w *watch) delay() time.Duration {
	if isTerminal(w.sh.out) {
		return 0
	}
	return 50 * time.Millisecond
}

// errEnough ends the feed early, and is no error.
var errEnough = errors.New("enough was seen")

// feed hands the events on until watching ends. When ctx ends, nobody waits for room
// in the output.
func (w *watch) feed(ctx, watching context.Context, t eventStream, out *spool.Spool) error {
	resized := make(chan os.Signal, 1)
	if w.shape.Width > 0 {
		notifyResize(resized)
		defer signal.Stop(resized)
	}
	// A wait for room in the spool must not prevent the end.
	defer context.AfterFunc(ctx, out.Abandon)()
	write := func(dst []byte) []byte {
		dst, w.bad = w.renderer.Event(dst, w.now)
		return dst
	}
	var ended error
	err := t.Each(watching, func(e *whose.Event) bool {
		w.now = e
		select {
		case <-resized:
			w.renderer.Resize(w.sh.width())
		default:
		}
		ended = w.event(out, write)
		return ended == nil
	})
	switch {
	case errors.Is(ended, errEnough), errors.Is(ended, spool.ErrAbandoned):
		return nil
	case ended != nil:
		return ended
	case err != nil:
		return collectError(err)
	}
	return nil
}

// event counts the current event and writes it.
func (w *watch) event(out *spool.Spool, write func(dst []byte) []byte) error {
	if w.hidden(w.now.Kind) {
		w.sums.Stood(w.now)
		return nil
	}
	if w.sums != nil {
		w.sums.Add(w.now)
	}
	if w.now.Kind == whose.EventLost {
		w.lost.Add(w.now.Gap())
	} else {
		w.shown++
	}
	if w.quiet {
		if w.sums == nil && w.now.Kind != whose.EventLost {
			return errEnough
		}
		return nil
	}
	wrote, err := out.Add(write)
	switch {
	case w.bad != nil:
		return &usageError{w.bad}
	case err != nil && !wrote:
		return err
	}
	return nil
}

// leaveLine leaves the terminal's line with ^C.
func (w *watch) leaveLine(out *spool.Spool) {
	if isTerminal(w.sh.out) {
		_, _ = out.Add(func(dst []byte) []byte { return append(dst, '\n') }) // only readers need it
	}
}

// conclude writes the summary. It asks for names until ctx ends.
func (w *watch) conclude(ctx context.Context, out *spool.Spool) error {
	if w.sums == nil {
		return nil
	}
	shape := render.Options{
		Width: w.sh.width(), Color: w.shape.Color, ASCII: w.shape.ASCII, HostName: w.shape.HostName, ServiceName: w.shape.ServiceName,
	}
	summary := w.sums.Summary()
	if summary.Took, summary.Source = w.took, w.by; w.took == 0 {
		summary.Took = time.Since(w.began)
	}
	summary.Gaps.Add(w.unseen...)
	summary.Gaps.Add(w.uncounted(summary)...)
	summary.Gaps.Advise(whose.Caller{})
	if w.names != nil {
		w.learnNames(ctx, summary)
	}
	var bad error
	_, err := out.Add(func(dst []byte) []byte {
		text := appender(dst)
		if !w.quiet && w.format == render.Text && w.shown > 0 {
			text = append(text, '\n')
		}
		bad = render.Summary(&text, w.format, summary, shape)
		return text
	})
	if errors.Is(err, spool.ErrAbandoned) {
		err = nil
	}
	return errors.Join(bad, writeError(err))
}

// An appender is memory to write to.
type appender []byte

// Write appends p.
func (a *appender) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}

// status is the end of a watch without an interruption.
func (w *watch) status() error {
	switch {
	case w.strict && len(w.lost) > 0:
		w.lost.Advise(whose.Caller{})
		return whose.WithHint(&whose.PartialError{Gaps: w.lost}, "%s", w.lost.Hint())
	case w.shown == 0:
		text := "nothing happened"
		if w.typed != "" {
			text += " that matches: " + w.typed
		}
		w.sh.remark("%s", text)
		return statusError(exitNothing)
	}
	return nil
}
