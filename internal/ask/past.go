package ask

import (
	"context"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/history"
)

// A Past is the history of an agent, asked over its socket: it has all that the asker
// may see. The zero value is none.
type Past struct {
	Client *Client
	// Zone is the zone of the times in answers.
	Zone *time.Location
}

var _ history.Source = (*Past)(nil)

// question makes a question of a query. What an agent does not take is evaluated here.
func (p *Past) question(q *history.Query) *Question {
	a := &Question{Protos: q.Protos, Families: q.Families, States: q.States, Self: q.Env.SelfNetNS, Events: q.Kinds}
	if q.Filter != nil {
		a.Filter = q.Filter.String()
	}
	if q.Moment() {
		a.At = q.From
	} else {
		a.From, a.To = q.From, q.To
	}
	return a
}

// Sessions implements [history.Source].
func (p *Past) Sessions(ctx context.Context, q *history.Query, fn func(*whose.Session) bool) (whose.Coverage, error) {
	about := p.question(q)
	if about.States == 0 {
		about.States = whose.AllStates // a query without states wants them all
	}
	for _, f := range whose.Fields() {
		about.Fields = append(about.Fields, f.Name)
	}
	return p.Client.Sessions(ctx, about, func(s *whose.Session) bool {
		p.place(s.Life)
		return q.NetNS != nil && !q.NetNS(s.NetNS, s.NetNSName) || fn(s)
	})
}

// Events implements [history.Source].
func (p *Past) Events(ctx context.Context, q *history.Query, fn func(*whose.Event) bool) (whose.Coverage, error) {
	about := p.question(q)
	about.States = 0 // events have none
	for _, f := range whose.Fields() {
		if f.EventKey == "" && f.Of != whose.OfLife {
			about.Fields = append(about.Fields, f.Name)
		}
	}
	return p.Client.Events(ctx, about, func(e *whose.Event) bool {
		e.Time = e.Time.In(p.zone())
		p.place(&e.Lifetime)
		return q.NetNS != nil && e.Kind != whose.EventLost && !q.NetNS(e.Session.NetNS, e.Session.NetNSName) || fn(e)
	})
}

// place puts the times of a life in the zone.
func (p *Past) place(l *whose.Lifetime) {
	if l == nil {
		return
	}
	for _, t := range []*time.Time{&l.Opened, &l.Closed, &l.FirstSeen} {
		if !t.IsZero() {
			*t = t.In(p.zone())
		}
	}
}

func (p *Past) zone() *time.Location {
	if p.Zone == nil {
		return time.Local
	}
	return p.Zone
}

// Until implements [history.Source].
func (p *Past) Until(ctx context.Context) (time.Time, error) {
	o, err := p.Overview(ctx)
	if err != nil {
		return time.Time{}, err
	}
	return o.To, nil
}

// Overview implements [history.Source].
func (p *Past) Overview(ctx context.Context) (*history.Overview, error) {
	o := new(history.Overview)
	if err := p.Client.JSON(ctx, PathHistory, &Question{}, o); err != nil {
		return nil, err
	}
	o.From, o.To = o.From.In(p.zone()), o.To.In(p.zone())
	return o, nil
}

// Close implements [history.Source].
func (p *Past) Close() error { return nil }
