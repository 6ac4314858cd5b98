package fleet

import (
	"context"
	"time"
)

// A Status says who reports, and how much of the sessions is known at both ends.
type Status struct {
	Hosts []HostStatus `json:"hosts"`
	// Span is the time before now to which the figures below and the losses belong.
	Span Seconds `json:"span"`
	// Exact is the number of flows whose both ends are known, by the flow id; OneSided
	// that of flows with one known end; Unmatched that of sessions without a flow id.
	Exact     uint64 `json:"exact"`
	OneSided  uint64 `json:"one_sided"`
	Unmatched uint64 `json:"unmatched"`
}

// Seconds is a duration in whole seconds.
type Seconds int64

// A HostStatus is what is known of the reports of a host.
type HostStatus struct {
	Host string `json:"host"`
	// First and Last are the times of its first and its latest line by its own clock.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Arrived is when its latest line came, by ClickHouse's clock.
	Arrived time.Time `json:"arrived"`
	// Ahead is by how much the clock of the host goes before ClickHouse's, at least;
	// absent where nothing shows that.
	Ahead float64 `json:"ahead,omitempty"`
	Lines uint64  `json:"lines"`
	// Lost is the number of events that were lost within the span, Losses that of
	// their reports: a loss may be of an unknown number.
	Lost   uint64 `json:"lost"`
	Losses uint64 `json:"losses"`
}

// A hostRow is a row of the answer.
type hostRow struct {
	Host                 string
	First, Last, Arrived float64
	Lag                  int64
	Lines, Lost, Losses  uint64
}

// Times go as seconds since 1970, so that no zone comes between.
const hostQuestion = `
SELECT h.host AS host, h.first AS first, h.last AS last, h.arrived AS arrived, h.lag AS lag, h.lines AS lines, g.lost AS lost, g.losses AS losses
FROM
(
    SELECT host, toUnixTimestamp64Micro(min(first)) / 1e6 AS first, toUnixTimestamp64Micro(max(last)) / 1e6 AS last,
        toUnixTimestamp64Micro(max(arrived)) / 1e6 AS arrived, min(lag) AS lag, sum(lines) AS lines
    FROM host GROUP BY host
) AS h
LEFT JOIN
(
    SELECT host, sum(lost) AS lost, count() AS losses FROM gap
    WHERE time >= now64(6, 'UTC') - toIntervalSecond({span:UInt32}) GROUP BY host
) AS g USING (host)
ORDER BY host`

const flowQuestion = `
SELECT countIf(flow != 0 AND ends >= 2) AS exact, countIf(flow != 0 AND ends = 1) AS oneSided, sumIf(sessions, flow = 0) AS unmatched
FROM
(
    SELECT flow, uniqExact(side) AS ends, uniqExact(host, netns, cookie) AS sessions
    FROM session_end WHERE seen >= now64(6, 'UTC') - toIntervalSecond({span:UInt32}) AND proto = 'tcp' AND event != 'fail'
    GROUP BY flow
)`

// Status asks who reports, and what became of the flows within a time before now.
func (s *Store) Status(ctx context.Context, span time.Duration) (*Status, error) {
	st := &Status{Hosts: []HostStatus{}, Span: Seconds(span / time.Second)}
	values := map[string]string{"span": formatSeconds(span)}
	err := rows(ctx, s, hostQuestion, values, func(r *hostRow) error {
		h := HostStatus{
			Host: r.Host, First: moment(r.First), Last: moment(r.Last), Arrived: moment(r.Arrived),
			Lines: r.Lines, Lost: r.Lost, Losses: r.Losses,
		}
		if r.Lag < 0 {
			h.Ahead = float64(-r.Lag) / 1e6
		}
		st.Hosts = append(st.Hosts, h)
		return nil
	})
	if err != nil {
		return nil, err
	}
	type flowRow struct{ Exact, OneSided, Unmatched uint64 }
	err = rows(ctx, s, flowQuestion, values, func(r *flowRow) error {
		st.Exact, st.OneSided, st.Unmatched = r.Exact, r.OneSided, r.Unmatched
		return nil
	})
	return st, err
}
