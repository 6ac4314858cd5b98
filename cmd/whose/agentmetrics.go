//go:build whose_agent

package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/history/store"
	"github.com/seed-44df2ae6/whose/internal/scrape"
	"github.com/seed-44df2ae6/whose/internal/tally"
	"github.com/seed-44df2ae6/whose/track"
)

// agentMetrics are the metrics of an agent, and the server that answers with them.
type agentMetrics struct {
	counts  *tally.Metrics
	tracker *track.Tracker
	history *store.Writer // nil: none
	export  *agentExport  // nil: none
	source  string
	started time.Time
	server  scrape.Server

	mu     sync.Mutex
	looked time.Time
}

// The times of looks at all sessions: by themselves, and at most as often for those who
// fetch the metrics.
const (
	lookEvery = 15 * time.Second
	lookMost  = time.Second
	// lookWithin bounds the time of one.
	lookWithin = 5 * time.Second
)

// serveMetrics begins to listen.
func serveMetrics(ctx context.Context, addr string, t *track.Tracker, w *store.Writer, x *agentExport) (*agentMetrics, error) {
	m := &agentMetrics{counts: tally.NewMetrics(), tracker: t, history: w, export: x, source: t.Source().Name, started: time.Now()}
	m.server.Write = func(w io.Writer, open bool) error {
		m.look(lookMost)
		return m.counts.Write(w, m.own(), open)
	}
	if err := m.server.Listen(ctx, addr); err != nil {
		return nil, fmt.Errorf("serve metrics: %w", err)
	}
	return m, nil
}

func listenersOnly() filter.Expr {
	expr, err := filter.Parse("listening")
	if err != nil {
		panic(err) // a constant
	}
	return expr
}

// look looks at all sessions, if the last look is older than that.
func (m *agentMetrics) look(after time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	began := time.Now()
	if began.Sub(m.looked).Abs() < after {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookWithin)
	defer cancel()
	m.counts.Look(func() iter.Seq[*whose.Session] {
		all, _ := m.tracker.MeasureEach(ctx) // what was not read is counted at the next look
		listeners := m.tracker.Append(nil, listening)
		return func(yield func(*whose.Session) bool) {
			for s := range all {
				if !yield(s) {
					return
				}
			}
			for i := range listeners {
				if !yield(&listeners[i]) {
					return
				}
			}
		}
	}, began)
	m.looked = time.Now()
}

// listening selects what Measure leaves out.
var listening = listenersOnly()

// run answers, and looks by itself, until ctx ends.
func (m *agentMetrics) run(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- m.server.Serve() }()
	ticks := time.NewTicker(lookEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			_ = m.server.Close() // nothing is lost by it
			return <-ended
		case err := <-ended:
			return err
		case <-ticks.C:
			m.look(lookEvery / 2)
		}
	}
}

// own are the agent's figures of itself.
func (m *agentMetrics) own() []tally.Figure {
	stats := m.tracker.Stats()
	all := []tally.Figure{
		{Name: "whose_build_info", Values: []string{buildVersion().Version, m.source}, Value: 1},
		{Name: "whose_behind_seconds", Value: m.tracker.Behind().Seconds()},
		{Name: "process_start_time_seconds", Value: float64(m.started.UnixMilli()) / 1000},
		{Name: "go_goroutines", Value: float64(runtime.NumGoroutine())},
	}
	for _, t := range []struct {
		name string
		n    int
	}{{"sessions", stats.Sessions}, {"flows", stats.Flows}, {"processes", stats.Processes}} {
		all = append(all, tally.Figure{Name: "whose_table_entries", Values: []string{t.name}, Value: float64(t.n)})
	}
	if m.history != nil {
		s := m.history.Stats()
		all = append(all,
			tally.Figure{Name: "whose_history_bytes", Value: float64(s.Bytes)},
			tally.Figure{Name: "whose_history_entries_total", Value: float64(s.Entries)},
			tally.Figure{Name: "whose_history_dropped_total", Value: float64(s.Dropped)},
			tally.Figure{Name: "whose_history_errors_total", Value: float64(s.Errors)},
			tally.Figure{Name: "whose_history_live_sessions", Value: float64(s.Live)})
	}
	if m.export != nil {
		all = append(all, m.export.figures()...)
	}
	return append(all, processFigures()...)
}

// processFigures are those that every program of Prometheus has. What is unknown is
// left out.
func processFigures() []tally.Figure {
	var all []tally.Figure
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) == nil {
		seconds := time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
		all = append(all, tally.Figure{Name: "process_cpu_seconds_total", Value: math.Round(seconds*1e3) / 1e3})
	}
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := strings.Fields(string(text)); len(fields) > 1 {
			if pages, err := strconv.ParseUint(fields[1], 10, 63); err == nil {
				all = append(all, tally.Figure{Name: "process_resident_memory_bytes", Value: float64(pages) * float64(os.Getpagesize())})
			}
		}
	}
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		all = append(all, tally.Figure{Name: "process_open_fds", Value: float64(len(fds) - 1)}) // one reads the folder
	}
	return all
}
