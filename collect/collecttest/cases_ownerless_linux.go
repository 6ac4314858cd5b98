package collecttest

import (
	"bytes"
	"fmt"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

func ownerlessCases() []Case {
	return []Case{
		{Name: "accept queue", Rule: "a connection that waits to be accepted names the owners of its listener", hold: func(st *Stage) {
			l := st.listen("127.0.0.1:0", 16)
			c := st.connect(st.local(l), unix.SOCK_STREAM, 0)
			client := st.established(c, whose.Out, st.pid())
			st.waiting(l, 1)
			s := st.listener(l, 16)
			s.RecvQueue = 1
			st.add("listener", s)
			st.add("client end", client)
			st.add("waits to be accepted", st.queue(client, self()))
		}},
		{Name: "accept queue of a group", Rule: "a connection that waits for a SO_REUSEPORT group names the owners of the whole group", hold: holdGroupQueue},
		{Name: "in flight", Rule: "a socket in transit over a UNIX socket is listed, held by nobody", hold: func(st *Stage) {
			l := st.listen("127.0.0.1:0", 16)
			s := ownerless(st.listener(l, 16), whose.ReasonInFlight)
			ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			st.check(err, "socketpair")
			st.send(ends[0], l)
			st.close(l)
			st.add("in flight", s)
		}},
		{Name: "io_uring", Rule: "a socket that only io_uring holds is listed, held by no descriptor", needs: needRing, hold: func(st *Stage) {
			l := st.listen("127.0.0.1:0", 16)
			s := ownerless(st.listener(l, 16), whose.ReasonInFlight)
			ring, err := newRing()
			st.check(err, "io_uring_setup")
			st.check(register(ring, l), "register a socket with io_uring")
			st.close(l)
			st.add("in io_uring", s)
		}},
		{Name: "kernel", Rule: "a socket that the kernel made for itself is listed, of nobody", needs: needVXLAN, hold: holdKernel},
	}
}

// holdGroupQueue has a connection wait for a group of two processes.
func holdGroupQueue(st *Stage) {
	l := st.listen("127.0.0.1:0", 16, reusePort)
	other := st.child("listen", st.local(l).String())
	c := st.connect(st.local(l), unix.SOCK_STREAM, 0)
	client := st.established(c, whose.Out)
	// Data is acknowledged only by a complete connection.
	_, err := unix.Write(c, []byte{0})
	st.check(err, "write")
	st.wait("wait for the acknowledgement", func() bool { _, out := st.queued(c); return out == 0 })
	owners := holds(owner(st.pid()), owner(other.PID))
	client.Peer = owners
	queued := st.queue(client, owners)
	queued.Peer, queued.RecvQueue = self(), 1
	st.add("client end", client)
	st.add("waits to be accepted", queued)
	// Which of the two it waits for only the kernel knows.
	st.add("listener", st.listener(l, 16), "recv_queue")
	second := other.Truths[0]
	second.Open = append(second.Open, "recv_queue")
	st.truths = append(st.truths, second)
}

// Calls and numbers of io_uring (linux/io_uring.h).
const (
	ringParamsSize    = 120
	ringRegisterFiles = 2
)

func newRing() (int, error) {
	var params [ringParamsSize]byte
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

func register(ring, fd int) error {
	files := [1]int32{int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(ring), ringRegisterFiles,
		uintptr(unsafe.Pointer(&files)), 1, 0, 0)
	runtime.KeepAlive(&files)
	if errno != 0 {
		return errno
	}
	return nil
}

func needRing(t testing.TB) {
	fd, err := newRing()
	if err != nil {
		testenv.Lacks(t, "io_uring", err.Error())
	}
	unix.Close(fd)
}

// needVXLAN skips if this kernel was built without the device.
func needVXLAN(t testing.TB) {
	testenv.NeedIP(t)
	ns := testenv.NewNetNS(t)
	defer ns.Close()
	var err error
	ns.Do(func() { err = addVXLAN() })
	if err != nil {
		testenv.Lacks(t, "vxlan devices", err.Error())
	}
}

func holdKernel(st *Stage) {
	st.check(addVXLAN(), "make a vxlan device")
	st.ip("link set whosevx up")
	any := netip.IPv4Unspecified()
	st.add("socket of the device", whose.Session{
		Exposure: whose.ExposureAny,
		Proto:    whose.UDP, Family: whose.IPv4, State: whose.Unconn, NetNS: st.netns,
		Local: netip.AddrPortFrom(any, 4789), Remote: netip.AddrPortFrom(any, 0), Reason: whose.ReasonKernel,
	}, "inode")
}

// addVXLAN makes a vxlan device in the namespace of the thread; once it is up
// the kernel has a UDP socket for it on port 4789.
func addVXLAN() error {
	out, err := exec.Command("ip", strings.Fields("link add whosevx type vxlan id 1 dstport 4789 local 127.0.0.1")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip link add: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}
