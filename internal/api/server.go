package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/history"
	"github.com/seed-44df2ae6/whose/internal/agent"
	"github.com/seed-44df2ae6/whose/internal/ask"
)

// The bounds of a server.
const (
	// mostAnswers bounds the questions that are answered at once, and mostPast those
	// about the past among them. Others wait for slotTime, and are refused then.
	mostAnswers = 32
	mostPast    = 4
	slotTime    = 5 * time.Second
	// mostStreams bounds the streams of events.
	mostStreams = 256
	// mostConns bounds the connections.
	mostConns = 512
	// mostHead bounds the bytes of a request. None has a body.
	mostHead = 16 << 10
	// headTime bounds the wait for a request, idleTime the time between two.
	headTime = 5 * time.Second
	idleTime = time.Minute
	// answerTime bounds the time of an answer, and writeTime the wait for a reader of
	// a stream.
	answerTime = 30 * time.Second
	writeTime  = 10 * time.Second
)

// A Server answers questions by what an agent knows. Fill in the fields, then
// serve ([Server.ServeUnix], [Server.ServeTCP]).
type Server struct {
	// Table is the live table, Feed the events as they come.
	Table agent.Table
	Feed  *agent.Feed
	// Past opens the history, whose times are in the zone. Nil: none is kept.
	Past func(zone *time.Location) (history.Source, error)
	// Settle makes the history hold all events until now. Nil: it does so by itself.
	Settle func(context.Context) error
	// Users returns the ids of users by name. Nil: names are compared alone.
	Users func(ctx context.Context, names []string) (map[string]uint32, error)
	// Dialect reads filters.
	Dialect filter.Dialect
	// NetNS is the network namespace of the agent.
	NetNS uint32
	// Version describes the program, as whose version -o json does.
	Version any
	// Began is the time of the agent's start.
	Began time.Time

	begin          sync.Once
	answers, pasts chan struct{}
	streams        atomic.Int64
	ending         chan struct{}
}

// handler returns the handler of all requests. The viewer of a request is that of its
// context; without one nothing is answered.
func (s *Server) handler() http.Handler {
	s.start()
	mux := http.NewServeMux()
	for _, e := range endpoints() {
		mux.HandleFunc(e.path, func(w http.ResponseWriter, r *http.Request) { s.serve(&e, w, r) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, whose.WithHint(&statusError{http.StatusNotFound, errors.New("there is nothing at this path")},
			"docs/agent.md describes what there is"))
	})
	return mux
}

func (s *Server) start() {
	s.begin.Do(func() {
		s.answers, s.pasts = make(chan struct{}, mostAnswers), make(chan struct{}, mostPast)
		s.ending = make(chan struct{})
	})
}

// End ends the streams. It is called once.
func (s *Server) End() {
	s.start()
	close(s.ending)
}

// An endpoint is a path, with the parameters that it takes.
type endpoint struct {
	path, summary string
	params        []string
	// stream: it has no end of its own.
	stream bool
	serve  func(*Server, http.ResponseWriter, *request) error
}

// endpoints returns the table of them.
func endpoints() []endpoint {
	return []endpoint{
		{ask.PathSessions, "sessions: now, at a moment, or in a span of time", sessionParams, false, (*Server).sessions},
		{ask.PathEvents, "events: those of a past, then those that come", eventParams, true, (*Server).events},
		{ask.PathCount, "counts of sessions by fields, and sums", countParams, false, (*Server).count},
		{ask.PathCoverage, "the coverage of an answer, without its sessions", coverageParams, false, (*Server).coverage},
		{ask.PathHistory, "the span, the size and the gaps of the history", nil, false, (*Server).history},
		{ask.PathHealth, "whether the agent follows sessions, and what it lost", nil, false, (*Server).health},
		{ask.PathVersion, "the version of the agent", nil, false, (*Server).version},
		{ask.PathOpenAPI, "this description", nil, false, (*Server).openAPI},
	}
}

type viewerKey struct{}

// withViewer returns a context whose requests are those of the viewer.
func withViewer(ctx context.Context, v agent.Viewer) context.Context {
	return context.WithValue(ctx, viewerKey{}, v)
}

// A request is one with its parameters read.
type request struct {
	*http.Request
	*params
	viewer agent.Viewer
	now    time.Time
}

func (s *Server) serve(e *endpoint, w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Cache-Control", "no-store")
	b := &body{ResponseWriter: w}
	if err := s.answer(e, b, r); err != nil {
		writeError(b, err)
	}
}

func (s *Server) answer(e *endpoint, w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return &statusError{http.StatusMethodNotAllowed, fmt.Errorf("method %q: the API reads only", r.Method)}
	}
	viewer, ok := r.Context().Value(viewerKey{}).(agent.Viewer)
	if !ok {
		return &statusError{http.StatusForbidden, errors.New("nobody knows who asks")}
	}
	p, err := readParams(r.URL.RawQuery, e.params)
	if err != nil {
		return err
	}
	if e.stream {
		if s.streams.Add(1) > mostStreams {
			s.streams.Add(-1)
			return errBusy
		}
		defer s.streams.Add(-1)
		return e.serve(s, w, &request{r, p, viewer, time.Now()})
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime + writeTime)) // without it the kernel's bound counts
	free, err := s.slot(ctx, p)
	if err != nil {
		return err
	}
	defer free()
	return e.serve(s, w, &request{r.WithContext(ctx), p, viewer, time.Now()})
}

// errBusy refuses one more question.
var errBusy = whose.WithHint(&statusError{http.StatusServiceUnavailable, errors.New("too many questions at once")}, "ask again later")

// slot waits for a place among the questions that are answered.
func (s *Server) slot(ctx context.Context, p *params) (free func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, slotTime)
	defer cancel()
	wanted := []chan struct{}{s.answers}
	if p.times().Asked() {
		wanted = []chan struct{}{s.pasts, s.answers}
	}
	var held []chan struct{}
	free = func() {
		for _, c := range held {
			<-c
		}
	}
	for _, c := range wanted {
		select {
		case c <- struct{}{}:
			held = append(held, c)
		case <-ctx.Done():
			free()
			return nil, errBusy
		}
	}
	return free, nil
}

// A statusError is an error with an HTTP status.
type statusError struct {
	status int
	err    error
}

// Error returns the text of the cause.
func (e *statusError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *statusError) Unwrap() error { return e.err }

// badRequest is a mistake of the asker.
func badRequest(err error) error {
	if err == nil {
		return nil
	}
	return &statusError{http.StatusBadRequest, err}
}

// writeError answers with an error. After the beginning of an answer it breaks the
// connection off, so nobody takes a part for the whole.
func writeError(w http.ResponseWriter, err error) {
	if b, ok := w.(*body); ok && b.begun {
		panic(http.ErrAbortHandler)
	}
	status := http.StatusInternalServerError
	var known *statusError
	var mistake *ask.ParamError
	switch {
	case errors.As(err, &known):
		status = known.status
	case errors.As(err, &mistake):
		status = http.StatusBadRequest
	case errors.Is(err, context.DeadlineExceeded):
		status, err = http.StatusServiceUnavailable, fmt.Errorf("the answer took longer than %v", answerTime)
	}
	w.Header().Del("Trailer")
	w.Header().Set("Content-Type", typeJSON)
	w.WriteHeader(status)
	doc := errorDocument{Error: err.Error(), Hint: whose.Hint(err)}
	var place *filterError
	if errors.As(err, &place) {
		doc.Offset = &place.Offset
	}
	_ = json.NewEncoder(w).Encode(doc) // the asker may be gone
}

// An errorDocument is the body of a refusal.
type errorDocument struct {
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
	// Offset is the place of a mistake in the filter, in bytes.
	Offset *int `json:"offset,omitempty"`
}
