package render

import (
	"net/netip"

	"github.com/seed-44df2ae6/whose"
)

// An access reads one field of a session without making a whose.Value of it:
// moving that from hand to hand is most of what a line of JSON would cost, and
// this halves it. It gives what [whose.Field.Value] gives, as a test shows for
// every field; those that are not listed here go through it.
type access uint8

const (
	byTable access = iota
	proto
	family
	localAddr
	localPort
	remoteAddr
	remotePort
	state
	inode
	cookie
	uid
	user
	netns
	netnsName
	direction
	recvQueue
	sendQueue
	boundDev
	scope
	v6only
	mark
	reason
	socketUnit
	socketContainer
	rtt
	retrans
	bytesSent
	bytesReceived
)

// accessNames are the names of the fields by access.
var accessNames = [...]string{
	proto: "proto", family: "family", localAddr: "local_addr", localPort: "local_port",
	remoteAddr: "remote_addr", remotePort: "remote_port", state: "state", inode: "inode",
	cookie: "cookie", uid: "uid", user: "user", netns: "netns", netnsName: "netns_name",
	direction: "direction", recvQueue: "recv_queue", sendQueue: "send_queue",
	boundDev: "bound_dev", scope: "scope", v6only: "v6only", mark: "mark", reason: "reason",
	socketUnit: "socket_unit", socketContainer: "socket_container",
	rtt: "rtt", retrans: "retrans", bytesSent: "bytes_sent", bytesReceived: "bytes_received",
}

func accessTo(f *whose.Field) access {
	for a, name := range accessNames {
		if name == f.Name && access(a) != byTable {
			return access(a)
		}
	}
	return byTable
}

// steady reports whether the field is the same for most sessions of a host: for
// all that are alike.
func (a access) steady() bool {
	switch a {
	case byTable, localAddr, localPort, remoteAddr, remotePort, inode, cookie, recvQueue, sendQueue,
		rtt, retrans, bytesSent, bytesReceived:
		return false
	}
	return true
}

// of returns the value's kind, 0 where there is none, and its text or number;
// an address is returned by addr.
func (a access) of(s *whose.Session) (kind whose.Kind, text string, num uint64) {
	switch a {
	case proto:
		return named(s.Proto.String())
	case family:
		return named(s.Family.String())
	case state:
		return named(s.State.String())
	case direction:
		return named(s.Direction.String())
	case reason:
		return named(s.Reason.String())
	case localAddr, remoteAddr:
		return whose.KindAddr, "", 0
	case localPort:
		return whose.KindPort, "", uint64(s.Local.Port())
	case remotePort:
		return whose.KindPort, "", uint64(s.Remote.Port())
	case inode:
		return known(s.Inode)
	case cookie:
		return known(s.Cookie)
	case netns:
		return known(uint64(s.NetNS))
	case mark:
		return known(uint64(s.Mark))
	case uid:
		return whose.KindNumber, "", uint64(s.UID)
	case recvQueue:
		return whose.KindBytes, "", uint64(s.RecvQueue)
	case sendQueue:
		return whose.KindBytes, "", uint64(s.SendQueue)
	case user:
		return worded(s.User)
	case netnsName:
		return worded(s.NetNSName)
	case boundDev:
		return worded(s.BoundDev)
	case scope:
		return worded(s.Scope)
	case socketUnit:
		return worded(s.Unit)
	case socketContainer:
		return worded(s.Container)
	case v6only:
		return v6onlyOf(s)
	}
	if s.TCP != nil {
		return a.ofTCP(s.TCP)
	}
	return 0, "", 0
}

// ofTCP is of for what only TCP has.
func (a access) ofTCP(t *whose.TCPInfo) (kind whose.Kind, text string, num uint64) {
	switch a {
	case rtt:
		return whose.KindDuration, "", uint64(t.RTT)
	case retrans:
		return whose.KindNumber, "", uint64(t.Retrans)
	case bytesSent:
		return whose.KindBytes, "", t.BytesSent
	case bytesReceived:
		return whose.KindBytes, "", t.BytesReceived
	}
	return 0, "", 0
}

// addr returns the address of localAddr or remoteAddr.
func (a access) addr(s *whose.Session) netip.Addr {
	if a == localAddr {
		return s.Local.Addr()
	}
	return s.Remote.Addr()
}

func named(s string) (whose.Kind, string, uint64) {
	if s == "" {
		return 0, "", 0
	}
	return whose.KindName, s, 0
}

func worded(s string) (whose.Kind, string, uint64) {
	if s == "" {
		return 0, "", 0
	}
	return whose.KindText, s, 0
}

func known(n uint64) (whose.Kind, string, uint64) {
	if n == 0 {
		return 0, "", 0
	}
	return whose.KindNumber, "", n
}

func v6onlyOf(s *whose.Session) (whose.Kind, string, uint64) {
	switch {
	case s.Family != whose.IPv6 || !s.IsListener():
		return 0, "", 0
	case s.V6Only:
		return whose.KindBool, "", 1
	}
	return whose.KindBool, "", 0
}
