// What the judge says of UDP.

package track_test

import (
	"net/netip"

	"github.com/seed-44df2ae6/whose"
)

// udp judges all that was told of UDP.
func (j *judge) udp(events map[uint64][]told) {
	flows := make(map[flowID][]told)
	for cookie, es := range events {
		for _, e := range es {
			switch e.Kind {
			case whose.EventBind:
				j.bind(cookie, &e)
			case whose.EventOpen, whose.EventClose, whose.EventOwned:
				id := flowID{cookie, e.Session.Remote}
				flows[id] = append(flows[id], e)
			case whose.EventStanding: // a socket, no flow
			default:
				j.accuse(spurious, cookie, "%s", describe(&e))
			}
		}
	}
	j.binds(events)
	if j.noFlows {
		return
	}
	for id, f := range j.truth.flows {
		unknown := j.blindPart(id, f, flows)
		j.flow(id, f, flows[id], unknown)
		delete(flows, id)
	}
	for id, es := range flows {
		if es[0].Kind != whose.EventOwned {
			j.accuse(spurious, id.cookie, "%s", describe(&es[0]))
		}
	}
}

// binds finds binds that were not told once.
func (j *judge) binds(events map[uint64][]told) {
	for cookie, b := range j.truth.binds {
		n := 0
		for _, e := range events[cookie] {
			if e.Kind == whose.EventBind {
				n++
			}
		}
		switch {
		case n == 0:
			j.accuse(missing, cookie, "bind to %v", b.local)
		case n > 1:
			j.accuse(doubled, cookie, "bind to %v", b.local)
		}
	}
}

func (j *judge) bind(cookie uint64, e *told) {
	b, ok := j.truth.binds[cookie]
	if !ok {
		j.accuse(spurious, cookie, "%s", describe(e))
		return
	}
	if e.Session.Local != b.local {
		j.accuse(wrongAddr, cookie, "%s: want %v", describe(e), b.local)
	}
	j.flowOwner(cookie, e, b.owner)
}

// blindPart takes away the flow of datagrams from nobody knows where that
// belongs to a flow of a blind socket, and returns what it received.
func (j *judge) blindPart(id flowID, f *trueFlow, flows map[flowID][]told) (received uint64) {
	if !f.blind {
		return 0
	}
	for _, nowhere := range []netip.AddrPort{
		netip.AddrPortFrom(netip.IPv4Unspecified(), 0), netip.AddrPortFrom(netip.IPv6Unspecified(), 0), {},
	} {
		for _, e := range flows[flowID{id.cookie, nowhere}] {
			if e.Kind == whose.EventClose {
				received += e.Received.Bytes
			}
		}
		delete(flows, flowID{id.cookie, nowhere})
	}
	return received
}

// flow judges one flow. What came from nobody knows where counts for it.
func (j *judge) flow(id flowID, f *trueFlow, events []told, unknown uint64) {
	counts := make(map[whose.EventKind]int)
	for i := range events {
		e := &events[i]
		counts[e.Kind]++
		if e.Session.NetNS != f.netns {
			j.accuse(wrongNetNS, id.cookie, "%s: want %d", describe(e), f.netns)
		}
		if e.Session.Family != f.family {
			j.accuse(wrongFamily, id.cookie, "%s: want %v", describe(e), f.family)
		}
		if e.Session.Local.Port() != f.local.Port() {
			j.accuse(wrongAddr, id.cookie, "%s: local is %v", describe(e), f.local)
		}
		if e.Kind == whose.EventOpen {
			j.flowOwner(id.cookie, e, f.owner)
		}
		if e.Kind == whose.EventClose {
			j.flowClose(id, f, e, unknown)
		}
	}
	for _, k := range []whose.EventKind{whose.EventOpen, whose.EventClose} {
		switch n := counts[k]; {
		case n == 0:
			j.accuse(missing, id.cookie, "%v of the flow %v>%v of %d", k, f.local, id.remote, f.owner.pid)
		case n > 1:
			j.accuse(doubled, id.cookie, "%d times %v of the flow %v>%v of %d", n, k, f.local, id.remote, f.owner.pid)
		}
	}
	if counts[whose.EventOpen] == 1 && counts[whose.EventClose] == 1 && events[0].Kind == whose.EventClose {
		j.accuse(disordered, id.cookie, "%s before its open", describe(&events[0]))
	}
}

func (j *judge) flowClose(id flowID, f *trueFlow, e *told, unknown uint64) {
	if e.Sent != (whose.Traffic{Bytes: f.sent, Datagrams: f.dgramsSent}) {
		j.accuse(wrongBytes, id.cookie, "%s: sent %v, not %d in %d", describe(e), e.Sent, f.sent, f.dgramsSent)
	}
	if f.blind {
		if got := e.Received.Bytes + unknown; got != f.received {
			j.accuse(wrongBytes, id.cookie, "%s: received %d, not %d, by calls that do not say from where", describe(e), got, f.received)
		}
	} else if e.Received != (whose.Traffic{Bytes: f.received, Datagrams: f.dgramsRecvd}) {
		j.accuse(wrongBytes, id.cookie, "%s: received %v, not %d in %d", describe(e), e.Received, f.received, f.dgramsRecvd)
	}
	if e.End != whose.EndClosed {
		j.accuse(wrongEnd, id.cookie, "%s: %q, want closed", describe(e), e.End)
	}
}

// flowOwner wants exactly one owner.
func (j *judge) flowOwner(cookie uint64, e *told, want procID) {
	named := e.Session.Owners
	if len(named) != 1 || !j.is(&named[0], want) {
		j.accuse(wrongOwner, cookie, "%s: want %d", describe(e), want.pid)
		return
	}
	j.name(cookie, &named[0], false)
}
