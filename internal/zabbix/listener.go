package zabbix

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/seed-44df2ae6/whose"
)

// listenerFacts are what the sockets of one listener share.
type listenerFacts struct {
	netns     uint32
	port      uint16
	proto     string
	addr      netip.Addr
	process   string
	user      string
	ephemeral bool
	// unit and container tell listeners apart whose process is hidden.
	unit, container string
}

// A listenerRow gathers what is counted of a listener.
type listenerRow struct {
	facts listenerFacts
	// unit and container of the process, which may be moved without becoming
	// another listener.
	unit, container string
	// row is the place of the row of processes, -1 for none.
	row    int32
	v6only bool
	// full is the fullest accept queue of its sockets in percent.
	full    float64
	holders []string
	values  Listener
}

// maxHolders bounds the names of those who hold one listener.
const maxHolders = 8

// addListener counts a listening socket. row is the place of the processes
// that have held it longest.
func (a *Aggregate) addListener(s *whose.Session, row int32) {
	ephemeral := a.isEphemeral(s)
	if ephemeral {
		a.ephemeral++
		if !a.opts.Ephemeral {
			return
		}
	}
	l := a.listener(a.factsOf(s, row, ephemeral))
	if l == nil {
		return
	}
	if l.values.Sockets == 0 {
		l.row, l.v6only = row, s.V6Only
	}
	l.values.Sockets++
	l.v6only = l.v6only && s.V6Only
	if row >= 0 {
		l.unit = least(l.unit, a.processes[row].facts.unit)
		l.container = least(l.container, a.processes[row].facts.container)
	}
	for i := range s.Owners {
		l.heldBy(commName(s.Owners[i].Comm))
	}
	if s.State == whose.Listen {
		l.values.Queue += uint64(s.RecvQueue)
		l.values.QueueLimit += uint64(s.SendQueue)
		if s.SendQueue > 0 {
			l.full = max(l.full, 100*float64(s.RecvQueue)/float64(s.SendQueue))
		}
	}
}

// factsOf returns the facts of the listener that the socket belongs to.
func (a *Aggregate) factsOf(s *whose.Session, row int32, ephemeral bool) listenerFacts {
	f := listenerFacts{
		netns: s.NetNS, port: s.Local.Port(), proto: protoName(s.Proto), addr: localAddr(s), ephemeral: ephemeral,
	}
	switch {
	case row >= 0:
		of := &a.processes[row].facts
		f.process, f.user = of.process, of.user
		if f.process == "" {
			f.unit, f.container = of.unit, of.container
		}
	case s.Reason == whose.ReasonKernel:
		f.process, f.user = kernelProcess, Safe(s.User)
	default:
		f.user = Safe(s.User)
	}
	return f
}

// protoName is the protocol as an administrator knows it: MPTCP takes plain TCP
// on the same ports.
func protoName(p whose.Proto) string {
	if isStream(p) {
		return whose.TCP.String()
	}
	return p.String()
}

// listener returns the row with the facts, nil where there are too many.
func (a *Aggregate) listener(facts listenerFacts) *listenerRow {
	at, ok := a.byListener[facts]
	if !ok {
		if len(a.listeners) >= maxRows {
			a.droppedListeners++
			return nil
		}
		at = int32(len(a.listeners))
		a.listeners = append(a.listeners, listenerRow{facts: facts, row: -1})
		a.byListener[facts] = at
	}
	return &a.listeners[at]
}

// least returns the lesser of two texts that is not empty.
func least(a, b string) string {
	if a == "" || b != "" && b < a {
		return b
	}
	return a
}

// heldBy notes the name of one who holds the listener.
func (l *listenerRow) heldBy(name string) {
	at, known := slices.BinarySearch(l.holders, name)
	if !known && len(l.holders) < maxHolders {
		l.holders = slices.Insert(l.holders, at, name)
	}
}

func (l *listenerRow) holderText() string { return Safe(strings.Join(l.holders, ", ")) }
