package whose

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Proto is a transport protocol.
type Proto uint8

// The protocols. The zero value is none of them.
const (
	TCP     Proto = 1
	UDP     Proto = 2
	UDPLite Proto = 3
	// MPTCP is a Multipath TCP session; its TCP subflows are not listed beside it.
	MPTCP Proto = 4
)

// IsDatagram reports whether the protocol is one of datagrams: UDP or UDP-Lite.
func (p Proto) IsDatagram() bool { return p == UDP || p == UDPLite }

// A Family is an address family.
type Family uint8

// The families. The zero value is neither.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// A State is the state of a session. The numbers are the kernel's
// (include/net/tcp_states.h) but for Unconn.
type State uint8

// The states. The zero value is none of them.
const (
	Established State = 1
	SynSent     State = 2
	SynRecv     State = 3
	FinWait1    State = 4
	FinWait2    State = 5
	TimeWait    State = 6
	Close       State = 7
	CloseWait   State = 8
	LastAck     State = 9
	Listen      State = 10
	Closing     State = 11
	// NewSynRecv is a request socket: a connection whose handshake is not
	// complete. All sources show it as SYN_RECV; the number is here for values
	// read elsewhere.
	NewSynRecv State = 12
	// Unconn is a bound UDP socket without a remote end. The kernel numbers it
	// 7, as TCP's CLOSE.
	Unconn State = 14
)

// A Direction is the side that began a session.
type Direction uint8

// The directions. Listeners have none, the zero value, nor have sessions of which
// nothing decides. The socket itself knows, and the source bpf asks it. Of UDP,
// and by the sources netlink and procfs, a session comes in if a listener of the
// same namespace takes its local address and port, and else goes out.
const (
	// In: this end was accepted.
	In Direction = 1
	// Out: this end connected. Both ends did where they connected to each other at
	// once.
	Out Direction = 2
)

// A Reason is the reason for a session without owners.
type Reason uint8

// The reasons. A session with owners has ReasonNone, the zero value.
const (
	ReasonNone Reason = iota
	// ReasonKernel: the kernel itself made the socket.
	ReasonKernel
	// ReasonAcceptQueue: the connection waits in a listener's accept queue.
	ReasonAcceptQueue
	// ReasonInFlight: an open file outside all descriptor tables: in transit over
	// a UNIX socket, or registered with io_uring.
	ReasonInFlight
	// ReasonOrphan: closed by its process and still being wound up by the
	// kernel. TIME_WAIT and SYN_RECV are of this kind by nature.
	ReasonOrphan
	// ReasonHidden: its process was not read, for want of permission or time.
	ReasonHidden
	// ReasonRaced: it vanished during the collection.
	ReasonRaced
	// ReasonUnheld: no process holds it, and the source cannot distinguish the
	// kernel's own sockets from those in flight.
	ReasonUnheld

	numReasons
)

// NumReasons is the number of reasons, ReasonNone included.
const NumReasons = int(numReasons)

// enum is a table of names by number; an empty name is not a value.
type enum []string

var (
	protoNames     = enum{TCP: "tcp", UDP: "udp", UDPLite: "udplite", MPTCP: "mptcp"}
	familyNames    = enum{IPv4: "ipv4", IPv6: "ipv6"}
	directionNames = enum{In: "in", Out: "out"}
	stateNames     = enum{
		Established: "ESTABLISHED", SynSent: "SYN_SENT", SynRecv: "SYN_RECV",
		FinWait1: "FIN_WAIT1", FinWait2: "FIN_WAIT2", TimeWait: "TIME_WAIT",
		Close: "CLOSE", CloseWait: "CLOSE_WAIT", LastAck: "LAST_ACK",
		Listen: "LISTEN", Closing: "CLOSING", NewSynRecv: "NEW_SYN_RECV", Unconn: "UNCONN",
	}
	reasonNames = enum{
		ReasonKernel: "kernel", ReasonAcceptQueue: "accept-queue", ReasonInFlight: "in-flight",
		ReasonOrphan: "orphan", ReasonHidden: "hidden", ReasonRaced: "raced", ReasonUnheld: "unheld",
	}
)

// name returns the name of v, "" for zero, and the number of a nameless value.
func (e enum) name(v uint8) string {
	switch {
	case int(v) < len(e) && e[v] != "":
		return e[v]
	case v == 0:
		return ""
	}
	return strconv.Itoa(int(v))
}

// number returns the number of a name, 0 for none.
func (e enum) number(name string) uint8 {
	for v, n := range e {
		if n == name && n != "" {
			return uint8(v)
		}
	}
	return 0
}

// names returns all names in the order of their numbers.
func (e enum) names() []string {
	var all []string
	for _, n := range e {
		if n != "" {
			all = append(all, n)
		}
	}
	return all
}

// valuesOf returns all named values in the order of their numbers.
func valuesOf[T ~uint8](e enum) []T {
	var all []T
	for v, n := range e {
		if n != "" {
			all = append(all, T(v))
		}
	}
	return all
}

// parse sets v to the number of a name.
func (e enum) parse(what, name string, v *uint8) error {
	if *v = e.number(name); *v == 0 {
		return fmt.Errorf("%s %q: want one of %s", what, name, strings.Join(e.names(), ", "))
	}
	return nil
}

// String returns the name as in filters and JSON: "tcp".
func (p Proto) String() string { return protoNames.name(uint8(p)) }

// String returns "ipv4" or "ipv6".
func (f Family) String() string { return familyNames.name(uint8(f)) }

// String returns the state's usual name: "ESTABLISHED".
func (s State) String() string { return stateNames.name(uint8(s)) }

// String returns "in", "out" or "".
func (d Direction) String() string { return directionNames.name(uint8(d)) }

// String returns the reason's name: "accept-queue", or "" for ReasonNone.
func (r Reason) String() string { return reasonNames.name(uint8(r)) }

// A Set is a set of protocols, families, states or other small numbers of one
// type. The zero value is empty. Sets are joined by |, intersected by & and
// subtracted by &^.
type Set[T ~uint8] uint32

// SetOf returns the set of the given values. Each must be below 32.
func SetOf[T ~uint8](values ...T) Set[T] {
	var s Set[T]
	for _, v := range values {
		s |= 1 << v
	}
	return s
}

// Has reports whether v is in the set.
func (s Set[T]) Has(v T) bool { return s>>v&1 != 0 }

// AllProtos are all protocols.
const AllProtos = Set[Proto](1<<TCP | 1<<UDP | 1<<UDPLite | 1<<MPTCP)

// AllFamilies are both families.
const AllFamilies = Set[Family](1<<IPv4 | 1<<IPv6)

// AllStates are all states.
const AllStates = Set[State](1<<Unconn | (1<<(NewSynRecv+1) - 1) - 1)

// Listeners are the states of listeners, TCP and UDP.
const Listeners = Set[State](1<<Listen | 1<<Unconn)

// DefaultStates are the states that the listing shows where nothing else is
// asked for: those of listeners and of established sessions.
const DefaultStates = Set[State](1<<Listen | 1<<Established | 1<<Unconn)

// NumStates is one more than the greatest number of a [State].
const NumStates = int(Unconn) + 1

// StateCounts counts sessions by their [State]. The zero value counts none.
type StateCounts [NumStates]int

// String returns the counts that are not zero, in the order of the names: "5
// CLOSE_WAIT, 61 TIME_WAIT". It is empty for none.
func (c *StateCounts) String() string {
	var parts []string
	for _, name := range slices.Sorted(slices.Values(stateNames.names())) {
		if n := c[stateNames.number(name)]; n > 0 {
			parts = append(parts, strconv.Itoa(n)+" "+name)
		}
	}
	return strings.Join(parts, ", ")
}
