package bpfevent

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

const destroyed = "destroyed"

// endings are the ways for a listener to end.
var endings = []struct {
	name string
	end  func(*sock)
}{
	{"close", (*sock).close},
	{"shutdown", func(s *sock) { must(s.t, "shutdown", unix.Shutdown(s.fd, unix.SHUT_RD)) }},
	{"disconnect", (*sock).disconnect},
	{destroyed, destroy},
}

// disconnect takes a socket back to where it began.
func (s *sock) disconnect() {
	s.t.Helper()
	none := unix.RawSockaddrInet4{Family: unix.AF_UNSPEC}
	if _, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(s.fd), uintptr(unsafe.Pointer(&none)), unix.SizeofSockaddrInet4); errno != 0 {
		must(s.t, "disconnect", errno)
	}
}

// destroy has the kernel end a listener, in the namespace of the thread.
func destroy(s *sock) {
	s.t.Helper()
	out, err := exec.Command("ss", "-K", "-tl", "sport", "=", fmt.Sprintf(":%d", s.name().Port())).CombinedOutput()
	if err != nil {
		s.t.Fatalf("ss -K: %v: %s", err, out)
	}
}

// destroys reports whether the kernel destroys listeners when asked to.
func destroys(t *testing.T, ns *testenv.NetNS) bool {
	var listens int
	var err error
	ns.Do(func() {
		l := listen(t, loopbacks["IPv4"])
		destroy(l)
		listens, err = unix.GetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	})
	must(t, "read SO_ACCEPTCONN", err)
	return listens == 0
}

// TestTCP_ListenForAMoment ends listeners in each way there is: before the flush
// comes by, and after it has. The same socket listens again where it can.
func TestTCP_ListenForAMoment(t *testing.T) {
	testenv.NeedProgram(t, "ss")
	ns := testenv.NewNetNS(t)
	for _, flush := range []time.Duration{time.Second, 20 * time.Millisecond} {
		c := inNetNS(ns)
		c.FlushEvery = flush
		w := newWatch(t, c)
		for _, e := range endings {
			if e.name == destroyed && !destroys(t, ns) {
				t.Log("listeners are not destroyed: this kernel has no SOCK_DESTROY")
				continue
			}
			for family, addr := range loopbacks {
				for _, proto := range []int{unix.IPPROTO_TCP, unix.IPPROTO_MPTCP} {
					if e.name == destroyed && proto == unix.IPPROTO_MPTCP {
						continue // no request destroys one
					}
					t.Run(fmt.Sprintf("%v/%s/%s/%v", flush, e.name, family, protoOf(proto)), func(t *testing.T) {
						testMoment(t, w, ns, addr, proto, e.end, flush < time.Second)
					})
				}
			}
		}
	}
}

func testMoment(t *testing.T, w *watch, ns *testenv.NetNS, addr netip.AddrPort, proto int, end func(*sock), seen bool) {
	w.t = t
	var l *sock
	var at []netip.AddrPort
	ns.Do(func() {
		l = openStream(t, addr, proto)
		l.bind(addr)
		for l.fd >= 0 && len(at) < 3 {
			must(t, "listen", unix.Listen(l.fd, 7))
			must(t, "listen again", unix.Listen(l.fd, 16)) // another backlog, and no event
			at = append(at, l.name())                      // another port, as the kernel chose it
			if seen {
				w.want(len(at), "listen", of(TCPListen, l.cookie))
			}
			end(l)
		}
		l.close()
	})
	on, off := w.want(len(at), "listen", of(TCPListen, l.cookie)), w.want(len(at), "unlisten", of(TCPUnlisten, l.cookie))
	for i := range on {
		checkSelf(t, &on[i])
		if want := unmap(at[i]); on[i].Proto != uint8(protoOf(proto)) || local(&on[i]) != want || local(&off[i]) != want || on[i].Backlog != 16 || on[i].Time >= off[i].Time {
			t.Errorf("listen %d of %d: %+v, %+v, want %v", i+1, len(on), on[i], off[i], want)
		}
	}
}

// TestTCP_ListenAndDie kills a process that listens, and one that has inherited
// a listener: the socket listens until the last has ended.
func TestTCP_ListenAndDie(t *testing.T) {
	ns := testenv.NewNetNS(t)
	w := newWatch(t, inNetNS(ns))
	var l *sock
	ns.Do(func() { l = listen(t, loopbacks["IPv4"]) })
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "WHOSE_BPFEVENT_ROLE=read")
	inherited, err := unix.Dup(l.fd)
	must(t, "dup", err)
	file := os.NewFile(uintptr(inherited), "listener")
	r, stdin, err := os.Pipe()
	must(t, "pipe", err)
	defer stdin.Close()
	cmd.ExtraFiles = []*os.File{r, file}
	must(t, "start", testenv.Start(t, cmd))
	r.Close()
	file.Close()
	l.close()
	w.one("listen", of(TCPListen, l.cookie))
	if early := w.all(of(TCPUnlisten, l.cookie)); len(early) > 0 {
		t.Errorf("unlisten while another process has it: %+v", early)
	}
	must(t, "kill", cmd.Process.Kill())
	_ = cmd.Wait()
	w.one("unlisten", of(TCPUnlisten, l.cookie))
}

// TestTCP_NeverListened binds, and closes.
func TestTCP_NeverListened(t *testing.T) {
	ns := testenv.NewNetNS(t)
	w := newWatch(t, inNetNS(ns))
	var s, after *sock
	ns.Do(func() {
		s = open(t, unix.SOCK_STREAM, loopbacks["IPv4"])
		s.bind(loopbacks["IPv4"])
		s.disconnect()
		s.close()
		after = listen(t, loopbacks["IPv4"])
	})
	w.one("listen", of(TCPListen, after.cookie))
	if told := w.all(func(r *Record) bool { return r.Cookie == s.cookie }); len(told) > 0 {
		t.Errorf("told of a socket that never listened: %+v", told)
	}
}
