package tally

import (
	"slices"

	"github.com/seed-44df2ae6/whose"
)

// A MetricKind is the type of a metric, as in its TYPE line.
type MetricKind string

// The kinds.
const (
	MetricCounter   MetricKind = "counter"
	MetricGauge     MetricKind = "gauge"
	MetricHistogram MetricKind = "histogram"
)

// A Metric is one row of the table of metrics.
type Metric struct {
	// Name is the name of the metric; that of a counter ends in _total.
	Name string
	Kind MetricKind
	// Labels are the names of its labels.
	Labels []string
	// Help says in a sentence what it counts.
	Help string
	// bySession gives its samples of one workload, protocol and direction. Nil: the
	// agent's own figure.
	bySession func(c *cell, emit func(value uint64, label string))
	// histogram is the one of a cell, with its bounds.
	histogram func(c *cell) (*histogram, []float64)
}

// ofSessions are the labels of the metrics of sessions.
var ofSessions = []string{"workload", "proto", "direction"}

func with(label string) []string { return append(slices.Clone(ofSessions), label) }

// one makes the samples of a metric without a label of its own; always: of nothing, too,
// but for listeners.
func one(get func(c *cell) uint64, always bool) func(*cell, func(uint64, string)) {
	return func(c *cell, emit func(uint64, string)) {
		if n := get(c); n > 0 || always && c.direction != 0 {
			emit(n, "")
		}
	}
}

// byEnd makes the samples of a metric with a label, without those of nothing.
func byEnd(get func(c *cell) []uint64) func(*cell, func(uint64, string)) {
	return func(c *cell, emit func(uint64, string)) {
		for end, n := range get(c) {
			if n > 0 {
				name := whose.End(end).String()
				if name == "" {
					name = "unknown"
				}
				emit(n, name)
			}
		}
	}
}

func byState(c *cell, emit func(uint64, string)) {
	for state, n := range c.states {
		if n > 0 {
			emit(uint64(n), whose.State(state).String())
		}
	}
}

// MetricTable returns the table of all metrics of an agent, in the order in which they
// are written.
func MetricTable() []Metric {
	return []Metric{
		{Name: "whose_sessions", Kind: MetricGauge, Labels: with("state"), bySession: byState,
			Help: "Sessions that stand, listeners among them."},
		{Name: "whose_listeners", Kind: MetricGauge, Labels: ofSessions,
			bySession: one(func(c *cell) uint64 { return uint64(c.listeners) }, false),
			Help:      "TCP sockets that listen."},
		{Name: "whose_accept_queue_connections", Kind: MetricGauge, Labels: ofSessions,
			bySession: func(c *cell, emit func(uint64, string)) {
				if c.listeners > 0 {
					emit(uint64(c.queued), "")
				}
			},
			Help: "Connections that wait in accept queues."},
		{Name: "whose_sessions_opened_total", Kind: MetricCounter, Labels: ofSessions,
			bySession: one(func(c *cell) uint64 { return c.opened }, true),
			Help:      "Sessions that opened."},
		{Name: "whose_sessions_closed_total", Kind: MetricCounter, Labels: with("end"),
			bySession: byEnd(func(c *cell) []uint64 { return c.closed[:] }),
			Help:      "Sessions that closed, by their end."},
		{Name: "whose_connect_failures_total", Kind: MetricCounter, Labels: with("reason"),
			bySession: byEnd(func(c *cell) []uint64 { return c.failed[:] }),
			Help:      "Connects that failed, by the failure."},
		{Name: "whose_session_sent_bytes_total", Kind: MetricCounter, Labels: ofSessions,
			bySession: one(func(c *cell) uint64 { return c.sent }, true),
			Help:      "Bytes of payload sent, those sent again not counted twice."},
		{Name: "whose_session_received_bytes_total", Kind: MetricCounter, Labels: ofSessions,
			bySession: one(func(c *cell) uint64 { return c.received }, true),
			Help:      "Bytes of payload received."},
		{Name: "whose_session_retransmitted_segments_total", Kind: MetricCounter, Labels: ofSessions,
			bySession: one(func(c *cell) uint64 { return c.retrans }, false),
			Help:      "TCP segments sent again, counted at the ends of their sessions."},
		{Name: "whose_session_rtt_seconds", Kind: MetricHistogram, Labels: ofSessions,
			histogram: func(c *cell) (*histogram, []float64) { return &c.rtt, rttBounds[:] },
			Help:      "Smoothed round-trip times of TCP sessions at their ends."},
		{Name: "whose_session_duration_seconds", Kind: MetricHistogram, Labels: ofSessions,
			histogram: func(c *cell) (*histogram, []float64) { return &c.duration, durationBounds[:] },
			Help:      "Durations of sessions, from the opening to the end."},
		{Name: "whose_connect_failure_seconds", Kind: MetricHistogram, Labels: ofSessions,
			histogram: func(c *cell) (*histogram, []float64) { return &c.attempt, durationBounds[:] },
			Help:      "Durations of connects that failed."},

		{Name: "whose_events_total", Kind: MetricCounter, Labels: []string{"kind"}, Help: "Events of sessions, by kind."},
		{Name: "whose_events_lost_total", Kind: MetricCounter, Labels: []string{"where"}, Help: "Events that were lost, by place."},
		{Name: "whose_table_entries", Kind: MetricGauge, Labels: []string{"table"}, Help: "Entries in the tables of the agent."},
		{Name: "whose_metrics_workloads", Kind: MetricGauge, Help: "Workloads with a name of their own in the metrics."},
		{Name: "whose_metrics_folded_total", Kind: MetricCounter, Help: "Sessions and failed connects that count for the workload other."},
		{Name: "whose_behind_seconds", Kind: MetricGauge, Help: "Time since the agent last read the kernel and did its periodic work."},
		{Name: "whose_history_bytes", Kind: MetricGauge, Help: "Size of the files of the history."},
		{Name: "whose_history_entries_total", Kind: MetricCounter, Help: "Entries that were written to the history."},
		{Name: "whose_history_dropped_total", Kind: MetricCounter, Help: "Entries that were lost, for the history could not be written."},
		{Name: "whose_history_errors_total", Kind: MetricCounter, Help: "Commits of the history that failed."},
		{Name: "whose_history_live_sessions", Kind: MetricGauge, Help: "Sessions that stand in the history."},
		{Name: "whose_export_events_total", Kind: MetricCounter, Help: "Lines that the receiver of the export has taken."},
		{Name: "whose_export_dropped_total", Kind: MetricCounter, Labels: []string{"reason"}, Help: "Lines that no receiver gets: the spool was full, the disk took no more, or the receiver rejected them."},
		{Name: "whose_export_spool_bytes", Kind: MetricGauge, Help: "Size of the batches that wait for the receiver."},
		{Name: "whose_export_last_success_timestamp_seconds", Kind: MetricGauge, Help: "When the receiver last took a batch, in seconds since 1970. Absent before the first one."},
		{Name: "whose_build_info", Kind: MetricGauge, Labels: []string{"version", "source"}, Help: "Version of the agent, and the source that it follows by. Always 1."},
		{Name: "process_cpu_seconds_total", Kind: MetricCounter, Help: "User and system time of the agent."},
		{Name: "process_resident_memory_bytes", Kind: MetricGauge, Help: "Memory of the agent."},
		{Name: "process_open_fds", Kind: MetricGauge, Help: "Open files of the agent."},
		{Name: "process_start_time_seconds", Kind: MetricGauge, Help: "Start of the agent, in seconds since 1970."},
		{Name: "go_goroutines", Kind: MetricGauge, Help: "Goroutines of the agent."},
	}
}

// The names of the agent's own metrics that this package fills in.
const (
	eventsTotal  = "whose_events_total"
	lostTotal    = "whose_events_lost_total"
	workloads    = "whose_metrics_workloads"
	foldedTotal  = "whose_metrics_folded_total"
	tableEntries = "whose_table_entries"
)
