package history

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
)

// A Query is a question about the past. The zero value asks for the sessions at the
// zero time.
type Query struct {
	// From and To bound the time. From is included, To is not. Equal ones are a
	// moment.
	From, To time.Time
	// Filter selects sessions, or events with their sessions. Nil: all. Env are the
	// surroundings of its evaluation.
	Filter filter.Expr
	Env    filter.Env
	// Protos, Families and States select sessions beside Filter. Zero: all. A session
	// has the state that it had while it stood: ESTABLISHED, LISTEN or UNCONN, and a
	// failed connect SYN_SENT. Events have their own, and States does not select them.
	Protos   whose.Set[whose.Proto]
	Families whose.Set[whose.Family]
	States   whose.Set[whose.State]
	// NetNS selects network namespaces by number and name. Nil: all.
	NetNS func(inode uint32, name string) bool
	// Kinds are the wanted events. Zero: all. [whose.EventLost] always comes.
	Kinds whose.Set[whose.EventKind]
}

// Moment reports whether the question is about one moment.
func (q *Query) Moment() bool { return !q.From.Before(q.To) }

// Complete returns the question with all protocols, families, states and kinds in
// place of none.
func (q Query) Complete() Query {
	q.Protos = cmp.Or(q.Protos, whose.AllProtos)
	q.Families = cmp.Or(q.Families, whose.AllFamilies)
	q.States = cmp.Or(q.States, whose.AllStates)
	q.Kinds = cmp.Or(q.Kinds, whose.SetOf(whose.EventKinds()...))
	return q
}

// A Source answers questions about the past. It is not safe for concurrent use.
// Times without a known past are gaps of the coverage ([whose.GapTime]), lost
// events too.
type Source interface {
	// Sessions calls fn with each session that stood at the moment, or at any moment
	// of the time, of the question, in no order, until fn returns false. A session is
	// as it was then; its Life says how it went on. It and its Life are valid until
	// fn returns, its lists and processes for longer.
	Sessions(ctx context.Context, q *Query, fn func(*whose.Session) bool) (whose.Coverage, error)
	// Events calls fn with each event of the time, in the order of their times, until
	// fn returns false. Those that stood at its beginning come first, as
	// [whose.EventStanding]. An event is valid until fn returns.
	Events(ctx context.Context, q *Query, fn func(*whose.Event) bool) (whose.Coverage, error)
	// Until returns the moment until which the past is known, the latest there is.
	Until(ctx context.Context) (time.Time, error)
	// Overview describes the whole history.
	Overview(ctx context.Context) (*Overview, error)
	// Close releases the source.
	Close() error
}

// An Overview describes a history.
type Overview struct {
	// Host is the name of the host.
	Host string `json:"host,omitempty"`
	// From and To are the first and the last moment.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Bytes and Files are on disk. Sessions counts the ended sessions, Live the
	// standing ones at To.
	Bytes    int64 `json:"bytes"`
	Files    int   `json:"files"`
	Sessions int   `json:"sessions"`
	Live     int   `json:"live"`
	// Rollup describes the counts of each minute. Nil: there are none.
	Rollup *RollupOverview `json:"rollup,omitempty"`
	// Gaps are the missing times and events.
	Gaps whose.Gaps `json:"gaps"`
}

// A RollupOverview describes the counts of each minute, which outlive the sessions.
type RollupOverview struct {
	// From and To are the first and the last end of a session in it. Later ones are
	// counted one by one.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Bytes and Files are on disk, among those of the whole history.
	Bytes int64 `json:"bytes"`
	Files int   `json:"files"`
}

// Keep returns a copy of a session that stays valid.
func Keep(s *whose.Session) whose.Session {
	kept := *s
	if s.Life != nil {
		life := *s.Life
		kept.Life = &life
	}
	if s.TCP != nil {
		tcp := *s.TCP
		kept.TCP = &tcp
	}
	return kept
}

// Sort puts sessions in the order of a listing. Without fields listeners come
// first, then sessions by process, protocol, local port, and their ends; by fields
// sessions are ordered by these first.
func Sort(sessions []whose.Session, by []whose.Order) {
	slices.SortStableFunc(sessions, func(a, b whose.Session) int {
		for _, f := range by {
			x, y := f.Value(&a), f.Value(&b)
			if c := f.Compare(&x, &y); c != 0 {
				return c
			}
		}
		return usual(&a, &b)
	})
}

func usual(a, b *whose.Session) int {
	if a.IsListener() != b.IsListener() {
		if a.IsListener() {
			return -1
		}
		return 1
	}
	return cmp.Or(
		compareFirst(a.Owners, b.Owners),
		cmp.Compare(a.Proto, b.Proto),
		cmp.Compare(a.Local.Port(), b.Local.Port()),
		a.Remote.Compare(b.Remote),
		a.Local.Compare(b.Local),
		cmp.Compare(a.NetNS, b.NetNS),
		begin(a).Compare(begin(b)),
		cmp.Compare(a.Inode, b.Inode),
		cmp.Compare(a.Cookie, b.Cookie),
	)
}

func begin(s *whose.Session) time.Time {
	if s.Life == nil {
		return time.Time{}
	}
	return s.Life.FirstSeen
}

// compareFirst orders by the first owner's name and number, none last.
func compareFirst(a, b []whose.Owner) int {
	if len(a) == 0 || len(b) == 0 {
		return cmp.Compare(min(len(b), 1), min(len(a), 1))
	}
	return cmp.Or(cmp.Compare(a[0].Comm, b[0].Comm), cmp.Compare(a[0].PID, b[0].PID))
}
