package track

import (
	"encoding/binary"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// This file reads the kernel's multicast messages about destroyed sockets
// (net/core/sock_diag.c, sock_diag_broadcast_destroy): a netlink message with
// struct inet_diag_msg and attributes, as in a dump.

const (
	netlinkHeader    = 16
	inetDiagMsgSize  = 72
	attrHeader       = 4
	sockDiagByFamily = 20
	attrInfo         = 2  // INET_DIAG_INFO
	attrProtocol     = 10 // INET_DIAG_PROTOCOL
	familyIPv4       = 2  // AF_INET
	familyIPv6       = 10 // AF_INET6
)

// Places in struct inet_diag_msg.
const (
	atFamily     = 0
	atLocalPort  = 4
	atRemotePort = 6
	atLocal      = 8
	atRemote     = 24
	atDevice     = 40
	atCookie     = 44
	atUID        = 64
	atInode      = 68
)

// Places in struct tcp_info. Older kernels give a shorter one.
const (
	atRTT           = 68
	atTotalRetrans  = 100
	atBytesReceived = 128
	atBytesSent     = 200
	atBytesRetrans  = 208
)

// parseDestroyed calls fn for each closed session in a datagram. It passes over
// damaged messages and unknown kinds. The messages lack the state and the
// reason of the end; bytes received may count the other side's FIN.
func parseDestroyed(b []byte, netns uint32, at uint64, fn func(*bpfevent.Record) error) error {
	order := binary.NativeEndian
	for len(b) >= netlinkHeader {
		n := int(order.Uint32(b))
		if n < netlinkHeader || n > len(b) {
			return nil
		}
		kind, body := order.Uint16(b[4:]), b[netlinkHeader:n]
		b = b[min((n+3)&^3, len(b)):]
		if kind != sockDiagByFamily || len(body) < inetDiagMsgSize {
			continue
		}
		r, ok := destroyedRecord(body, netns, at)
		if !ok {
			continue
		}
		if err := fn(&r); err != nil {
			return err
		}
	}
	return nil
}

// destroyedRecord reads one message.
func destroyedRecord(b []byte, netns uint32, at uint64) (bpfevent.Record, bool) {
	order := binary.NativeEndian
	r := bpfevent.Record{
		Kind: bpfevent.TCPClose, Time: at, NetNS: netns,
		LocalPort: binary.BigEndian.Uint16(b[atLocalPort:]), RemotePort: binary.BigEndian.Uint16(b[atRemotePort:]),
		Device: order.Uint32(b[atDevice:]), UID: order.Uint32(b[atUID:]), Inode: uint64(order.Uint32(b[atInode:])),
		Cookie: uint64(order.Uint32(b[atCookie:])) | uint64(order.Uint32(b[atCookie+4:]))<<32,
	}
	switch b[atFamily] {
	case familyIPv4:
		r.Family = uint8(whose.IPv4)
		r.Local, r.Remote = pair.AnyIPv4, pair.AnyIPv4
		copy(r.Local[12:], b[atLocal:atLocal+4])
		copy(r.Remote[12:], b[atRemote:atRemote+4])
	case familyIPv6:
		r.Family = uint8(whose.IPv6)
		copy(r.Local[:], b[atLocal:])
		copy(r.Remote[:], b[atRemote:])
	default:
		return r, false
	}
	proto, info := attributes(b[inetDiagMsgSize:])
	switch proto {
	case 6:
		r.Proto = uint8(whose.TCP)
		addTCPInfo(&r, info)
	case 17:
		r.Proto, r.Kind = uint8(whose.UDP), bpfevent.UDPClose
	case 136:
		r.Proto, r.Kind = uint8(whose.UDPLite), bpfevent.UDPClose
	default:
		return r, false
	}
	return r, r.Cookie != 0
}

// attributes finds the protocol and struct tcp_info.
func attributes(b []byte) (proto uint8, info []byte) {
	order := binary.NativeEndian
	for len(b) >= attrHeader {
		n := int(order.Uint16(b))
		if n < attrHeader || n > len(b) {
			return proto, info
		}
		switch value := b[attrHeader:n]; order.Uint16(b[2:]) {
		case attrInfo:
			info = value
		case attrProtocol:
			if len(value) > 0 {
				proto = value[0]
			}
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return proto, info
}

// addTCPInfo adds the counts.
func addTCPInfo(r *bpfevent.Record, info []byte) {
	word := func(at int) uint32 {
		if len(info) < at+4 {
			return 0
		}
		return binary.NativeEndian.Uint32(info[at:])
	}
	long := func(at int) uint64 {
		if len(info) < at+8 {
			return 0
		}
		return binary.NativeEndian.Uint64(info[at:])
	}
	r.RTT, r.Retrans = word(atRTT), word(atTotalRetrans)
	sent, again := long(atBytesSent), long(atBytesRetrans)
	r.BytesSent = sent - min(again, sent)
	r.BytesReceived = long(atBytesReceived)
}
