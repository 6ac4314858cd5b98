//go:build whose_agent

package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/seed-44df2ae6/whose/fleet"
	"github.com/seed-44df2ae6/whose/internal/remote"
)

func init() { runFleetInit, runFleetStatus = (*fleetJob).init, (*fleetJob).status }

func (j *fleetJob) open() (*fleet.Store, error) {
	s, err := fleet.Open(&remote.Target{
		URL: j.url, CA: j.ca, Cert: j.cert, Key: j.key, Credentials: j.credentials,
	}, "whose/"+buildVersion().Version)
	if err != nil {
		return nil, usagef("--fleet: %w", err)
	}
	return s, nil
}

func (j *fleetJob) init(ctx context.Context) error {
	s, err := j.open()
	if err != nil {
		return err
	}
	u, err := s.Init(ctx)
	if err != nil {
		return err
	}
	text := "the tables of " + u.Database + " are up to date"
	if len(u.Done) > 0 {
		text = "made in " + u.Database + ": " + strings.Join(u.Done, ", ")
	}
	if u.NoRoles != nil {
		j.sh.say("%v; give agents and askers the rights of the file roles.sql by hand", u.NoRoles)
	}
	_, err = fmt.Fprintln(j.sh.out, text)
	return writeError(err)
}

func (j *fleetJob) status(ctx context.Context) error {
	s, err := j.open()
	if err != nil {
		return err
	}
	st, err := s.Status(ctx, j.span)
	if err != nil {
		return err
	}
	if j.format == "json" {
		return printJSON(j.sh.out, st)
	}
	return writeError(j.writeStatus(st, time.Now()))
}

// writeStatus writes a status for a person.
func (j *fleetJob) writeStatus(st *fleet.Status, now time.Time) error {
	if len(st.Hosts) == 0 {
		_, err := fmt.Fprintln(j.sh.out, "no host has reported yet: whose agent --export clickhouse+"+printable(j.url))
		return err
	}
	w := tabwriter.NewWriter(j.sh.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "HOST\tSINCE\tLATEST\tCLOCK\tLINES\tLOST")
	for i := range st.Hosts {
		h := &st.Hosts[i]
		clock := "-"
		if h.Ahead > 0 {
			clock = fmt.Sprintf("%.1f s ahead", h.Ahead)
		}
		lost := "-"
		if h.Losses > 0 {
			lost = fmt.Sprintf("%d in %d reports", h.Lost, h.Losses)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", cmp.Or(printable(h.Host), "-"),
			h.First.Local().Format(time.DateTime), ago(now.Sub(h.Arrived)), clock, h.Lines, lost)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	span := time.Duration(st.Span) * time.Second
	_, err := fmt.Fprintf(j.sh.out, "\nTCP flows of the last %s: %d known at both ends, %d at one; %s without a flow id\n",
		span, st.Exact, st.OneSided, plural(int(st.Unmatched), "session", "sessions"))
	return err
}

// ago is a time before now for a person.
func ago(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%d s ago", int(max(d, 0).Seconds()))
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s") + " ago"
}
