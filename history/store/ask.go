package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/history"
)

// A question is a query made ready. The cheap conditions come first: on the times of
// a block, on its sign, on the times of an entry, on its few bits and its ends. Only
// of what is left sessions are made, and the rest of the filter evaluated.
type question struct {
	*history.Query
	ctx      context.Context
	from, to int64 // both included
	plan     filter.Plan
	rest     rest            // for sessions: the rest of plan
	whole    *filter.Matcher // for events, of which plan knows too little
	zone     *time.Location
	one      whose.Session
	life     whose.Lifetime
	tcp      whose.TCPInfo
	text     []byte
}

func (r *Reader) question(ctx context.Context, q *history.Query) *question {
	whole := q.Complete()
	a := &question{Query: &whole, ctx: ctx, from: micros(q.From), zone: r.zone}
	a.to = a.from
	if !q.Moment() {
		a.to = micros(q.To) - 1
	}
	a.plan = filter.Split(q.Filter, q.Env)
	a.rest = newRest(a.plan.Rest, q.Env)
	a.whole = filter.Compile(q.Filter, q.Env)
	return a
}

// asksNothing reports whether no session can meet the question.
func (a *question) asksNothing() bool {
	return a.plan.Protos == 0 || a.plan.Families == 0 || a.plan.States == 0
}

// blocks calls fn with each block of a part that may have an entry between two
// times, with its times read.
func (a *question) blocks(p *part, from, to int64, fn func(*view) error) error {
	some, err := a.signed(p, from, to)
	if err != nil {
		return err
	}
	v := view{ref: p.ref}
	for i := range p.blocks {
		b := &p.blocks[i]
		if b.last < from || b.reach > to || some != nil && !some[b.id] {
			continue
		}
		if err := a.ctx.Err(); err != nil {
			return err
		}
		if err := p.tx.QueryRowContext(a.ctx, "SELECT data FROM block WHERE id = ?", b.id).Scan(&a.text); err != nil {
			return err
		}
		if err := v.open(a.text); err != nil {
			return fmt.Errorf("block %d: %w", b.id, err)
		}
		if err := fn(&v); err != nil {
			return fmt.Errorf("block %d: %w", b.id, err)
		}
	}
	return p.ref.err
}

// signed returns the blocks that their signs do not exclude, nil for all.
func (a *question) signed(p *part, from, to int64) (map[int64]bool, error) {
	if len(a.plan.Any) == 0 {
		return nil, nil
	}
	some := make(map[int64]bool)
	err := each(a.ctx, p.tx, func(rows *sql.Rows) error {
		var id int64
		var s sql.RawBytes
		if err := rows.Scan(&id, &s); err != nil {
			return err
		}
		if sign(s).mayMeet(a.plan.Any) {
			some[id] = true
		}
		return nil
	}, selectSigns, from, to)
	return some, err
}

// changed reports whether the facts at the moment of the question are others than
// those of the end, perhaps. What the filter says of them is seen later.
func (a *question) changed(e *entry) bool { return a.Moment() && e.flags&apart != 0 }

// atEnds reports whether an entry meets one of the conditions on its two ends.
func (a *question) atEnds(v *view, p *packed) bool {
	if len(a.plan.Any) == 0 {
		return true
	}
	local, remote := ends(v, p)
	return slices.ContainsFunc(a.plan.Any, func(x filter.Endpoints) bool { return x.Holds(local, remote) })
}

// inPlace reports whether an entry is in a network namespace of the question.
func (a *question) inPlace(at *place) bool { return a.NetNS == nil || a.NetNS(at.netns, at.netnsName) }

// session makes the session of an entry as it stood, in memory that is used again.
func (a *question) session(e *entry, host string) *whose.Session {
	s := &a.one
	e.session(s)
	s.State = e.stood()
	a.life = e.lifetime(a.zone)
	a.life.Host = host
	s.Life = &a.life
	if e.flags&hasTCP != 0 {
		a.tcp = e.tcp()
		s.TCP = &a.tcp
	}
	return s
}

// newCoverage returns the coverage of an answer that has nothing yet.
func newCoverage() whose.Coverage { return whose.Coverage{Source: "history", OwnersAsked: true} }

// open opens the files of the question's time, and adds the gaps in it. The caller
// closes them.
func (r *Reader) open(ctx context.Context, q *history.Query, gaps *whose.Gaps) (*question, []*part, error) {
	a := r.question(ctx, q)
	parts, err := r.parts(ctx, a.from, a.to, gaps)
	if err != nil {
		return nil, nil, err
	}
	if err := r.gaps(ctx, parts, a.from, a.to, gaps); err != nil {
		closeParts(parts)
		return nil, nil, fmt.Errorf("read history: %w", err)
	}
	return a, parts, nil
}

// Sessions answers a question about sessions.
func (r *Reader) Sessions(ctx context.Context, q *history.Query, fn func(*whose.Session) bool) (whose.Coverage, error) {
	began := time.Now()
	cov := newCoverage()
	a, parts, err := r.open(ctx, q, &cov.Gaps)
	if err != nil {
		return cov, err
	}
	defer closeParts(parts)
	count := func(s *whose.Session) bool {
		cov.Sessions++
		if len(s.Owners) > 0 && s.Reason == whose.ReasonNone {
			cov.Owned++
		} else {
			cov.Ownerless[s.Reason]++
		}
		return fn(s)
	}
	if !a.asksNothing() {
		err = a.sessions(parts, count, &cov.Gaps)
	}
	cov.Duration = time.Since(began)
	return cov, err
}

// errEnough ends a scan early.
var errEnough = errors.New("enough")

// sessions scans all parts: the ends in each, and the standing sessions at the end of the last.
func (a *question) sessions(parts []*part, fn func(*whose.Session) bool, gaps *whose.Gaps) error {
	s := scan{question: a, fn: fn, then: make(map[key]facts)}
	for i, p := range parts {
		s.part = p
		err := a.blocks(p, a.from, a.to, s.block)
		if err == nil && i == len(parts)-1 {
			if err = s.live(); err == nil {
				err = s.late()
			}
		}
		switch {
		case errors.Is(err, errEnough):
			return nil
		case broken(err):
			gaps.Add(whose.Gap{Kind: whose.GapTime, Cause: whose.CauseFailed, Detail: p.name.String() + ": " + err.Error(), From: fromMicros(p.begin).In(a.zone), To: fromMicros(p.end).In(a.zone)})
		case err != nil:
			return fmt.Errorf("read %s: %w", p.name, err)
		}
	}
	return nil
}

// A scan looks for the sessions of a question in one part after the other.
type scan struct {
	*question
	part *part
	fn   func(*whose.Session) bool
	// then are the facts at the moment of the question of sessions whose owners
	// changed; apart are those sessions.
	then  map[key]facts
	apart []entry
	// admits says of each shape of the block whether it may meet the question.
	admits []bool
}

func (s *scan) block(v *view) error {
	if !slices.ContainsFunc(v.from, func(t int64) bool { return t <= s.to }) {
		return nil
	}
	if err := v.tables(); err != nil {
		return err
	}
	s.admits = s.shapes(v, s.admits)
	if !s.Moment() && !slices.Contains(s.admits, true) || !s.mayMeet(v) {
		return nil
	}
	var e entry
	enough := false
	err := v.each(func(i int, p *packed) {
		if enough || v.from[i] > s.to {
			return
		}
		e.setShape(v.shapes[p.shape])
		switch {
		case e.kind == owned || e.kind == opened:
			if s.Moment() && v.at[i] <= s.to {
				v.entry(i, p, &e)
				s.then[keyOf(&e.facts)] = e.facts
			}
			return
		case !e.kind.ends() || v.at[i] < s.from || s.Moment() && v.at[i] == s.from:
			return
		case !s.admits[p.shape] || !s.atEnds(v, p) || !s.inPlace(v.ref.place(p.place)):
			return
		}
		v.light(i, p, &e)
		if s.rest.light != nil && !s.changed(&e) && !s.rest.light.Match(s.session(&e, s.part.host)) {
			return
		}
		v.heavy(p, &e)
		enough = !s.offer(&e)
	})
	if enough {
		return errEnough
	}
	return err
}

// mayMeet reports whether a block may have an entry of the question's time that meets
// a condition on its ends. It reads the columns of the ends alone.
func (s *scan) mayMeet(v *view) bool {
	if len(s.plan.Any) == 0 {
		return true
	}
	locals, remotes, ports := cursor{text: v.columns[colLocal]}, cursor{text: v.columns[colRemote]}, cursor{text: v.columns[colPorts]}
	for i := range v.n {
		p := packed{
			local: locals.index(len(v.addrs)), remote: remotes.index(len(v.addrs)), localPort: ports.port(), remotePort: ports.port(),
		}
		if locals.bad || remotes.bad || ports.bad {
			return true // who reads all of it finds the fault
		}
		if v.from[i] <= s.to && (s.Moment() || v.at[i] >= s.from) && s.atEnds(v, &p) {
			return true
		}
	}
	return false
}

// live offers the standing sessions at the end of the part.
func (s *scan) live() error {
	enough := false
	err := each(s.ctx, s.part.tx, func(rows *sql.Rows) error {
		var data sql.RawBytes
		if err := rows.Scan(&data); err != nil {
			return err
		}
		return s.part.ref.entries(data, func(e *entry) {
			if enough || e.from > s.to || !s.inPlace(&e.place) {
				return
			}
			if !s.kinds(e) {
				return
			}
			enough = !s.offer(e)
		})
	}, "SELECT data FROM live")
	if enough {
		return errEnough
	}
	return err
}

// offer hands a session on, or keeps it until its facts of then are known.
func (s *scan) offer(e *entry) bool {
	if s.changed(e) {
		s.apart = append(s.apart, *e)
		return true
	}
	return s.hand(e)
}

func (s *scan) hand(e *entry) bool {
	one := s.session(e, s.part.host)
	r := &s.rest
	return !r.shape.Match(one) || !r.light.Match(one) || !r.whole.Match(one) || s.fn(one)
}

// late hands on the sessions whose owners changed, as they were then.
func (s *scan) late() error {
	for i := range s.apart {
		e := &s.apart[i]
		if then, ok := s.then[keyOf(&e.facts)]; ok {
			e.owners, e.peer, e.reason, e.place, e.unknown = then.owners, then.peer, then.reason, then.place, then.unknown
		}
		if !s.hand(e) {
			return errEnough
		}
	}
	return nil
}
