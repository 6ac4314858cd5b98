package track

import (
	"context"
	"errors"
	"iter"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
)

// A sight is a snapshot. close is called once.
type sight struct {
	coverage whose.Coverage
	// all makes the sessions, to be kept. each gives them one by one: one and its lists
	// are valid until the next.
	all   func() []whose.Session
	each  iter.Seq[*whose.Session]
	close func()
}

// sightOf is a snapshot with these sessions.
func sightOf(sessions []whose.Session) *sight {
	return &sight{
		all: func() []whose.Session { return sessions },
		each: func(yield func(*whose.Session) bool) {
			for i := range sessions {
				if !yield(&sessions[i]) {
					return
				}
			}
		},
		close: func() {},
	}
}

// manySessions is the number of sessions in a snapshot whose memory is not worth
// keeping for the next one, some 500 bytes each.
const manySessions = 16 << 10

// sight is the snapshot of an answer. Of a large one, and of the first, which asks for
// more than others, the collector keeps no memory.
func (t *Tracker) sight(answer *collect.Answer, first bool) *sight {
	return &sight{
		coverage: answer.Coverage,
		all:      func() []whose.Session { return answer.Append(nil) },
		each:     eachOf(answer),
		close: func() {
			large := first || answer.Len() > manySessions
			answer.Close()
			if large {
				t.collector.Release()
			}
		},
	}
}

// eachOf gives the sessions of an answer one by one.
func eachOf(answer *collect.Answer) iter.Seq[*whose.Session] {
	return func(yield func(*whose.Session) bool) {
		read := answer.Reader()
		for i := range answer.Len() {
			if !yield(read(i)) {
				return
			}
		}
	}
}

// collect takes a snapshot.
func (t *Tracker) collect(ctx context.Context, first bool) (*sight, error) {
	answer, err := t.answer(ctx, first)
	var unknown *whose.UnknownError
	if !first && errors.As(err, &unknown) {
		return sightOf(nil), nil // the namespace asked for has gone, and may come again
	}
	if err != nil {
		return nil, err
	}
	return t.sight(answer, first), nil
}

// answer makes a collection. The first one of a tracker by BPF is by BPF too: of
// a session that stands only its socket knows which side began it. Where that
// does not work, and for later ones, the collector chooses.
func (t *Tracker) answer(ctx context.Context, first bool) (*collect.Answer, error) {
	if first && t.source.Name == SourceBPF {
		answer, err := t.collector.Collect(ctx, t.plan.firstOptions())
		if err == nil || ctx.Err() != nil {
			return answer, err
		}
	}
	return t.collector.Collect(ctx, t.plan.snapshotOptions(first))
}
