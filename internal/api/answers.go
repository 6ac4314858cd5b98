package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/history"
	"github.com/seed-44df2ae6/whose/internal/agent"
	"github.com/seed-44df2ae6/whose/internal/ask"
	"github.com/seed-44df2ae6/whose/internal/lots"
	"github.com/seed-44df2ae6/whose/internal/render"
)

// helpers is the number of goroutines beside the first that write an answer: an agent
// leaves the other processors to the host.
const helpers = 1

func (s *Server) sessions(w http.ResponseWriter, r *request) error {
	format, err := r.format(sessionFormats)
	if err != nil {
		return err
	}
	q, err := s.question(r)
	if err != nil {
		return err
	}
	preset := slices.DeleteFunc(render.DefaultFields(format), func(f *whose.Field) bool { return !ask.Known(f) })
	if r.times().Asked() {
		preset = withLife(preset)
	}
	fields, err := r.fields(preset)
	if err != nil {
		return err
	}
	order, err := r.order()
	if err != nil {
		return err
	}
	most, err := r.number(ask.ParamLimit, mostRows)
	if err != nil {
		return err
	}
	a, err := s.ask(r, q)
	if err != nil {
		return err
	}
	if !r.times().Asked() && r.text(ask.ParamFields) != "" {
		a.cov.Gaps.Add(ask.Missing(fields)...)
	}
	history.Sort(a.sessions, order)
	out, err := render.New(format, render.Options{Fields: fields, Workers: helpers})
	if err != nil {
		return err
	}
	start(w, format)
	if err := out.Write(w, lots.Slice(limit(a.sessions, most)), &a.cov); err != nil {
		return err
	}
	finish(w, format, &a.cov)
	return nil
}

// withLife adds the fields of lifetimes.
func withLife(fields []*whose.Field) []*whose.Field {
	all := slices.Clone(fields)
	for _, f := range whose.Fields() {
		if (f.Of == whose.OfLife || f.Name == "bytes_sent" || f.Name == "bytes_received") && !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	return all
}

// order reads the order.
func (p *params) order() ([]whose.Order, error) {
	names, err := ask.Sort(ask.ParamSort, p.text(ask.ParamSort))
	if err != nil {
		return nil, err
	}
	var orders []whose.Order
	for _, name := range names {
		if o, ok := whose.ParseOrder(name); ok {
			orders = append(orders, o)
		}
	}
	return orders, nil
}

// countBy are the fields of a count by default, as of whose count.
const countBy = "process,state"

func (s *Server) count(w http.ResponseWriter, r *request) error {
	format, err := r.format(sessionFormats)
	if err != nil {
		return err
	}
	q, err := s.question(r)
	if err != nil {
		return err
	}
	list := r.text(ask.ParamBy)
	if list == "" {
		list = countBy
	}
	by, err := ask.FieldsOnce(ask.ParamBy, list)
	if err != nil {
		return err
	}
	sums, err := ask.Sums(ask.ParamSum, r.text(ask.ParamSum), by)
	if err != nil {
		return err
	}
	if len(by)+len(sums) > mostFields {
		return paramError(ask.ParamBy, "want at most %d fields", mostFields)
	}
	top, err := r.number(ask.ParamTop, mostRows)
	if err != nil {
		return err
	}
	per, err := r.duration(ask.ParamPer)
	if err != nil {
		return err
	}
	if per > 0 && !r.times().Asked() {
		return whose.WithHint(paramError(ask.ParamPer, "want %s too", ask.ParamFrom), "from=-24h&per=1h for example")
	}
	if err := s.checkPer(r, q, per); err != nil {
		return err
	}
	steps, cov, err := s.countOf(r, q, by, sums, per)
	if err != nil {
		return err
	}
	start(w, format)
	if err := render.Counts(w, format, steps.Count(int(top)), &cov, render.Options{}); err != nil {
		return err
	}
	finish(w, format, &cov)
	return nil
}

// checkPer checks the steps of time before anything is read.
func (s *Server) checkPer(r *request, q *agent.Question, per time.Duration) error {
	if per == 0 {
		return nil
	}
	from, to, err := r.times().Span(q.Now)
	if err != nil {
		return err
	}
	return ask.Per(ask.ParamPer, per, from, to)
}

// A coverageDocument is the coverage alone.
type coverageDocument struct {
	Version  int             `json:"version"`
	Coverage json.RawMessage `json:"coverage"`
}

func (s *Server) coverage(w http.ResponseWriter, r *request) error {
	q, err := s.question(r)
	if err != nil {
		return err
	}
	a, err := s.ask(r, q)
	if err != nil {
		return err
	}
	return writeJSON(w, coverageDocument{render.SchemaVersion, render.AppendCoverage(nil, &a.cov)})
}

// writeJSON answers with a document.
func writeJSON(w http.ResponseWriter, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", typeJSON)
	_, err = w.Write(append(text, '\n'))
	return err
}

func (s *Server) history(w http.ResponseWriter, r *request) error {
	past, err := s.past(time.Local)
	if err != nil {
		return err
	}
	defer past.Close()
	o, err := past.Overview(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, o)
}

// A healthDocument is the state of the agent.
type healthDocument struct {
	// Status is ok, or ended where the agent does not follow sessions any more.
	Status string `json:"status"`
	// Source follows the sessions; Why there is no better one.
	Source string `json:"source"`
	Why    string `json:"why,omitempty"`
	// Gaps are the missing parts of all answers about now.
	Gaps  whose.Gaps `json:"partial"`
	Since time.Time  `json:"since"`
	// Sessions and Processes are in the live table. Events counts those since the
	// start, Lost the lost ones. Seq is the number of the latest.
	Sessions  int    `json:"sessions"`
	Processes int    `json:"processes"`
	Events    uint64 `json:"events"`
	Lost      uint64 `json:"lost"`
	Seq       uint64 `json:"seq"`
	// History: a history is kept.
	History bool `json:"history"`
	// Streams counts the streams of events, this moment's.
	Streams int64 `json:"streams"`
}

// The states of an agent.
const (
	statusOK    = "ok"
	statusEnded = "ended"
)

func (s *Server) health(w http.ResponseWriter, _ *request) error {
	source, stats := s.Table.Source(), s.Table.Stats()
	doc := healthDocument{
		Status: statusOK, Source: source.Name, Why: source.Why, Gaps: source.Gaps, Since: s.Began.UTC(),
		Sessions: stats.Sessions, Processes: stats.Processes, Events: stats.Events, Lost: stats.Lost.Total(),
		Seq: s.Feed.Last(), History: s.Past != nil, Streams: s.streams.Load(),
	}
	if doc.Gaps == nil {
		doc.Gaps = whose.Gaps{}
	}
	if s.Feed.Ended() {
		doc.Status = statusEnded
		w.Header().Set("Content-Type", typeJSON)
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	return writeJSON(w, doc)
}

func (s *Server) version(w http.ResponseWriter, _ *request) error { return writeJSON(w, s.Version) }
