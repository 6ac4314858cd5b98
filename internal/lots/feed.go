package lots

import (
	"slices"

	"github.com/seed-44df2ae6/whose"
)

const (
	// feedSize is the number of sessions of a lot for Feed.
	feedSize = 256
	// mostFed bounds the sessions made before their turn.
	mostFed = 8 << 10
)

// Feed calls take with all sessions, in order and one at a time. They are made on
// the caller's goroutine and up to others further ones, and taken on any of
// them. For a cheap take that is as quick as taking them on all: making a session
// costs more. take must not keep a session or its lists of owners. Its error ends
// everything and is returned.
func Feed(sessions Sessions, others int, take func(*whose.Session) error) error {
	s := &sequence[*batch]{
		list: Of(sessions.Len(), feedSize), mostWaiting: mostFed,
		size: func(b *batch) int { return len(b.sessions) },
		emit: func(b *batch) error { return b.each(take) },
	}
	return s.run(others, func() maker[*batch] {
		read := sessions.Reader()
		return func(l Lot, b *batch) (*batch, error) {
			if b == nil {
				b = &batch{sessions: make([]whose.Session, 0, feedSize)}
			}
			b.reset()
			for i := l.From; i < l.To; i++ {
				b.add(read(i))
			}
			return b, nil
		}
	})
}

// A batch holds copies of sessions, with their lists in common memory.
type batch struct {
	sessions []whose.Session
	owners   []whose.Owner
	fds      []int32
}

func (b *batch) reset() { b.sessions, b.owners, b.fds = b.sessions[:0], b.owners[:0], b.fds[:0] }

func (b *batch) each(take func(*whose.Session) error) error {
	for i := range b.sessions {
		if err := take(&b.sessions[i]); err != nil {
			return err
		}
	}
	return nil
}

// add copies a session. Lists that are copied before stay where they are, in
// older memory, when there is no room for another.
func (b *batch) add(s *whose.Session) {
	b.sessions = append(b.sessions, *s)
	last := &b.sessions[len(b.sessions)-1]
	last.Owners, last.Peer = b.copied(s.Owners), b.copied(s.Peer)
}

func (b *batch) copied(list []whose.Owner) []whose.Owner {
	if len(list) == 0 {
		return nil
	}
	from := len(b.owners)
	b.owners = append(b.owners, list...)
	mine := slices.Clip(b.owners[from:])
	for i := range mine {
		if fds := mine[i].FDs; len(fds) > 0 {
			at := len(b.fds)
			b.fds = append(b.fds, fds...)
			mine[i].FDs = slices.Clip(b.fds[at:])
		}
	}
	return mine
}
