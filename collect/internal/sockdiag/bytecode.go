package sockdiag

import (
	"encoding/binary"
	"net/netip"

	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/netlink"
)

// The instructions in use, of those in linux/inet_diag.h. Each is a struct
// inet_diag_bc_op: a code, the distance in bytes to go on if it holds (yes),
// and the distance if it does not (no). Leaving a program exactly at its end
// accepts the socket; leaving it four bytes behind the end refuses.
//
// INET_DIAG_BC_S_EQ and _D_EQ would be shorter for one port, and are not used:
// kernels before 4.19 do not know them.
const (
	opJump       = 1  // INET_DIAG_BC_JMP: never holds
	opLocalGE    = 2  // INET_DIAG_BC_S_GE
	opLocalLE    = 3  // INET_DIAG_BC_S_LE
	opRemoteGE   = 4  // INET_DIAG_BC_D_GE
	opRemoteLE   = 5  // INET_DIAG_BC_D_LE
	opLocalCond  = 7  // INET_DIAG_BC_S_COND
	opRemoteCond = 8  // INET_DIAG_BC_D_COND
	opLen        = 4  // struct inet_diag_bc_op
	portOpLen    = 8  // with the port, in a second op's "no"
	condLen      = 12 // with a struct inet_diag_hostcond without address
)

// maxBytecode bounds the length of a program. The kernel checks each jump by
// going through the program from its start, so the time grows with the square.
// The collector applies the rest.
const maxBytecode = 4096

// compile returns a program. It accepts a socket that meets one of the
// conditions or, if listeners are wanted, has no remote port. Empty: there is
// no condition, or there are too many to push.
//
// An IPv4 prefix also holds for the mapped addresses of IPv6 sockets: the
// kernel compares their last four bytes. An IPv6 prefix may hold for mapped
// addresses too, which the model takes for IPv4. Such sockets are surplus, and
// the collector drops them.
func compile(anyOf []filter.Endpoints, listeners bool) []byte {
	var alternatives [][]byte
	total := 0
	for i := range anyOf {
		conds := conditions(&anyOf[i])
		if len(conds) == 0 {
			return nil // holds for every socket
		}
		alternatives = append(alternatives, conds)
		total += len(conds) + opLen
	}
	if total > 0 && listeners {
		unconnected := appendPort(nil, opRemoteLE, 0)
		alternatives = append(alternatives, unconnected)
		total += len(unconnected) + opLen
	}
	if total == 0 || total > maxBytecode {
		return nil
	}
	return link(alternatives, total)
}

// link joins alternatives. Failing in one goes on with the next, passing one
// jumps to the end, and failing in the last jumps behind the end.
func link(alternatives [][]byte, total int) []byte {
	ne := binary.NativeEndian
	total -= opLen // the last needs no jump
	code := make([]byte, 0, total)
	for i, alt := range alternatives {
		start := len(code)
		code = append(code, alt...)
		next := total + opLen // refuse
		if i < len(alternatives)-1 {
			code = append(code, opJump, opLen)
			code = ne.AppendUint16(code, uint16(total-(len(code)-2)))
			next = len(code)
		}
		for at := start; at < start+len(alt); at += int(code[at+1]) {
			ne.PutUint16(code[at+2:], uint16(next-at))
		}
	}
	return code
}

// conditions returns the instructions of one alternative, with "no" unset.
func conditions(e *filter.Endpoints) []byte {
	b := appendEnd(nil, e.Local, e.LocalPorts, opLocalCond, opLocalGE, opLocalLE)
	return appendEnd(b, e.Remote, e.RemotePorts, opRemoteCond, opRemoteGE, opRemoteLE)
}

// appendEnd appends the conditions on one end.
func appendEnd(b []byte, prefix netip.Prefix, ports filter.PortRange, cond, ge, le byte) []byte {
	one := ports.First == ports.Last
	if prefix.IsValid() || one {
		port := int32(-1)
		if one {
			port = int32(ports.First)
		}
		b = appendCond(b, cond, prefix, port)
	}
	if one || ports == filter.AnyPort {
		return b
	}
	if ports.First > 0 {
		b = appendPort(b, ge, ports.First)
	}
	if ports.Last < 0xffff {
		b = appendPort(b, le, ports.Last)
	}
	return b
}

func appendPort(b []byte, op byte, port uint16) []byte {
	b = append(b, op, portOpLen, 0, 0)
	b = append(b, 0, 0)
	return binary.NativeEndian.AppendUint16(b, port)
}

// appendCond appends a host condition; port -1 is any port, an invalid prefix
// any address.
func appendCond(b []byte, op byte, prefix netip.Prefix, port int32) []byte {
	family, bits := byte(netlink.FamilyUnspec), 0
	var addr []byte
	if prefix.IsValid() {
		family, bits = netlink.FamilyIPv6, prefix.Bits()
		if prefix.Addr().Is4() {
			family = netlink.FamilyIPv4
		}
		addr = prefix.Addr().AsSlice()
	}
	b = append(b, op, byte(condLen+len(addr)), 0, 0)
	b = append(b, family, byte(bits), 0, 0)
	b = binary.NativeEndian.AppendUint32(b, uint32(port))
	return append(b, addr...)
}
