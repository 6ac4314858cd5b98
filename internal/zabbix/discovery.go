package zabbix

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-44df2ae6/whose/internal/tally"
)

// kernelProcess is the name of the process of a listener held by the kernel.
const kernelProcess = "[kernel]"

// manyPorts stands for the address and the port of the UDP sockets of a process
// that has too many for a row each.
const manyPorts = "*"

// commName is the name of a known process. A process without a name, or with
// nothing but spaces, must not look hidden.
func commName(comm string) string {
	if name := Safe(comm); name != "" {
		return name
	}
	return "?"
}

// programName is the name of a program's processes, empty if they are hidden.
func programName(p *tally.Program) string {
	if p.Hidden {
		return ""
	}
	return commName(p.Name)
}

// safeNames are the names of a container, made safe.
func safeNames(n *tally.ContainerNames) ContainerNames {
	return ContainerNames{Name: Safe(n.Container), Image: Safe(n.Image), Pod: Safe(n.Pod), PodNamespace: Safe(n.PodNamespace)}
}

// netnsLabel names a namespace by stable facts: nothing for the host's own, its
// name in `ip netns`, the pod or container, or else the inode.
func (w *writer) netnsLabel(inode uint32) string {
	space := w.count.Spaces[inode]
	if space == nil {
		return ""
	}
	if name := cmp.Or(w.opts.NetNSNames[inode], space.Stable()); name != "" {
		return Safe(name)
	}
	return strconv.FormatUint(uint64(inode), 10)
}

// listenerRows returns the rows of discovery in order, and their values. Rows
// with equal names are merged. shares notes whose they are.
func (w *writer) listenerRows(shares map[string]tally.Share) ([]ListenerRow, []Listener) {
	all := w.count.Listeners
	places := make([]int32, len(all))
	rows := make([]ListenerRow, len(all))
	for i := range all {
		places[i], rows[i] = int32(i), w.listenerRow(&all[i])
	}
	slices.SortFunc(places, func(x, y int32) int {
		a, b := &all[x].Key, &all[y].Key
		p, q := &rows[x], &rows[y]
		return cmp.Or(
			cmp.Compare(p.Proto, q.Proto), cmp.Compare(a.Port, b.Port), a.Addr.Compare(b.Addr),
			cmp.Compare(p.Addr, q.Addr), cmp.Compare(p.NetNS, q.NetNS), cmp.Compare(p.Process, q.Process),
			cmp.Compare(p.User, q.User), cmp.Compare(p.Unit, q.Unit), cmp.Compare(p.Container, q.Container),
			cmp.Compare(a.NetNS, b.NetNS),
		)
	})
	sorted := make([]ListenerRow, 0, len(rows))
	values := make([]Listener, 0, len(rows))
	ids := newIDs(len(rows))
	for _, at := range places {
		row := rows[at]
		value := listenerOf(&all[at].Sum, w.count.Totals.LimitUnknown)
		id, known := ids.of(identity(&row))
		if known {
			mergeListener(&values[id.place], &value)
			continue
		}
		row.ID = id.text
		shares[id.text] = w.count.ListenerShares[at]
		sorted, values = append(sorted, row), append(values, value)
	}
	return sorted, values
}

func (w *writer) listenerRow(l *tally.Group[tally.ListenerKey, tally.Listener]) ListenerRow {
	k := &l.Key
	row := ListenerRow{
		Proto: k.Proto.String(), Addr: k.Addr.WithZone(Safe(k.Addr.Zone())).String(), Port: strconv.Itoa(int(k.Port)),
		NetNS: w.netnsLabel(k.NetNS), Process: programName(&k.By), User: Safe(k.By.User),
		Unit: Safe(l.Sum.Unit), Container: Safe(l.Sum.Container), Ephemeral: "0",
		ContainerNames: safeNames(&l.Sum.Names),
	}
	if k.Many() {
		row.Addr, row.Port = manyPorts, manyPorts
	}
	if k.Kernel {
		row.Process = kernelProcess
	}
	if k.Ephemeral {
		row.Ephemeral = "1"
	}
	return row
}

// listenerOf makes the values of a listener, with safe names.
func listenerOf(l *tally.Listener, limitUnknown bool) Listener {
	var holders []string
	for _, name := range l.Holders {
		holders = append(holders, commName(name))
	}
	slices.Sort(holders)
	v := Listener{
		Sockets: l.Sockets, Holders: Safe(strings.Join(slices.Compact(holders), ", ")),
		Established: l.Established, CloseWait: l.CloseWait, SynRecv: l.SynRecv, TimeWait: l.TimeWait,
		Queue: l.Queue, RemoteHosts: l.RemoteHosts,
	}
	v.setLimit(l.QueueLimit, l.QueueUsed, limitUnknown)
	return v
}

// identity returns the facts for recognizing a listener in the next collection.
// A change of the unit keeps the identity, unless the unit is all that is known
// of the owner.
func identity(r *ListenerRow) []string {
	facts := []string{"listener", r.Proto, r.Addr, r.Port, r.NetNS, r.Process, r.User}
	if r.Process == "" {
		facts = append(facts, r.Unit, r.Container)
	}
	return facts
}

// mergeListener adds the values of a listener to another with the same facts.
func mergeListener(into, from *Listener) {
	into.Sockets += from.Sockets
	into.Established += from.Established
	into.CloseWait += from.CloseWait
	into.SynRecv += from.SynRecv
	into.TimeWait += from.TimeWait
	into.Queue += from.Queue
	if into.QueueLimit != nil && from.QueueLimit != nil {
		*into.QueueLimit += *from.QueueLimit
		*into.QueueUsed = max(*into.QueueUsed, *from.QueueUsed)
	}
	into.RemoteHosts += from.RemoteHosts
	into.Holders = least(into.Holders, from.Holders)
}

// least returns the lesser of two texts, leaving out empty ones.
func least(a, b string) string {
	if a == "" || b != "" && b < a {
		return b
	}
	return a
}

// setLimit sets the limit of waiting connections and the part in use, unless the
// source does not know the limit.
func (l *Listener) setLimit(limit uint64, full float64, unknown bool) {
	if !unknown {
		used := percent(full)
		l.QueueLimit, l.QueueUsed = &limit, &used
	}
}

// percent rounds to two digits: a value must not look more exact than it is.
func percent(v float64) float64 { return float64(int64(v*100+0.5)) / 100 }

// processRows returns the rows of discovery in order, and their values. Programs
// with equal names are one row.
func (w *writer) processRows(shares map[string]tally.Share) ([]ProcessRow, []Process) {
	all := w.count.Programs
	rows := make([]ProcessRow, len(all))
	places := make([]int32, len(all))
	for i := range all {
		p := &all[i].Key
		places[i] = int32(i)
		rows[i] = ProcessRow{Process: programName(p), Unit: Safe(p.Unit), Container: Safe(p.Container), User: Safe(p.User), ContainerNames: safeNames(&p.Names)}
	}
	slices.SortFunc(places, func(x, y int32) int {
		p, q := &rows[x], &rows[y]
		return cmp.Or(cmp.Compare(p.Process, q.Process), cmp.Compare(p.Unit, q.Unit),
			cmp.Compare(p.Container, q.Container), cmp.Compare(p.User, q.User))
	})
	sorted := make([]ProcessRow, 0, len(rows))
	values := make([]Process, 0, len(rows))
	ids := newIDs(len(rows))
	for _, at := range places {
		row, value := rows[at], Process(all[at].Sum)
		id, known := ids.of([]string{"process", row.Process, row.Unit, row.Container, row.User})
		if known {
			mergeProcess(&values[id.place], &value)
			continue
		}
		row.ID = id.text
		shares[id.text] = w.count.ProgramShares[at]
		sorted, values = append(sorted, row), append(values, value)
	}
	return sorted, values
}

// mergeProcess adds the values of a program to another with the same names. A
// session held by both then counts twice.
func mergeProcess(into, from *Process) {
	into.Processes += from.Processes
	into.Sessions += from.Sessions
	into.Listening += from.Listening
	into.Established += from.Established
	into.CloseWait += from.CloseWait
	into.TimeWait += from.TimeWait
	into.SynSent += from.SynSent
	into.Other += from.Other
	into.UDP += from.UDP
	into.In += from.In
	into.Out += from.Out
	into.RemoteHosts += from.RemoteHosts
}

// ids assigns ids to rows: the beginning of a hash of their facts. On a
// collision in a document, the later row is hashed again.
type ids struct {
	// hash is replaced in tests, to provoke a collision.
	hash  func(facts []string, attempt int) string
	taken map[string]int
	facts [][]string
}

// An id and the place of its row.
type id struct {
	text  string
	place int
}

func newIDs(n int) *ids { return &ids{hash: hashOf, taken: make(map[string]int, n)} }

// of returns the id of the facts and reports whether a row with the same facts
// has it already.
func (x *ids) of(facts []string) (id, bool) {
	for attempt := 0; ; attempt++ {
		text := x.hash(facts, attempt)
		place, taken := x.taken[text]
		if !taken {
			x.taken[text] = len(x.facts)
			x.facts = append(x.facts, facts)
			return id{text, len(x.facts) - 1}, false
		}
		if slices.Equal(x.facts[place], facts) {
			return id{text, place}, true
		}
	}
}

// hashOf returns 12 hexadecimal digits. Each fact is hashed with its length, so
// no two lists read the same.
func hashOf(facts []string, attempt int) string {
	var buf []byte
	for _, f := range facts {
		buf = binary.AppendUvarint(buf, uint64(len(f)))
		buf = append(buf, f...)
	}
	if attempt > 0 {
		buf = binary.AppendUvarint(buf, uint64(attempt))
	}
	sum := sha256.Sum256(buf)
	return hex.EncodeToString(sum[:6])
}
