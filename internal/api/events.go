package api

import (
	"cmp"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/agent"
	"github.com/seed-44df2ae6/whose/internal/ask"
	"github.com/seed-44df2ae6/whose/internal/render"
)

const (
	// gather is the least time between two writes of a stream: events come together.
	gather = 20 * time.Millisecond
	// alive is the time after which a stream without events shows that it lives.
	alive = 15 * time.Second
	// lot is the number of events that a stream takes at once, mostGathered the bytes
	// after which it writes them.
	lot          = 64
	mostGathered = 64 << 10
)

// events answers with events: with from those of a past, with initial the standing
// sessions, then, with follow, those that come. Without from and follow it has those
// after a number that are still kept.
func (s *Server) events(w http.ResponseWriter, r *request) error {
	format := r.text(ask.ParamOutput)
	if format == "" && r.Header.Get("Accept") == typeSSE {
		format = formatSSE
	}
	format = cmp.Or(format, render.JSONL)
	if err := ask.Format(ask.ParamOutput, format, eventFormats...); err != nil {
		return err
	}
	q, err := s.question(r)
	if err != nil {
		return err
	}
	fields, err := r.fields(render.DefaultEventFields(render.JSONL))
	if err != nil {
		return err
	}
	st := &stream{server: s, w: w, sse: format == formatSSE, control: http.NewResponseController(w), question: q}
	if st.kinds, err = ask.Kinds(ask.ParamEvents, r.text(ask.ParamEvents)); err != nil {
		return err
	}
	if err := st.settle(r); err != nil {
		return err
	}
	if st.lines, err = render.NewEvents(render.JSONL, render.EventOptions{Fields: fields}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go func() {
		select {
		case <-s.ending:
			if !s.Feed.Ended() { // the readers of a feed that has ended get the rest, and then its end
				cancel()
			}
		case <-ctx.Done():
		}
	}()
	if st.begin = st.after; st.after == 0 {
		st.begin = s.Feed.Last()
	}
	if st.follow {
		w.Header().Set(ask.HeaderSeq, strconv.FormatUint(st.begin, 10))
	}
	start(w, format)
	if r.Method == http.MethodHead {
		return nil
	}
	err = st.run(ctx)
	switch {
	case err == nil:
		finish(w, format, &st.cov)
	case r.Context().Err() != nil:
		return nil // the reader has gone
	}
	return err
}

// A stream is one answer of events.
type stream struct {
	server   *Server
	w        http.ResponseWriter
	control  *http.ResponseController
	question *agent.Question
	kinds    whose.Set[whose.EventKind]
	lines    render.EventRenderer
	sse      bool

	from, to        time.Time // of the past; zero for none
	after           uint64    // 0: from now on
	begin           uint64    // the number after which live events go on
	follow, initial bool

	chooser *agent.Chooser
	text    []byte
	cov     whose.Coverage
}

// settle reads the parameters of the times.
func (st *stream) settle(r *request) (err error) {
	if st.follow, err = r.boolean(ask.ParamFollow); err != nil {
		return err
	}
	if st.initial, err = r.boolean(ask.ParamInitial); err != nil {
		return err
	}
	if st.after, err = r.number(ask.ParamAfter, math.MaxUint64); err != nil {
		return err
	}
	if last := r.Header.Get("Last-Event-ID"); last != "" && st.after == 0 {
		if st.after, err = strconv.ParseUint(last, 10, 64); err != nil {
			return badRequest(errors.New("Last-Event-ID: want the number of an event"))
		}
	}
	if times := r.times(); times.Asked() {
		switch {
		case st.after != 0:
			return paramError(ask.ParamAfter, "it excludes %s: the number of the last event, or a time", ask.ParamFrom)
		case st.follow && times.To != "":
			return paramError(ask.ParamFollow, "%s is an end, and follow has none", ask.ParamTo)
		}
		st.from, st.to, err = times.Span(st.question.Now)
		return err
	}
	if !st.follow && st.after == 0 && !st.initial {
		return whose.WithHint(paramError(ask.ParamFollow, "neither the past nor the present is asked for"),
			"follow=true for events as they come, from=-1h for those of a past")
	}
	return nil
}

// run writes the events.
func (st *stream) run(ctx context.Context) error {
	st.chooser = agent.NewChooser(st.question, st.kinds)
	if err := st.flush(); err != nil { // the reader knows that it is heard
		return err
	}
	err := st.before(ctx)
	if err != nil {
		return err
	}
	if st.follow || st.after != 0 {
		err = st.live(ctx, st.server.Feed.Follow(st.begin))
	}
	if err == nil {
		err = st.flush()
	}
	st.cov.Source = cmp.Or(st.cov.Source, agent.SourceAgent)
	st.cov.Gaps.Add(st.chooser.Gaps()...)
	return err
}

// before writes the past and what stands.
func (st *stream) before(ctx context.Context) error {
	s := st.server
	if !st.from.IsZero() {
		free, err := s.slot(ctx, &params{})
		if err != nil {
			return err
		}
		defer free()
		return st.past(ctx)
	}
	if st.initial {
		now := *st.question
		now.States, now.Filter = whose.AllStates, nil // the chooser evaluates it
		now.Viewer.All = true
		sessions, cov := agent.Now(s.Table, &now)
		at := time.Now()
		for i := range sessions {
			e := whose.Event{Time: at, Kind: whose.EventStanding, Lifetime: whose.Lifetime{StoodBefore: true}, Session: sessions[i]}
			st.chooser.Stands(&e)
			e.Session.Life = nil
			if err := st.event(&e); err != nil {
				return err
			}
		}
		st.cov.Gaps.Add(cov.Gaps...)
	}
	return nil
}

// past writes the events of a history.
func (st *stream) past(ctx context.Context) error {
	s := st.server
	past, err := s.past(st.question.Now.Location())
	if err != nil {
		return err
	}
	defer past.Close()
	if st.follow && s.Settle != nil {
		if err := s.Settle(ctx); err != nil {
			return err
		}
		st.to = time.Now()
	}
	var bad error
	cov, err := agent.ThenEvents(ctx, past, st.question, st.kinds, st.from, st.to, func(e *whose.Event) bool {
		st.chooser.Happened(e)
		bad = st.event(e)
		return bad == nil
	})
	st.cov = cov
	return errors.Join(bad, err)
}

// live writes the events of the feed; without follow those that are there.
func (st *stream) live(ctx context.Context, r *agent.Reader) error {
	items := make([]agent.Item, lot)
	for {
		n, err := st.wait(ctx, r, items)
		if errors.Is(err, io.EOF) || !st.follow && n == 0 || ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range items[:n] {
			items[i].Event.Seq = items[i].Seq
			if err := st.event(&items[i].Event); err != nil {
				return err
			}
		}
		if n == len(items) && len(st.text) < mostGathered {
			continue
		}
		if err := st.flush(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(gather):
		}
	}
}

// wait reads the next events. Now and then it shows the reader that the stream lives.
func (st *stream) wait(ctx context.Context, r *agent.Reader, items []agent.Item) (int, error) {
	if !st.follow {
		return r.Take(items)
	}
	if n, err := r.Take(items); n > 0 || err != nil {
		return n, err
	}
	if err := st.flush(); err != nil {
		return 0, err
	}
	for {
		soon, cancel := context.WithTimeout(ctx, alive)
		n, err := r.Read(soon, items)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			return n, err
		}
		if st.sse {
			st.text = append(st.text, ':')
		}
		st.text = append(st.text, "\n"...)
		if err := st.flush(); err != nil {
			return 0, err
		}
	}
}

// event appends an event that is wanted.
func (st *stream) event(e *whose.Event) (err error) {
	if !st.chooser.Wants(e) {
		return nil
	}
	if st.sse {
		if e.Seq != 0 {
			st.text = append(strconv.AppendUint(append(st.text, "id: "...), e.Seq, 10), '\n')
		}
		st.text = append(append(append(st.text, "event: "...), e.Kind.String()...), "\ndata: "...)
	}
	if st.text, err = st.lines.Event(st.text, e); err != nil {
		return err
	}
	if st.sse {
		st.text = append(st.text, '\n')
	}
	if len(st.text) < mostGathered {
		return nil
	}
	return st.flush()
}

// flush sends what was gathered, and the head of the answer.
func (st *stream) flush() error {
	_ = st.control.SetWriteDeadline(time.Now().Add(writeTime)) // without it the kernel's bound counts
	if len(st.text) > 0 {
		if _, err := st.w.Write(st.text); err != nil {
			return err
		}
	}
	st.text = st.text[:0]
	return st.control.Flush()
}
