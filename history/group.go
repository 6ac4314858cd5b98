package history

import (
	"context"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// A Grouping says of a count what it needs to know of sessions. The zero value needs
// no field.
type Grouping struct {
	// Fields are the fields to count by and to add up.
	Fields []*whose.Field
	// Per is the length of the steps of time, from the beginning of the question on. 0:
	// one step.
	Per time.Duration
}

// A Grouper is a [Source] that counts faster than by one session after the other.
type Grouper interface {
	Source
	// Groups calls fn with sessions that stand for n each: they are equal in the fields
	// of the grouping, but for the sums of numbers, which are those of all n. They end
	// in one step of time. Added up, they are the sessions of [Source.Sessions]. The
	// question is about a span of time.
	Groups(ctx context.Context, q *Query, g *Grouping, fn func(s *whose.Session, n int)) (whose.Coverage, error)
}

// Groups asks a source for groups, or for sessions where it knows no groups.
func Groups(ctx context.Context, src Source, q *Query, g *Grouping, fn func(s *whose.Session, n int)) (whose.Coverage, error) {
	if grouper, ok := src.(Grouper); ok && !q.Moment() {
		return grouper.Groups(ctx, q, g, fn)
	}
	return src.Sessions(ctx, q, func(s *whose.Session) bool {
		fn(s, 1)
		return true
	})
}
