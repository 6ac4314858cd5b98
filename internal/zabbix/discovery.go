package zabbix

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
)

// less orders listeners by their facts, for a choice that is the same each time.
func less(a, b *listenerFacts) bool {
	return cmp.Or(
		cmp.Compare(a.netns, b.netns),
		cmp.Compare(a.process, b.process),
		cmp.Compare(a.user, b.user),
		cmp.Compare(a.unit, b.unit),
		cmp.Compare(a.container, b.container),
	) < 0
}

// netnsLabel names a namespace by what stays: nothing for the host's own, the
// name that `ip netns` gave, the container, or else the inode. A name that is
// that of some process in it is none that stays.
func (a *Aggregate) netnsLabel(inode uint32) string {
	if inode == a.opts.HostNetNS {
		return ""
	}
	if name := a.opts.NetNSNames[inode]; name != "" {
		return Safe(name)
	}
	if sp := a.spaces[inode]; sp != nil {
		if len(sp.name) == 12 && isHex(sp.name) || sp.name == sp.container && sp.name != "" {
			return Safe(sp.name)
		}
		if sp.container != "" {
			return Safe(sp.container)
		}
	}
	return strconv.FormatUint(uint64(inode), 10)
}

// listenerRows returns the rows of discovery in order, and the values beside
// them. Rows that have become the same by their names are one.
func (a *Aggregate) listenerRows() ([]ListenerRow, []Listener) {
	places := make([]int32, len(a.listeners))
	rows := make([]ListenerRow, len(a.listeners))
	for i := range a.listeners {
		places[i], rows[i] = int32(i), a.listenerRow(&a.listeners[i])
	}
	slices.SortFunc(places, func(x, y int32) int {
		a, b := &a.listeners[x].facts, &a.listeners[y].facts
		p, q := &rows[x], &rows[y]
		return cmp.Or(
			cmp.Compare(a.proto, b.proto), cmp.Compare(a.port, b.port), a.addr.Compare(b.addr),
			cmp.Compare(p.Addr, q.Addr), cmp.Compare(p.NetNS, q.NetNS), cmp.Compare(p.Process, q.Process),
			cmp.Compare(p.User, q.User), cmp.Compare(p.Unit, q.Unit), cmp.Compare(p.Container, q.Container),
			cmp.Compare(a.netns, b.netns),
		)
	})
	sorted := make([]ListenerRow, 0, len(rows))
	values := make([]Listener, 0, len(rows))
	ids := newIDs(len(rows))
	for _, at := range places {
		row, l := rows[at], &a.listeners[at]
		value := l.values
		value.QueueUsed, value.Holders = percent(l.full), l.holderText()
		id, known := ids.of(identity(&row))
		if known {
			merge(&values[id.place], &value)
			continue
		}
		row.ID = id.text
		sorted, values = append(sorted, row), append(values, value)
	}
	return sorted, values
}

func (a *Aggregate) listenerRow(l *listenerRow) ListenerRow {
	f := &l.facts
	row := ListenerRow{
		Proto: f.proto, Addr: f.addr.String(), Port: strconv.Itoa(int(f.port)), NetNS: a.netnsLabel(f.netns),
		Process: f.process, User: f.user, Unit: l.unit, Container: l.container, Ephemeral: "0",
	}
	if f.ephemeral {
		row.Ephemeral = "1"
	}
	return row
}

// identity is what makes a listener the same one in the next collection. The
// unit may change without its becoming another, unless nothing else is known
// of its owner.
func identity(r *ListenerRow) []string {
	facts := []string{"listener", r.Proto, r.Addr, r.Port, r.NetNS, r.Process, r.User}
	if r.Process == "" {
		facts = append(facts, r.Unit, r.Container)
	}
	return facts
}

// merge adds the values of a listener to those of another with the same facts.
func merge(into, from *Listener) {
	into.Sockets += from.Sockets
	into.Established += from.Established
	into.CloseWait += from.CloseWait
	into.SynRecv += from.SynRecv
	into.TimeWait += from.TimeWait
	into.Queue += from.Queue
	into.QueueLimit += from.QueueLimit
	into.QueueUsed = max(into.QueueUsed, from.QueueUsed)
	into.RemoteHosts += from.RemoteHosts
	into.Holders = least(into.Holders, from.Holders)
}

// percent rounds to two digits, so that a value does not look more exact than it is.
func percent(v float64) float64 { return float64(int64(v*100+0.5)) / 100 }

// processRows returns the rows of discovery in order, and the values beside them.
func (a *Aggregate) processRows() ([]ProcessRow, []Process) {
	places := make([]int32, len(a.processes))
	for i := range places {
		places[i] = int32(i)
	}
	slices.SortFunc(places, func(x, y int32) int {
		p, q := &a.processes[x].facts, &a.processes[y].facts
		return cmp.Or(cmp.Compare(p.process, q.process), cmp.Compare(p.unit, q.unit),
			cmp.Compare(p.container, q.container), cmp.Compare(p.user, q.user))
	})
	rows := make([]ProcessRow, len(places))
	values := make([]Process, len(places))
	ids := newIDs(len(places))
	for i, at := range places {
		f := &a.processes[at].facts
		id, _ := ids.of([]string{"process", f.process, f.unit, f.container, f.user})
		rows[i] = ProcessRow{ID: id.text, Process: f.process, Unit: f.unit, Container: f.container, User: f.user}
		values[i] = a.processes[at].values
	}
	return rows, values
}

// ids gives rows their ids: the beginning of a hash of their facts. Where two
// rows of a document would have the same, the later one is hashed again.
type ids struct {
	// hash is replaced in tests, to see what a collision does.
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

// of returns the id of the facts, and whether a row with the same facts has it.
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

// hashOf returns 12 hexadecimal digits. Each fact is told with its length, so
// that no two lists read the same.
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
