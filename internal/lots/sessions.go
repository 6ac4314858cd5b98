package lots

import "github.com/seed-44df2ae6/whose"

// Sessions are a list of sessions which several goroutines can read at once.
type Sessions interface {
	// Len returns the number of sessions.
	Len() int
	// Reader returns a function for one goroutine. It returns session i, from 0. The
	// next call may write the session again, and its lists of owners.
	Reader() func(i int) *whose.Session
}

// A Slice is a list of sessions in memory.
type Slice []whose.Session

// Len returns the number of sessions.
func (s Slice) Len() int { return len(s) }

// Reader returns a function that returns session i.
func (s Slice) Reader() func(i int) *whose.Session {
	return func(i int) *whose.Session { return &s[i] }
}

// First returns the first n sessions of a list, or all if there are fewer.
func First(n int, of Sessions) Sessions { return first{of, n} }

type first struct {
	Sessions
	n int
}

func (f first) Len() int { return min(f.n, f.Sessions.Len()) }
