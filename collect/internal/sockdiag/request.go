package sockdiag

import (
	"encoding/binary"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/netlink"
)

// Attributes of requests, and the kernel's states (net/tcp_states.h).
const (
	reqBytecode      = 1 // INET_DIAG_REQ_BYTECODE
	reqProtocol      = 3 // INET_DIAG_REQ_PROTOCOL, since Linux 5.9
	stateEstablished = 1
	stateSynRecv     = 3
	stateFinWait2    = 5
	stateTimeWait    = 6
	stateClose       = 7
	stateListen      = 10
	stateClosing     = 11
	// stateBoundInactive asks for TCP sockets that are bound and nothing else;
	// they are reported as CLOSE. Since Linux 6.8; older kernels do not know
	// the bit and have no table to find such sockets in.
	stateBoundInactive = 13
)

// Extensions with a cost, as bits of the request (INET_DIAG_x - 1).
const (
	extInfo = 1 << (attrInfo - 1)
	extCong = 1 << (attrCong - 1)
)

// request is the question of one dump.
type request struct {
	proto uint32
	// family is netlink.FamilyUnspec for both, which only TCP can do.
	family uint8
	// states are the kernel's, as bits.
	states uint32
	ext    uint8
	// bytecode is the condition on the ends, empty for none.
	bytecode []byte
	// unix asks for the UNIX sockets instead, of which only states is used.
	unix bool
}

// appendTo appends the netlink message of the request to b.
//
// Both families of TCP are asked for in the form of the kernels before 3.3
// (TCPDIAG_GETSOCK, struct inet_diag_req), which every kernel still answers,
// and which knows no family. One walk of the table brings both; the newer form
// needs one for each. The states, the bytecode and the attributes of the answer
// are the same.
func (r *request) appendTo(b []byte, seq uint32) []byte {
	start := len(b)
	typ := uint16(netlink.TypeByFamily)
	if r.family == netlink.FamilyUnspec && !r.unix {
		typ = netlink.TypeTCP
	}
	ne := binary.NativeEndian
	b = netlink.AppendHeader(b, typ, netlink.FlagDump, seq)
	var anySocket [48]byte // struct inet_diag_sockid, zero: no condition
	if r.unix {            // struct unix_diag_req
		b = append(b, netlink.FamilyUnix, 0, 0, 0)
		b = ne.AppendUint32(b, r.states)
		b = append(b, make([]byte, 16)...) // any inode, nothing to show, any cookie
	} else if typ == netlink.TypeTCP {
		b = append(b, netlink.FamilyUnspec, 0, 0, r.ext)
		b = append(b, anySocket[:]...)
		b = ne.AppendUint32(b, r.states)
		b = ne.AppendUint32(b, 0)
	} else {
		// A kernel without INET_DIAG_REQ_PROTOCOL must find no protocol here,
		// rather than another one.
		proto := uint8(0)
		if r.proto < 256 {
			proto = uint8(r.proto)
		}
		b = append(b, r.family, proto, r.ext, 0)
		b = ne.AppendUint32(b, r.states)
		b = append(b, anySocket[:]...)
	}
	if r.proto > 255 {
		b = appendAttr(b, reqProtocol, ne.AppendUint32(nil, r.proto))
	}
	if len(r.bytecode) > 0 {
		b = appendAttr(b, reqBytecode, r.bytecode)
	}
	netlink.SetLength(b[start:])
	return b
}

// appendAttr appends a netlink attribute, padded to four bytes.
func appendAttr(b []byte, typ uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// tcpStates are the states of TCP sockets.
const tcpStates = 1<<(stateClosing+1) - 2

// kernelTCPStates returns the bits by which the kernel is asked for the wanted
// states of TCP; 0: there is no such state.
func kernelTCPStates(wanted whose.Set[whose.State]) uint32 {
	bits := uint32(wanted) & tcpStates
	if bits&(1<<stateClose) != 0 {
		bits |= 1 << stateBoundInactive
	}
	return bits
}

// kernelUDPStates is the same for UDP and UDP-Lite, which have two states: the
// kernel keeps an unconnected socket as CLOSE.
func kernelUDPStates(wanted whose.Set[whose.State]) uint32 {
	bits := uint32(0)
	if wanted.Has(whose.Established) {
		bits |= 1 << stateEstablished
	}
	if wanted.Has(whose.Unconn) {
		bits |= 1 << stateClose
	}
	return bits
}
