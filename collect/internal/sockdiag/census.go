package sockdiag

import (
	"bytes"

	"github.com/seed-44df2ae6/whose"
)

// A census counts the sockets of a network namespace by /proc/net/protocols and
// /proc/net/sockstat. It costs microseconds, while a dump may cost half a
// second. The zero value knows nothing, and leaves nothing out.
//
// The kernel counts there (sock_prot_inuse_add): TCP sockets while they are in
// the table of listeners or of connections, UDP and UDP-Lite sockets while they
// have a port, MPTCP sockets while they have a token or listen (since Linux
// 6.3). It counts TIME_WAIT apart. It does not count connections with an
// incomplete handshake (they can outlive their listener by a minute) and TCP
// sockets that are only bound. Only the number of all sockets of the namespace,
// of every kind, includes these.
type census struct {
	known bool
	// hasMPTCP and hasUDPLite: the kernel has the protocol at all.
	hasMPTCP, hasUDPLite bool
	// countsMPTCP: the numbers of mptcp can be trusted.
	countsMPTCP bool
	// Sockets in use by protocol: of IPv4, of IPv6.
	tcp, udp, udpLite, mptcp [2]int
	// timeWait counts TIME_WAIT of both families, all every socket.
	timeWait, all int
}

// parseCensus reads the two files. A line of another form makes the census
// unknown.
func parseCensus(protocols, sockstat []byte) census {
	c := census{known: true}
	seen := 0
	for len(protocols) > 0 {
		var line []byte
		line, protocols, _ = bytes.Cut(protocols, []byte("\n"))
		name, rest := field(line)
		n := c.counter(string(name))
		if n == nil {
			continue
		}
		_, rest = field(rest) // size of a socket
		count, _ := field(rest)
		ok := false
		if *n, ok = number(count); !ok {
			return census{}
		}
		seen++
	}
	tw, ok := sockstatNumber(sockstat, "TCP:", "tw")
	all, ok2 := sockstatNumber(sockstat, "sockets:", "used")
	if !ok || !ok2 || seen < 2 {
		return census{}
	}
	c.timeWait, c.all = tw, all
	return c
}

// counter returns the count of a protocol's sockets, by its name in
// /proc/net/protocols; nil for others.
func (c *census) counter(name string) *int {
	switch name {
	case "TCP":
		return &c.tcp[0]
	case "TCPv6":
		return &c.tcp[1]
	case "UDP":
		return &c.udp[0]
	case "UDPv6":
		return &c.udp[1]
	case "UDP-Lite":
		c.hasUDPLite = true
		return &c.udpLite[0]
	case "UDPLITEv6":
		c.hasUDPLite = true
		return &c.udpLite[1]
	case "MPTCP":
		c.hasMPTCP = true
		return &c.mptcp[0]
	case "MPTCPv6":
		c.hasMPTCP = true
		return &c.mptcp[1]
	}
	return nil
}

// larger returns the larger number of each: zero if both are. It is unknown if
// either is.
func (c census) larger(o census) census {
	if !o.known {
		return o
	}
	for i := range c.tcp {
		c.tcp[i] = max(c.tcp[i], o.tcp[i])
		c.udp[i] = max(c.udp[i], o.udp[i])
		c.udpLite[i] = max(c.udpLite[i], o.udpLite[i])
		c.mptcp[i] = max(c.mptcp[i], o.mptcp[i])
	}
	c.timeWait, c.all = max(c.timeWait, o.timeWait), max(c.all, o.all)
	c.hasMPTCP, c.hasUDPLite = c.hasMPTCP || o.hasMPTCP, c.hasUDPLite || o.hasUDPLite
	return c
}

// tcpTotal counts TCP sockets in use, TIME_WAIT not among them.
func (c *census) tcpTotal() int { return c.tcp[0] + c.tcp[1] }

// noTCP reports whether a namespace certainly holds no TCP socket in the wanted
// kernel states. own is the number of our own sockets there.
func (c *census) noTCP(states uint32, own int) bool {
	if !c.onlyListeners(states, 0) {
		return false
	}
	return states&uncounted == 0 || c.all <= own
}

// uncounted are the states in which a TCP socket is not counted as in use.
const uncounted = 1<<stateSynRecv | 1<<stateClose | 1<<stateBoundInactive

// countedApart are the states counted as TIME_WAIT: a connection waiting in
// FIN_WAIT2 without its process is kept in the same form.
const countedApart = 1<<stateFinWait2 | 1<<stateTimeWait

// onlyListeners reports whether the namespace holds, beside as many listeners,
// no counted TCP socket in the wanted states.
func (c *census) onlyListeners(states uint32, listeners int) bool {
	return c.known && c.tcpTotal() == listeners && (c.timeWait == 0 || states&countedApart == 0)
}

// none reports whether the namespace certainly holds no socket of a protocol
// other than TCP and of an address family.
func (c *census) none(p whose.Proto, f whose.Family) bool {
	if !c.known {
		return false
	}
	i := 0
	if f == whose.IPv6 {
		i = 1
	}
	switch p {
	case whose.UDP:
		return c.udp[i] == 0
	case whose.UDPLite:
		return c.udpLite[i] == 0
	case whose.MPTCP:
		return !c.hasMPTCP || c.countsMPTCP && c.mptcp[i] == 0
	}
	return false
}

// sockets estimates how many sockets a dump will bring.
func (c *census) sockets() int {
	return c.tcpTotal() + c.timeWait + c.udp[0] + c.udp[1] + c.udpLite[0] + c.udpLite[1]
}

// sockstatNumber finds a number in /proc/net/sockstat by the first word of the
// line and the word before the number.
func sockstatNumber(b []byte, line, key string) (int, bool) {
	for len(b) > 0 {
		var l []byte
		l, b, _ = bytes.Cut(b, []byte("\n"))
		word, rest := field(l)
		if string(word) != line {
			continue
		}
		for len(rest) > 0 {
			var k, v []byte
			k, rest = field(rest)
			v, rest = field(rest)
			if string(k) == key {
				return number(v)
			}
		}
	}
	return 0, false
}

// field cuts the first word off a line.
func field(b []byte) (word, rest []byte) {
	b = bytes.TrimLeft(b, " ")
	if i := bytes.IndexByte(b, ' '); i >= 0 {
		return b[:i], b[i:]
	}
	return b, nil
}

// number reads a decimal number of at most nine digits, which fits an int.
func number(b []byte) (int, bool) {
	if len(b) == 0 || len(b) > 9 {
		return 0, false
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}
