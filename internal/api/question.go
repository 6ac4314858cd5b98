package api

import (
	"errors"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/history"
	"github.com/seed-44df2ae6/whose/internal/agent"
	"github.com/seed-44df2ae6/whose/internal/ask"
	"github.com/seed-44df2ae6/whose/internal/tally"
)

// question reads the parameters that choose sessions.
func (s *Server) question(r *request) (*agent.Question, error) {
	utc, err := r.boolean(ask.ParamUTC)
	if err != nil {
		return nil, err
	}
	q := &agent.Question{Viewer: r.viewer, NetNS: r.text(ask.ParamNetNS), Now: r.now, SelfNetNS: s.NetNS}
	if utc {
		q.Now = q.Now.UTC()
	}
	if q.Protos, err = set[whose.Proto](r.params, ask.ParamProto); err != nil {
		return nil, err
	}
	if q.Families, err = set[whose.Family](r.params, ask.ParamFamily); err != nil {
		return nil, err
	}
	if q.States, err = r.states(); err != nil {
		return nil, err
	}
	self, err := r.number(ask.ParamSelf, math.MaxUint32)
	if err != nil {
		return nil, err
	}
	if self != 0 {
		q.SelfNetNS = uint32(self)
	}
	if q.Filter, err = r.filter(s.Dialect); err != nil {
		return nil, err
	}
	if names := filter.Users(q.Filter); len(names) > 0 && s.Users != nil {
		if q.Users, err = s.Users(r.Context(), names); err != nil {
			return nil, refusedName(err)
		}
	}
	return q, nil
}

// refusedName makes of a name unknown on this host a mistake of the asker.
func refusedName(err error) error {
	var unknown *whose.UnknownError
	if errors.As(err, &unknown) {
		return whose.WithHint(badRequest(err), "a user is always found by number, as in: user 1000")
	}
	return err
}

// An answer is what a question found, in no order.
type answer struct {
	sessions []whose.Session
	cov      whose.Coverage
	// from and to are the time of a question about the past.
	from, to time.Time
}

// ask answers a question about now or about the past.
func (s *Server) ask(r *request, q *agent.Question) (*answer, error) {
	times := r.times()
	if !times.Asked() {
		if err := knownNow(q.Filter); err != nil {
			return nil, err
		}
		a := &answer{}
		a.sessions, a.cov = agent.Now(s.Table, q)
		return a, nil
	}
	a := &answer{}
	past, err := s.then(r, q, a)
	if err != nil {
		return nil, err
	}
	defer past.Close()
	a.sessions, a.cov, err = agent.Then(r.Context(), past, q, a.from, a.to)
	return a, err
}

// then opens the past for a question, and finds its time.
func (s *Server) then(r *request, q *agent.Question, a *answer) (history.Source, error) {
	times := r.times()
	var err error
	if a.from, a.to, err = times.Span(q.Now); err != nil {
		return nil, err
	}
	if filter.Needs(q.Filter).Has(whose.NeedEvent) {
		return nil, whose.WithHint(paramError(ask.ParamFilter, "it asks for facts of events"), "%s has them", ask.PathEvents)
	}
	return s.past(q.Now.Location())
}

// countThen counts sessions of the past.
func (s *Server) countThen(r *request, q *agent.Question, by, sums []*whose.Field, per time.Duration) (*tally.Steps, whose.Coverage, error) {
	var a answer
	past, err := s.then(r, q, &a)
	if err != nil {
		return nil, a.cov, err
	}
	defer past.Close()
	times := r.times()
	a.from = times.Steps(a.from, per)
	steps := tally.NewSteps(by, sums, a.from, a.to, per)
	cov, err := agent.CountThen(r.Context(), past, q, a.from, a.to, &history.Grouping{Fields: slices.Concat(by, sums), Per: per}, steps.AddMany)
	return steps, cov, err
}

// countOf counts sessions of now or of the past.
func (s *Server) countOf(r *request, q *agent.Question, by, sums []*whose.Field, per time.Duration) (*tally.Steps, whose.Coverage, error) {
	if times := r.times(); times.Asked() {
		return s.countThen(r, q, by, sums, per)
	}
	if err := knownNow(q.Filter); err != nil {
		return nil, whose.Coverage{}, err
	}
	steps := tally.NewSteps(by, sums, time.Time{}, time.Time{}, 0)
	cov := agent.EachNow(s.Table, q, needsPeers(by) || needsPeers(sums), steps.Add)
	return steps, cov, nil
}

// needsPeers reports whether a field is of the owners of other ends.
func needsPeers(fields []*whose.Field) bool {
	return slices.ContainsFunc(fields, func(f *whose.Field) bool { return f.Needs.Has(whose.NeedPeer) })
}

// knownNow refuses a filter by facts that no session of the live table has.
func knownNow(e filter.Expr) error {
	f := ask.Unknown(e)
	switch {
	case f == nil:
		return nil
	case f.Of == whose.OfEvent:
		return whose.WithHint(paramError(ask.ParamFilter, "how sessions ended is not known of those that stand"), "%s knows it", ask.PathEvents)
	}
	return whose.WithHint(paramError(ask.ParamFilter, "the agent's live table does not have the field %s", f.Name), "whose asks the kernel for it: --source auto")
}

// past opens the history.
func (s *Server) past(zone *time.Location) (history.Source, error) {
	if s.Past == nil {
		return nil, whose.WithHint(&statusError{http.StatusNotFound, errors.New("this agent keeps no history")}, "start it with --history DIR")
	}
	return s.Past(zone)
}

// limit cuts a list to a number, 0 for all.
func limit(sessions []whose.Session, n uint64) []whose.Session {
	if n == 0 || n >= uint64(len(sessions)) {
		return sessions
	}
	return sessions[:n]
}
