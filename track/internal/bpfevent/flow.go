package bpfevent

import "structs"

// A FlowKey is the identity of a UDP flow: a socket and a remote. It is
// comparable.
type FlowKey struct {
	// Cookie is the socket's cookie.
	Cookie uint64
	// Remote is a 16-byte address, IPv4 as IPv4-mapped.
	Remote     [16]byte
	RemotePort uint16
	// RemoteUnknown is as in [Record].
	RemoteUnknown bool
}

// Key returns the flow of a record of kind UDPOpen or UDPClose.
func (r *Record) Key() FlowKey {
	return FlowKey{Cookie: r.Cookie, Remote: r.Remote, RemotePort: r.RemotePort, RemoteUnknown: r.RemoteUnknown}
}

// A Flow is a UDP flow that the kernel counts.
type Flow struct {
	FlowKey
	// Opened and Last are the times of the first and the last datagram, on the
	// boot clock in nanoseconds.
	Opened, Last uint64
	// The traffic so far, as in [Record].
	BytesSent, BytesReceived         uint64
	DatagramsSent, DatagramsReceived uint64
}

// rawKey and rawFlow are struct flow_key and struct flow of bpf/flow.h. Their
// fields are exported, and none is blank, for package ebpf to fill them in place.
type rawKey struct {
	_       structs.HostLayout
	Cookie  uint64
	Remote  [16]byte
	RPort   uint16
	Unknown uint16
	Pad     uint32
}

type rawFlow struct {
	_                                structs.HostLayout
	Opened, Last                     uint64
	Sent, Received                   uint64
	SentDatagrams, ReceivedDatagrams uint64
	Inode, Cgroup                    uint64
	Who                              rawWho
	NetNS, UID, Mark, Device         uint32
	LPort, Flags                     uint16
	Proto, Family                    uint8
	Pad                              uint16
	Local                            [16]byte
}

// rawWho is struct who of bpf/process.h.
type rawWho struct {
	_         structs.HostLayout
	Start     uint64
	TGID, PID uint32
}

func (k *rawKey) key() FlowKey {
	return FlowKey{Cookie: k.Cookie, Remote: k.Remote, RemotePort: k.RPort, RemoteUnknown: k.Unknown != 0}
}

func (k *FlowKey) raw() rawKey {
	r := rawKey{Cookie: k.Cookie, Remote: k.Remote, RPort: k.RemotePort}
	if k.RemoteUnknown {
		r.Unknown = 1
	}
	return r
}

func newFlow(k *rawKey, f *rawFlow) Flow {
	return Flow{
		FlowKey: k.key(), Opened: f.Opened, Last: f.Last,
		BytesSent: f.Sent, BytesReceived: f.Received,
		DatagramsSent: f.SentDatagrams, DatagramsReceived: f.ReceivedDatagrams,
	}
}
