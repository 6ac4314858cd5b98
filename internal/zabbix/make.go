package zabbix

import (
	"strings"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/tally"
)

// maxGaps bounds the gaps in a document.
const maxGaps = 16

// Options are the facts in a document beside the counts.
type Options struct {
	// Version of whose.
	Version string
	// NetNSNames are the names in `ip netns`, by inode.
	NetNSNames map[uint32]string
}

// A writer makes the rows of one document.
type writer struct {
	count *tally.HostCount
	opts  Options
}

// NewDocument makes the document from the counts and the coverage of the
// collection.
func NewDocument(count *tally.HostCount, c *whose.Coverage, opts Options) *Document {
	w := &writer{count: count, opts: opts}
	shares := make(map[string]tally.Share)
	listeners, listenerValues := w.listenerRows(shares)
	processes, processValues := w.processRows(shares)
	d := &Document{
		shares: shares,
		Schema: Schema, Version: opts.Version, Source: c.Source, Pinned: c.Pinned,
		Duration: c.Duration.Seconds(), Complete: true, Gaps: whose.Gaps{},
		Coverage:  coverageOf(c),
		Totals:    totalsOf(&count.Totals, len(listeners), len(processes)),
		Discovery: Discovery{Listeners: listeners, Processes: processes}, Absent: new(Absent),
		Listeners: make(map[string]Listener, len(listeners)), Processes: make(map[string]Process, len(processes)),
	}
	d.Absent.Listener.setLimit(0, 0, count.Totals.LimitUnknown)
	for i := range listeners {
		d.Listeners[listeners[i].ID] = listenerValues[i]
	}
	for i := range processes {
		d.Processes[processes[i].ID] = processValues[i]
	}
	for _, g := range c.Gaps {
		d.note(g)
	}
	if n := count.Totals.BeyondListeners + count.Totals.BeyondPrograms; n > 0 {
		d.leftOut(n, "more listeners and processes than are kept")
	}
	return d
}

// note adds a gap, up to a bound, and updates the document by it.
func (d *Document) note(g whose.Gap) {
	switch {
	case g.Cause == whose.CauseDeadline, g.Kind == whose.GapUsers:
		// Rows may be missing, or be under another user.
		d.Discovery, d.Absent = Discovery{}, nil
		d.Complete = false
	case g.Kind == whose.GapProcesses, g.Kind == whose.GapNamespaces: // Coverage counts them
	default:
		d.Complete = false
	}
	if len(d.Gaps) < maxGaps {
		g.Detail, g.Hint = Safe(g.Detail), Safe(g.Hint)
		d.Gaps.Add(g)
	}
}

// Failed returns the document of a collection without an answer, with the
// reason.
func Failed(version string, why whose.Gap) *Document {
	d := &Document{Schema: Schema, Version: version, Gaps: whose.Gaps{}}
	d.note(why)
	return d
}

// CutShort notes a deadline during the making of the document: it does not hold
// the whole collection.
func (d *Document) CutShort() {
	d.note(whose.Gap{Kind: whose.GapSessions, Cause: whose.CauseDeadline})
}

// leftOut notes n listeners and processes left out for want of room.
func (d *Document) leftOut(n int, why string) {
	d.Truncated += n
	d.note(whose.Gap{Kind: whose.GapRows, Cause: whose.CauseLimit, Count: n, Detail: why})
}

// totalsOf returns the totals, with the numbers of rows.
func totalsOf(c *tally.Totals, listeners, processes int) Totals {
	t := Totals{
		Sessions: c.Sessions, In: c.In, Out: c.Out, UDPEphemeral: c.Ephemeral, RemoteHosts: c.RemoteHosts,
		Listeners: listeners + c.BeyondListeners, Processes: processes + c.BeyondPrograms,
		TCP: map[string]int{}, UDP: map[string]int{},
	}
	for s := whose.Established; s <= whose.Closing; s++ {
		t.TCP[stateKey(s)] = c.TCP[s]
	}
	t.TCP[stateKey(whose.SynRecv)] += c.TCP[whose.NewSynRecv]
	t.UDP[stateKey(whose.Established)] = c.UDP[whose.Established]
	t.UDP[stateKey(whose.Unconn)] = c.UDP[whose.Unconn] + c.UDP[whose.Close]
	return t
}

func stateKey(s whose.State) string { return strings.ToLower(s.String()) }

func coverageOf(c *whose.Coverage) Coverage {
	v := Coverage{
		Owned: c.Owned, Ownerless: c.Unowned(), Hidden: c.Ownerless[whose.ReasonHidden], Reasons: map[string]int{},
	}
	for r := whose.ReasonNone + 1; int(r) < whose.NumReasons; r++ {
		v.Reasons[strings.ReplaceAll(r.String(), "-", "_")] = c.Ownerless[r]
	}
	v.ProcessesHidden, v.NamespacesHidden = c.Gaps.Count(whose.GapProcesses), c.Gaps.Count(whose.GapNamespaces)
	return v
}
