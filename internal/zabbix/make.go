package zabbix

import (
	"fmt"
	"strings"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/tally"
)

// maxReasons bounds the reasons that a document gives.
const maxReasons = 16

// Options are what a document says that was not counted.
type Options struct {
	// Version of whose.
	Version string
	// NetNSNames are the names that `ip netns` gave, by inode.
	NetNSNames map[uint32]string
}

// A writer makes the rows of one document.
type writer struct {
	count *tally.HostCount
	opts  Options
}

// NewDocument makes the document of what was counted, with the account of the
// collection.
func NewDocument(count *tally.HostCount, c *whose.Coverage, opts Options) *Document {
	w := &writer{count: count, opts: opts}
	listeners, listenerValues := w.listenerRows()
	processes, processValues := w.processRows()
	d := &Document{
		Schema: Schema, Version: opts.Version, Source: c.Source, Pinned: c.Pinned,
		Duration: c.Duration.Seconds(), Complete: true, Reasons: []string{},
		Coverage:  coverageOf(c),
		Truncated: count.Totals.BeyondListeners + count.Totals.BeyondPrograms,
		Totals:    totalsOf(&count.Totals, len(listeners), len(processes)),
		Discovery: Discovery{Listeners: listeners, Processes: processes}, Absent: new(Absent),
		Listeners: make(map[string]Listener, len(listeners)), Processes: make(map[string]Process, len(processes)),
	}
	for i := range listeners {
		d.Listeners[listeners[i].ID] = listenerValues[i]
	}
	for i := range processes {
		d.Processes[processes[i].ID] = processValues[i]
	}
	for _, g := range c.Gaps {
		d.note(g.Kind, gapText(g))
	}
	if d.Truncated > 0 {
		d.Complete = false
		d.because(fmt.Sprintf("%d listeners and processes are more than are kept", d.Truncated))
	}
	return d
}

// gapText says a gap in a line: "12 processes not looked into: permission denied".
func gapText(g whose.Gap) string {
	var one, more, what string
	switch g.Kind {
	case whose.GapProcesses:
		one, more, what = "process", "processes", "not looked into"
	case whose.GapNamespaces:
		one, more, what = "network namespace", "network namespaces", "not looked into"
	case whose.GapInterrupted:
		one, more, what = "table", "tables", "changed while being read"
	case whose.GapSockets:
		one, more, what = "socket", "sockets", "not read"
	case whose.GapDeadline:
		return g.Why
	default:
		return g.String()
	}
	count := fmt.Sprint(g.Count)
	switch g.Count {
	case 0:
		count = "some"
	case 1:
		more = one
	}
	return count + " " + more + " " + what + ": " + g.Why
}

// note tells of a gap.
func (d *Document) note(kind whose.GapKind, text string) {
	switch kind {
	case whose.GapProcesses, whose.GapNamespaces: // told by the coverage
	case whose.GapDeadline:
		d.Discovery, d.Absent = Discovery{}, nil
		d.Complete = false
	default:
		d.Complete = false
	}
	d.because(text)
}

// because adds a reason, up to a bound.
func (d *Document) because(text string) {
	if len(d.Reasons) < maxReasons {
		d.Reasons = append(d.Reasons, Safe(text))
	}
}

// Failed returns the document of a collection that gave nothing, and why.
func Failed(version string, reasons ...string) *Document {
	d := &Document{Schema: Schema, Version: version, Reasons: []string{}}
	for _, r := range reasons {
		d.because(r)
	}
	return d
}

// CutShort notes that the document does not tell all that was collected, since
// the time ran out while it was made.
func (d *Document) CutShort(reason string) { d.note(whose.GapDeadline, reason) }

// totalsOf returns the totals, with how many rows there are.
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
	for _, g := range c.Gaps {
		switch g.Kind {
		case whose.GapProcesses:
			v.ProcessesHidden += max(1, g.Count)
		case whose.GapNamespaces:
			v.NamespacesHidden += max(1, g.Count)
		}
	}
	return v
}
