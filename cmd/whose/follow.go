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
	"github.com/seed-44df2ae6/whose/internal/render"
	"github.com/seed-44df2ae6/whose/track"
)

// A follow is the job of whose watch: sessions shown as they open and close.
type follow struct {
	sh *shell
	followFlags

	shape    render.EventOptions
	renderer render.EventRenderer
	sums     *summing
	names    *laterNames // nil without --resolve
	// told counts the events that were shown, lost those that were lost.
	told, lost uint64
	// now is the event that is being written, bad the renderer's error: kept
	// here so that no event costs memory.
	now *whose.Event
	bad error
}

// An eventStream is what a follow needs of a *track.Tracker.
type eventStream interface {
	Each(ctx context.Context, fn func(*whose.Event) bool) error
	Close() error
}

func newFollow(sh *shell) *cobra.Command {
	f := &follow{sh: sh}
	cmd := &cobra.Command{
		Use:   "watch [flags] [filter…]",
		Short: "show sessions as they open and close",
		Long: `Show sessions as they open and close, a line for each event, until Ctrl-C: a TCP connection
opened from here (out) or from elsewhere (in), closed, with who closed it, how long it lasted and what
went over it; a connect that failed, and why; a socket that listens or no longer does; a flow of UDP
between a socket and a remote address, with its datagrams; and the process to which it belonged at that
moment, however short it lived. docs/watch.md explains every line.

The sessions that stand when it begins are counted, not shown, as lines of text; --events standing shows
them. To a program (-o jsonl) each is told as an event, unless --no-initial.

What was lost is always told, in a line LOST: if nothing is shown, nothing happened.`,
		Example: "whose watch\tall that opens, closes and fails\n" +
			"whose watch curl\twhat a process does\n" +
			"whose watch --events fail\tconnects that do not come about\n" +
			"whose watch --events listen,unlisten -o jsonl\tlisteners that come and go, for a program\n" +
			"whose watch --for 30s --summary -q\twho did what in half a minute\n" +
			"whose watch -u port 53\tquestions to name servers, and who asks",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeFilter,
		RunE:              f.run,
	}
	f.addFlags(cmd)
	return cmd
}

func (f *follow) run(cmd *cobra.Command, words []string) error {
	opts, err := f.settle(cmd, words)
	if err != nil {
		return err
	}
	relaxMemory()
	ctx, stop := signal.NotifyContext(cmd.Context(), stopSignals()...)
	defer stop()
	t, err := track.Start(ctx, opts)
	if err != nil {
		return followError(err)
	}
	defer closeSoon(t)
	giveWay()
	source := t.Source()
	if err := f.announce(&source, t.Count(opts.Filter)); err != nil {
		return err
	}
	if f.sums != nil {
		f.sums.sum.Source = source.Name
	}
	if f.names != nil {
		defer f.names.close()
		return f.show(ctx, stop, f.named(t))
	}
	return f.show(ctx, stop, t)
}

// closeSoon closes the tracker, but waits no longer than a person who has
// pressed Ctrl-C: what it holds in the kernel goes with the process.
func closeSoon(t eventStream) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = t.Close() // all that was to be told has been
	}()
	select {
	case <-closed:
	case <-time.After(patience):
	}
}

// settle checks the command line and makes of it what the tracker is asked.
func (f *follow) settle(cmd *cobra.Command, words []string) (*track.Options, error) {
	shape, err := f.shaped(cmd, f.sh)
	if err != nil {
		return nil, err
	}
	f.shape = shape
	if err := f.settleNames(); err != nil {
		return nil, err
	}
	opts, err := f.options(cmd, words)
	if err != nil {
		return nil, err
	}
	if f.renderer, err = render.NewEvents(f.format, f.shape); err != nil {
		return nil, &usageError{err}
	}
	opts.Needs = render.EventNeeds(f.format, f.shape) | f.filterNeeds()
	if f.summary {
		f.sums = newSumming(f.top)
		opts.Needs |= whose.NeedOwners | whose.NeedDirection
	}
	return opts, nil
}

// show writes events until the time is over, the user has enough, the reader
// of the output went away, or, with --quiet alone, something happened.
func (f *follow) show(signals context.Context, stop func(), t eventStream) error {
	if f.length > 0 {
		over := time.AfterFunc(f.length, func() { _ = t.Close() }) // an error would come again with the next Close
		defer over.Stop()
	}
	ctx, cancel := context.WithCancelCause(signals)
	defer cancel(nil)
	out := newSpool(f.sh.out, f.delay())
	go out.writeAll(cancel)
	go waitForReader(f.sh.out, func() { cancel(syscall.EPIPE) })

	_, err := out.add(f.renderer.Head)
	if err == nil {
		err = f.feed(ctx, t, out)
	}
	interrupted, limit := signals.Err() != nil, time.Duration(0)
	if interrupted {
		stop() // who presses Ctrl-C once more, ends it whatever it does
		limit = patience
		f.leaveLine(out)
		if f.sums != nil && err == nil {
			err = f.rest(t, out)
		}
	}
	if err == nil {
		asking := signals // Ctrl-C ends that at once, if it is not what ended the rest
		if interrupted {
			asking = context.Background()
		}
		err = f.conclude(asking, out)
	}
	written := out.close(limit)
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
	return f.status()
}

// patience is how long Ctrl-C waits for a reader that is slow.
const patience = 300 * time.Millisecond

// delay is how long a line may wait for others, so that a thousand of them are
// written at once: not at all at a terminal.
func (f *follow) delay() time.Duration {
	if isTerminal(f.sh.out) {
		return 0
	}
	return 50 * time.Millisecond
}

// enough ends the feed early, and is no error.
var errEnough = errors.New("enough was seen")

// feed hands all events on.
func (f *follow) feed(ctx context.Context, t eventStream, out *spool) error {
	resized := make(chan os.Signal, 1)
	if f.shape.Width > 0 {
		notifyResize(resized)
		defer signal.Stop(resized)
	}
	// Who waits for room in the spool is not kept from ending.
	defer context.AfterFunc(ctx, out.abandon)()
	write := func(dst []byte) []byte {
		dst, f.bad = f.renderer.Event(dst, f.now)
		return dst
	}
	var ended error
	err := t.Each(ctx, func(e *whose.Event) bool {
		f.now = e
		select {
		case <-resized:
			f.renderer.Resize(f.sh.width())
		default:
		}
		ended = f.event(out, write)
		return ended == nil
	})
	switch {
	case errors.Is(ended, errEnough), errors.Is(ended, errAbandoned):
		return nil
	case ended != nil:
		return ended
	case err != nil:
		return followError(err)
	}
	return nil
}

// event counts the event that is now, and writes it.
func (f *follow) event(out *spool, write func(dst []byte) []byte) error {
	if f.sums != nil {
		f.sums.add(f.now)
	}
	if f.now.Kind == whose.EventLost {
		f.lost += f.now.Lost
	} else {
		f.told++
	}
	if f.quiet {
		if f.sums == nil && f.now.Kind != whose.EventLost {
			return errEnough
		}
		return nil
	}
	wrote, err := out.add(write)
	switch {
	case f.bad != nil:
		return &usageError{f.bad}
	case err != nil && !wrote:
		return err
	}
	return nil
}

// rest takes what happened before Ctrl-C and was not read yet, for the summary.
func (f *follow) rest(t eventStream, out *spool) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	go func() { _ = t.Close() }() // which ends the stream; run closes it too
	return f.feed(ctx, t, out)
}

// leaveLine leaves the line of a terminal on which ^C stands.
func (f *follow) leaveLine(out *spool) {
	if isTerminal(f.sh.out) {
		_, _ = out.add(func(dst []byte) []byte { return append(dst, '\n') }) // it matters to a reader only
	}
}

// conclude writes the summary. Its names are asked for until ctx ends.
func (f *follow) conclude(ctx context.Context, out *spool) error {
	if f.sums == nil {
		return nil
	}
	shape := render.Options{
		Width: f.sh.width(), Color: f.shape.Color, HostName: f.shape.HostName, ServiceName: f.shape.ServiceName,
	}
	summary := f.sums.summary()
	if f.names != nil {
		f.learnNames(ctx, summary)
	}
	var bad error
	_, err := out.add(func(dst []byte) []byte {
		w := appender(dst)
		if !f.quiet && f.format == render.Text && f.told > 0 {
			w = append(w, '\n')
		}
		bad = render.Summary(&w, f.format, summary, shape)
		return w
	})
	if errors.Is(err, errAbandoned) {
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

// status is the end of a watch that came to its own end.
func (f *follow) status() error {
	switch {
	case f.strict && f.lost > 0:
		return whose.WithHint(&whose.PartialError{Gaps: []whose.Gap{{Kind: "events", Count: int(f.lost), Why: "lost"}}},
			"a narrower filter, or a larger --buffer or --backlog")
	case f.told == 0:
		text := "nothing happened"
		if f.typed != "" {
			text += " that matches: " + f.typed
		}
		f.sh.remark("%s", text)
		return statusError(exitNothing)
	}
	return nil
}
