package collecttest

import (
	"encoding/binary"
	"net/netip"
	"os/exec"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// Options of level SOL_MPTCP.
const (
	solMPTCP           = 284
	mptcpSubflowAddrs  = 3 // since Linux 5.16
	subflowDataSize    = 16
	subflowAddrsSize   = 256 // a struct sockaddr_storage for each end
	mostSubflowsOfCase = 8
)

// needSubflows skips the case where the kernel has no MPTCP that names its
// subflows, or nobody can make it open any.
func needSubflows(t testing.TB) {
	testenv.NeedRoot(t)
	testenv.NeedIP(t)
	testenv.NeedKernel(t, 5, 16, "MPTCP_SUBFLOW_ADDRS")
	needSocket(unix.AF_INET, unix.SOCK_STREAM, protoMPTCP, "MPTCP")(t)
	if out, err := exec.Command("ip", "mptcp", "help").CombinedOutput(); err != nil && len(out) == 0 {
		testenv.Missing(t, "ip mptcp", err.Error())
	}
}

// holdSubflows opens a session whose client has a second address, and whose
// server makes a second one known: three subflows.
func holdSubflows(st *Stage) {
	st.ip("addr add 10.94.0.2/32 dev lo")
	st.ip("addr add 10.94.0.7/32 dev lo")
	st.ip("mptcp limits set subflow 4 add_addr_accepted 4")
	st.ip("mptcp endpoint add 10.94.0.2 subflow")
	st.ip("mptcp endpoint add 10.94.0.7 signal")
	l := st.bound("0.0.0.0:0", unix.SOCK_STREAM, protoMPTCP)
	st.check(unix.Listen(l, 16), "listen")
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), st.local(l).Port())
	c := st.connect(to, unix.SOCK_STREAM, protoMPTCP)
	a := st.accept(l)
	_, err := unix.Write(c, make([]byte, 10)) // both ends know each other by data only
	st.check(err, "write")
	_, err = unix.Read(a, make([]byte, 10))
	st.check(err, "read")
	st.wait("wait for three subflows", func() bool { return len(st.subflows(c)) == 3 && len(st.subflows(a)) == 3 })
	st.add("listener", st.listener(l, 16))
	st.addSession("client", c, whose.Out)
	st.addSession("accepted", a, whose.In)
}

// addSession notes an MPTCP session and each of its further subflows.
func (st *Stage) addSession(label string, fd int, direction whose.Direction) {
	s := st.established(fd, direction, st.pid())
	st.add(label+" end", s, "send_queue", "recv_queue")
	for _, ends := range st.subflows(fd) {
		if ends == [2]netip.AddrPort{s.Local, s.Remote} {
			continue
		}
		further := s
		further.Local, further.Remote, further.Subflow, further.Cookie = ends[0], ends[1], true, 0
		st.add(label+" end of a further subflow", further, "send_queue", "recv_queue", "cookie")
	}
}

// subflows asks the kernel for the ends of the subflows of an MPTCP socket.
func (st *Stage) subflows(fd int) (ends [][2]netip.AddrPort) {
	var b [subflowDataSize + mostSubflowsOfCase*subflowAddrsSize]byte
	binary.NativeEndian.PutUint32(b[:], subflowDataSize)
	binary.NativeEndian.PutUint32(b[12:], subflowAddrsSize)
	size := uint32(len(b))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), solMPTCP, mptcpSubflowAddrs,
		uintptr(unsafe.Pointer(&b)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		st.check(errno, "ask for subflows")
	}
	n := int(binary.NativeEndian.Uint32(b[4:]))
	for i := range min(n, mostSubflowsOfCase) {
		at := b[subflowDataSize+i*subflowAddrsSize:]
		ends = append(ends, [2]netip.AddrPort{inetAddr(at), inetAddr(at[subflowAddrsSize/2:])})
	}
	return ends
}

// inetAddr reads a struct sockaddr_in.
func inetAddr(b []byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:]))
}
