package agent

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/history"
	"github.com/seed-44df2ae6/whose/track"
)

// A Question is one about sessions or events. The zero value asks for the sessions of
// a listing by default.
type Question struct {
	// Filter selects sessions. Nil: all.
	Filter filter.Expr
	// Protos, Families and States select sessions beside it. Zero: all, and the
	// states of [filter.DefaultStates].
	Protos   whose.Set[whose.Proto]
	Families whose.Set[whose.Family]
	States   whose.Set[whose.State]
	// NetNS chooses network namespaces: "" or "all", "self", a name, an inode number.
	NetNS string
	// SelfNetNS is the asker's own network namespace, 0 if unknown.
	SelfNetNS uint32
	// Now is the moment of the question, in the asker's zone.
	Now time.Time
	// Users are the ids of the users in the filter.
	Users map[string]uint32
	// Viewer is who asks.
	Viewer Viewer
}

func (q *Question) env() filter.Env {
	return filter.Env{SelfNetNS: q.SelfNetNS, Now: q.Now, Users: q.Users}
}

// wants evaluates all of the question but the filter.
func (q *Question) wants(s *whose.Session, states whose.Set[whose.State]) bool {
	return cmp.Or(q.Protos, whose.AllProtos).Has(s.Proto) && cmp.Or(q.Families, whose.AllFamilies).Has(s.Family) &&
		states.Has(s.State) && q.inNetNS(s)
}

func (q *Question) inNetNS(s *whose.Session) bool {
	switch q.NetNS {
	case "", "all":
		return true
	case "self":
		return s.NetNS == q.SelfNetNS
	}
	return s.NetNSName == q.NetNS || strconv.FormatUint(uint64(s.NetNS), 10) == q.NetNS
}

// A Table is a live table, as [track.Tracker] has it.
type Table interface {
	Visit(where filter.Expr, peers bool, fn func(*whose.Session))
	Source() track.Source
	Stats() track.Stats
}

// absent are the states of sessions that a live table does not have.
const absent = whose.AllStates &^ (1<<whose.Established | 1<<whose.FinWait1 | 1<<whose.FinWait2 |
	1<<whose.CloseWait | 1<<whose.LastAck | 1<<whose.Closing | 1<<whose.Listen | 1<<whose.Unconn)

// Now answers about the sessions of a live table as a listing does, without touching
// the kernel. The sessions are in no order.
func Now(t Table, q *Question) ([]whose.Session, whose.Coverage) {
	var sessions []whose.Session
	cov := EachNow(t, q, true, func(s *whose.Session) { sessions = append(sessions, history.Keep(s)) })
	return sessions, cov
}

// EachNow is Now without a list: a session is valid until fn returns. Without peers they
// lack the owners of their other ends.
func EachNow(t Table, q *Question, peers bool, fn func(*whose.Session)) whose.Coverage {
	began := time.Now()
	states := cmp.Or(q.States, filter.DefaultStates(q.Filter))
	// The table evaluates what needs neither the veil nor the asker's surroundings.
	var before filter.Expr
	if q.Viewer.All && len(q.Users) == 0 && q.SelfNetNS == q.Viewer.NetNS {
		before = q.Filter
	}
	veil, match := newVeil(q.Viewer), filter.Compile(q.Filter, q.env())
	if before != nil {
		match = nil
	}
	peers = peers || !q.Viewer.All || match != nil
	cov := whose.Coverage{OwnersAsked: true}
	t.Visit(before, peers, func(s *whose.Session) {
		if q.wants(s, states) && veil.cover(s) && match.Match(s) {
			account(&cov, s)
			fn(s)
		}
	})
	source := t.Source()
	stats := t.Stats()
	cov.Source, cov.Processes = SourceAgent, stats.Processes
	cov.Namespaces = max(stats.Namespaces-len(veil.spaces), 1) // its own is seen by everybody
	cov.Gaps.Add(source.Gaps...)
	cov.Gaps.Add(veil.gaps()...)
	if missing := q.mayMatch(states & absent); missing != 0 {
		cov.Gaps.Add(whose.Gap{Kind: whose.GapSessions, Cause: whose.CauseUnsupported, Detail: absentText(missing)})
	}
	if n := stats.Lost.Table; n > 0 {
		cov.Gaps.Add(whose.Gap{Kind: whose.GapSessions, Cause: whose.CauseLimit, Count: int(n), Detail: "the live table was full"})
	}
	cov.Duration = time.Since(began)
	return cov
}

// mayMatch returns those of states that are absent from a table in which a session may
// be one of the question. None of them is a state of UDP.
func (q *Question) mayMatch(states whose.Set[whose.State]) whose.Set[whose.State] {
	split := filter.Split(q.Filter, q.env())
	if cmp.Or(q.Protos, whose.AllProtos)&split.Protos&whose.SetOf(whose.TCP, whose.MPTCP) == 0 {
		return 0
	}
	return states & split.States
}

// SourceAgent is the name of the agent as a source.
const SourceAgent = "agent"

// absentText names the states of sessions that are not in the table.
func absentText(states whose.Set[whose.State]) string {
	text, f := "the agent's live table has none in ", whose.FieldByName("state")
	first := true
	for _, name := range f.Values {
		if !states.Has(whose.State(f.CodeOf(name))) {
			continue
		}
		if !first {
			text += ", "
		}
		text, first = text+name, false
	}
	return text
}

// account counts a session, with or without owners.
func account(c *whose.Coverage, s *whose.Session) {
	c.Sessions++
	if r := s.Reason; r == whose.ReasonNone {
		c.Owned++
	} else {
		c.Ownerless[r]++
	}
}

// Then answers about the sessions of a past, of a moment or a span of time, as
// [history.Source.Sessions] does; each stays valid.
func Then(ctx context.Context, past history.Source, q *Question, from, to time.Time) ([]whose.Session, whose.Coverage, error) {
	about := q.about(from, to)
	if about.States = q.States; about.States == 0 && about.Moment() {
		about.States = filter.DefaultStates(q.Filter)
	}
	veil, match := newVeil(q.Viewer), filter.Compile(q.Filter, q.env())
	var sessions []whose.Session
	cov, err := past.Sessions(ctx, &about, func(s *whose.Session) bool {
		if q.Viewer.All {
			sessions = append(sessions, history.Keep(s))
			return true
		}
		if kept := history.Keep(s); veil.cover(&kept) && match.Match(&kept) {
			sessions = append(sessions, kept)
		}
		return true
	})
	if err != nil {
		return nil, cov, err
	}
	var counts whose.Coverage
	for i := range sessions {
		account(&counts, &sessions[i])
	}
	cov.Sessions, cov.OwnersAsked, cov.Owned, cov.Ownerless = counts.Sessions, true, counts.Owned, counts.Ownerless
	cov.Gaps.Add(veil.gaps()...)
	return sessions, cov, nil
}

// CountThen answers a count of a past, as [history.Groups] does.
func CountThen(
	ctx context.Context, past history.Source, q *Question, from, to time.Time, by *history.Grouping, fn func(s *whose.Session, n int),
) (whose.Coverage, error) {
	if q.Viewer.All && from.Before(to) {
		about := q.about(from, to)
		about.States = q.States
		return history.Groups(ctx, past, &about, by, fn)
	}
	sessions, cov, err := Then(ctx, past, q, from, to)
	for i := range sessions {
		fn(&sessions[i], 1)
	}
	return cov, err
}

// about makes the question for a history. Behind a veil the filter has to wait.
func (q *Question) about(from, to time.Time) history.Query {
	about := history.Query{From: from, To: to, Protos: q.Protos, Families: q.Families, Env: q.env()}
	if q.Viewer.All {
		about.Filter = q.Filter
	}
	if q.NetNS != "" && q.NetNS != "all" {
		about.NetNS = func(inode uint32, name string) bool {
			return q.inNetNS(&whose.Session{NetNS: inode, NetNSName: name})
		}
	}
	return about
}
