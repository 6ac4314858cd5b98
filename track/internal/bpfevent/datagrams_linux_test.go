package bpfevent

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// Numbers of linux/udp.h that package unix lacks.
const (
	udpCork    = 1
	udpSegment = 103
	udpGRO     = 104
)

// An exchange is what a case does from one socket to another.
type exchange struct {
	t           *testing.T
	from, to    *sock
	sent, bytes uint64 // what leaves: datagrams and their bytes
}

// want notes what leaves, and takes it out of the other socket.
func (x *exchange) want(sizes ...int) {
	x.t.Helper()
	for _, n := range sizes {
		x.to.receiveFrom(n)
		x.sent++
		x.bytes += uint64(n)
	}
}

// wantInAll notes n bytes in as many datagrams as the kernel made of them: before
// 6.5, sendfile sent each page on its own over IPv6.
func (x *exchange) wantInAll(n int) {
	x.t.Helper()
	b := make([]byte, 65536)
	for n > 0 {
		got, err := unix.Read(x.to.fd, b)
		must(x.t, "read", err)
		if got == 0 {
			x.t.Fatalf("an empty datagram, with %d bytes to come", n)
		}
		n -= got
		x.sent++
		x.bytes += uint64(got)
	}
}

func (x *exchange) more(n int) {
	x.t.Helper()
	must(x.t, "send with MSG_MORE", unix.Sendto(x.from.fd, make([]byte, n), unix.MSG_MORE, nil))
}

func (x *exchange) set(option, value int) {
	x.t.Helper()
	x.from.set(option, value)
}

func (s *sock) set(option, value int) {
	s.t.Helper()
	must(s.t, "set an option of UDP", unix.SetsockoptInt(s.fd, unix.SOL_UDP, option, value))
}

// segmentSize is a control message that names it.
func segmentSize(size uint16) []byte {
	b := make([]byte, unix.CmsgSpace(2))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = unix.SOL_UDP, udpSegment
	h.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(b[unix.CmsgLen(0):], size)
	return b
}

// ttl is one that has nothing to do with segments.
func ttl() []byte {
	b := make([]byte, unix.CmsgSpace(4))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = unix.SOL_IP, unix.IP_TTL
	h.SetLen(unix.CmsgLen(4))
	binary.NativeEndian.PutUint32(b[unix.CmsgLen(0):], 3)
	return b
}

func (x *exchange) sendmsg(n int, control []byte) {
	x.t.Helper()
	_, err := unix.SendmsgN(x.from.fd, make([]byte, n), control, nil, 0)
	must(x.t, "sendmsg", err)
}

// sendmmsg sends messages of these sizes, each with its control message.
func (x *exchange) sendmmsg(sizes []int, controls [][]byte) {
	x.t.Helper()
	type message struct {
		unix.Msghdr
		n uint32
		_ uint32
	}
	messages := make([]message, len(sizes))
	for i, n := range sizes {
		b := make([]byte, n)
		iov := &unix.Iovec{Base: &b[0]}
		iov.SetLen(n)
		messages[i].Iov = iov
		messages[i].SetIovlen(1)
		if c := controls[i]; c != nil {
			messages[i].Control = &c[0]
			messages[i].SetControllen(len(c))
		}
	}
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(x.from.fd), uintptr(unsafe.Pointer(&messages[0])), uintptr(len(messages)), 0, 0, 0)
	if errno != 0 || int(n) != len(sizes) {
		x.t.Fatalf("sendmmsg: %d of %d, %v", n, len(sizes), errno)
	}
}

// counting are the ways to send, each with what it is to count. calls: only the
// programs at calls know it.
var counting = map[string]func(x *exchange){
	"three sends": func(x *exchange) {
		x.from.send(10)
		x.from.send(20)
		x.from.send(30)
		x.want(10, 20, 30)
	},
	"MSG_MORE": func(x *exchange) {
		x.more(10)
		x.more(10)
		x.from.send(10)
		x.want(30)
		x.from.send(5)
		x.want(5)
	},
	"MSG_MORE twice": func(x *exchange) {
		for range 2 {
			x.more(10)
			x.from.send(7)
			x.want(17)
		}
	},
	"MSG_MORE and an empty end": func(x *exchange) {
		x.more(10)
		must(x.t, "send nothing", unix.Sendto(x.from.fd, nil, 0, nil))
		x.want(10)
	},
	"nothing": func(x *exchange) {
		must(x.t, "send nothing", unix.Sendto(x.from.fd, nil, 0, nil))
		x.want(0)
	},
	"UDP_CORK": func(x *exchange) {
		x.set(udpCork, 1)
		x.from.send(10)
		x.from.send(10)
		x.from.send(10)
		x.set(udpCork, 0)
		x.want(30)
	},
	"UDP_CORK again and again": func(x *exchange) {
		for range 5 {
			x.set(udpCork, 1)
			x.from.send(10)
			x.from.send(3)
			x.set(udpCork, 0)
			x.want(13)
		}
	},
	"UDP_CORK, and a plain send": func(x *exchange) {
		x.set(udpCork, 1)
		x.from.send(10)
		x.set(udpCork, 0)
		x.from.send(4)
		x.want(10, 4)
	},
	"what the close finds corked": func(x *exchange) {
		x.from.send(4)
		x.want(4)
		x.set(udpCork, 1)
		x.from.send(10)
	},
	"too much corked": func(x *exchange) {
		x.more(40000)
		if err := unix.Sendto(x.from.fd, make([]byte, 40000), 0, nil); err == nil {
			x.t.Fatal("80,000 bytes in a datagram")
		}
		// The failed call leaves what was there, or drops it: the next shows.
		x.from.send(8)
		b := make([]byte, 65536)
		n, err := unix.Read(x.to.fd, b)
		must(x.t, "read", err)
		x.sent, x.bytes = 1, uint64(n)
	},
	"too much": func(x *exchange) {
		if err := unix.Sendto(x.from.fd, make([]byte, 70000), 0, nil); !errors.Is(err, unix.EMSGSIZE) {
			x.t.Fatalf("send 70,000 bytes: %v", err)
		}
		x.from.send(8)
		x.want(8)
	},
	"UDP_SEGMENT of the socket": func(x *exchange) {
		x.set(udpSegment, 100)
		x.from.send(1000)
		x.from.send(250)
		x.from.send(100)
		x.from.send(30)
		x.want(100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 50, 100, 30)
	},
	"UDP_SEGMENT of the call": func(x *exchange) {
		x.sendmsg(300, segmentSize(100))
		x.sendmsg(300, nil)
		x.sendmsg(250, append(ttl(), segmentSize(200)...))
		x.sendmsg(20, ttl())
		x.want(100, 100, 100, 300, 200, 50, 20)
	},
	"UDP_SEGMENT of the call, and of the socket": func(x *exchange) {
		x.set(udpSegment, 50)
		x.sendmsg(200, segmentSize(100))
		x.sendmsg(100, nil)
		x.sendmsg(70, segmentSize(0))
		x.want(100, 100, 50, 50, 70)
	},
	"UDP_SEGMENT of each of many": func(x *exchange) {
		for range 2 {
			x.sendmmsg([]int{300, 40, 100, 100}, [][]byte{segmentSize(100), nil, segmentSize(30), segmentSize(60)})
			x.want(100, 100, 100, 40, 30, 30, 30, 10, 60, 40)
		}
		x.sendmmsg([]int{5, 6}, [][]byte{nil, nil})
		x.want(5, 6)
	},
	"UDP_SEGMENT, corked": func(x *exchange) {
		x.set(udpSegment, 100)
		x.more(150)
		x.from.send(60)
		x.want(100, 100, 10)
	},
	"sendfile": func(x *exchange) {
		f, err := os.CreateTemp(x.t.TempDir(), "")
		must(x.t, "make a file", err)
		defer f.Close()
		_, err = f.Write(make([]byte, 5000))
		must(x.t, "write", err)
		var at int64
		n, err := unix.Sendfile(x.from.fd, int(f.Fd()), &at, 5000)
		must(x.t, "sendfile", err)
		x.wantInAll(n)
	},
	"MSG_ZEROCOPY": func(x *exchange) {
		must(x.t, "set SO_ZEROCOPY", unix.SetsockoptInt(x.from.fd, unix.SOL_SOCKET, unix.SO_ZEROCOPY, 1))
		must(x.t, "send", unix.Sendto(x.from.fd, make([]byte, 2000), unix.MSG_ZEROCOPY, nil))
		x.want(2000)
	},
}

// TestUDP_Datagrams: datagrams are those that leave and arrive, and not the
// calls. Both ends of a flow agree.
func TestUDP_Datagrams(t *testing.T) {
	eachWay(t, func(t *testing.T, packets bool) {
		ns := testenv.NewNetNS(t)
		w := newWatch(t, countingIn(ns, packets))
		for family, addr := range loopbacks {
			for name, run := range counting {
				t.Run(name+"/"+family, func(t *testing.T) {
					x := &exchange{t: t}
					ns.Do(func() {
						x.to = bound(t, addr)
						x.from = open(t, unix.SOCK_DGRAM, addr)
						must(t, "connect", unix.Connect(x.from.fd, sockaddr(x.to.name())))
					})
					run(x)
					x.from.close()
					x.to.close()
					out, in := w.one("close", of(UDPClose, x.from.cookie)), w.one("close", of(UDPClose, x.to.cookie))
					counts(t, &out, x.bytes, 0, x.sent, 0)
					counts(t, &in, 0, x.bytes, 0, x.sent)
					w.want(1, "open", of(UDPOpen, x.from.cookie))
				})
			}
		}
	})
}

// TestUDP_DatagramsTogether: a socket with UDP_GRO receives many as one.
func TestUDP_DatagramsTogether(t *testing.T) {
	eachWay(t, func(t *testing.T, packets bool) {
		ns := testenv.NewNetNS(t)
		w := newWatch(t, countingIn(ns, packets))
		for family, addr := range loopbacks {
			t.Run(family, func(t *testing.T) {
				x := &exchange{t: t}
				ns.Do(func() {
					x.to = bound(t, addr)
					x.from = open(t, unix.SOCK_DGRAM, addr)
					must(t, "connect", unix.Connect(x.from.fd, sockaddr(x.to.name())))
				})
				x.to.set(udpGRO, 1)
				b, control := make([]byte, 65536), make([]byte, 64)
				x.sendmsg(1000, segmentSize(100))
				if n, _, err := unix.Recvfrom(x.to.fd, b, unix.MSG_PEEK); err != nil || n != 1000 {
					t.Fatalf("peek: %d bytes, %v", n, err)
				}
				x.to.receiveFrom(1000) // with no room for the size
				x.sendmsg(450, segmentSize(100))
				n, n2, _, _, err := unix.Recvmsg(x.to.fd, b, control, 0)
				if err != nil || n != 450 || n2 == 0 {
					t.Fatalf("recvmsg: %d and %d bytes, %v", n, n2, err)
				}
				x.sendmsg(450, nil)
				x.to.receiveFrom(450)
				x.sendmsg(3, nil)
				x.to.receiveFrom(3)
				x.from.close()
				x.to.close()
				out, in := w.one("close", of(UDPClose, x.from.cookie)), w.one("close", of(UDPClose, x.to.cookie))
				counts(t, &out, 1903, 0, 17, 0)
				counts(t, &in, 0, 1903, 0, 17)
			})
		}
	})
}

// TestUDP_DatagramsApart: corked datagrams to somebody named by the first call
// only, in processes that send without a connection.
func TestUDP_DatagramsApart(t *testing.T) {
	eachWay(t, func(t *testing.T, packets bool) {
		ns := testenv.NewNetNS(t)
		w := newWatch(t, countingIn(ns, packets))
		var from, to *sock
		ns.Do(func() {
			to, from = bound(t, loopbacks["IPv4"]), open(t, unix.SOCK_DGRAM, loopbacks["IPv4"])
		})
		must(t, "send", unix.Sendto(from.fd, make([]byte, 10), unix.MSG_MORE, sockaddr(to.name())))
		must(t, "send", unix.Sendto(from.fd, make([]byte, 10), unix.MSG_MORE, nil))
		must(t, "send", unix.Sendto(from.fd, make([]byte, 10), 0, nil))
		at := to.receiveFrom(30)
		from.set(udpCork, 1)
		must(t, "send", unix.Sendto(from.fd, make([]byte, 5), 0, sockaddr(to.name())))
		from.set(udpCork, 0)
		to.receiveFrom(5)
		open := w.one("open", of(UDPOpen, from.cookie))
		if remote(&open) != to.name() || !open.Out {
			t.Errorf("flow to %v, out %v; want %v", remote(&open), open.Out, to.name())
		}
		checkSelf(t, &open)
		from.close()
		to.close()
		out, in := w.one("close", of(UDPClose, from.cookie)), w.one("close", of(UDPClose, to.cookie))
		counts(t, &out, 35, 0, 2, 0)
		counts(t, &in, 0, 35, 0, 2)
		if remote(&in) != at {
			t.Errorf("received from %v, want %v", remote(&in), at)
		}
	})
}

// TestUDP_DatagramsUncorked: a datagram that leaves as UDP_CORK is cleared begins
// a flow then, and not with the next call.
func TestUDP_DatagramsUncorked(t *testing.T) {
	eachWay(t, func(t *testing.T, packets bool) {
		ns := testenv.NewNetNS(t)
		w := newWatch(t, countingIn(ns, packets))
		var from, to *sock
		ns.Do(func() {
			to, from = bound(t, loopbacks["IPv6"]), open(t, unix.SOCK_DGRAM, loopbacks["IPv6"])
			must(t, "connect", unix.Connect(from.fd, sockaddr(to.name())))
		})
		from.set(udpCork, 1)
		from.send(20)
		time.Sleep(100 * time.Millisecond) // some looks
		if n := len(w.all(of(UDPOpen, from.cookie))); n > 0 {
			t.Fatal("a flow before anything left")
		}
		from.set(udpCork, 0)
		open := w.one("open", of(UDPOpen, from.cookie))
		checkSelf(t, &open)
		counts(t, &open, 20, 0, 1, 0)
	})
}

// TestUDP_DatagramsNotSent: what the other side refuses, or never left.
func TestUDP_DatagramsNotSent(t *testing.T) {
	eachWay(t, func(t *testing.T, packets bool) {
		ns := testenv.NewNetNS(t)
		w := newWatch(t, countingIn(ns, packets))
		var refused, dropped, last *sock
		ns.Do(func() {
			gone := bound(t, loopbacks["IPv4"])
			at := gone.name()
			gone.close()
			refused = open(t, unix.SOCK_DGRAM, at)
			must(t, "connect", unix.Connect(refused.fd, sockaddr(at)))
			dropped = open(t, unix.SOCK_DGRAM, at)
			must(t, "connect", unix.Connect(dropped.fd, sockaddr(at)))
			last = bound(t, loopbacks["IPv4"])
		})
		refused.send(10)
		if err := unix.Sendto(refused.fd, make([]byte, 10), 0, nil); !errors.Is(err, unix.ECONNREFUSED) {
			t.Fatalf("send: %v", err)
		}
		refused.close()
		end := w.one("close", of(UDPClose, refused.cookie))
		counts(t, &end, 10, 0, 1, 0)

		must(t, "send", unix.Sendto(dropped.fd, make([]byte, 10), unix.MSG_MORE, nil))
		dropped.close()
		last.sendTo(1, last.name())
		last.close()
		w.one("close", of(UDPClose, last.cookie)) // by then all is reported
		if told := w.all(func(r *Record) bool { return r.Cookie == dropped.cookie }); len(told) > 0 {
			t.Errorf("of a datagram that never left: %+v", told)
		}
	})
}

// TestUDP_DatagramsToGroup: one send, and several who receive it.
func TestUDP_DatagramsToGroup(t *testing.T) {
	eachWay(t, func(t *testing.T, packets bool) {
		ns := testenv.NewNetNS(t)
		w := newWatch(t, countingIn(ns, packets))
		group := netip.MustParseAddrPort("239.1.2.3:7777")
		var from *sock
		var to [2]*sock
		ns.Do(func() {
			for i := range to {
				s := open(t, unix.SOCK_DGRAM, group)
				must(t, "share the port", unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
				s.bind(netip.MustParseAddrPort("0.0.0.0:7777"))
				must(t, "join", unix.SetsockoptIPMreq(s.fd, unix.SOL_IP, unix.IP_ADD_MEMBERSHIP,
					&unix.IPMreq{Multiaddr: group.Addr().As4(), Interface: [4]byte{127, 0, 0, 1}}))
				to[i] = s
			}
			from = bound(t, loopbacks["IPv4"])
			must(t, "choose the device", unix.SetsockoptInet4Addr(from.fd, unix.SOL_IP, unix.IP_MULTICAST_IF, [4]byte{127, 0, 0, 1}))
		})
		from.sendTo(50, group)
		for _, s := range to {
			s.receiveFrom(50)
		}
		from.close()
		out := w.one("close", of(UDPClose, from.cookie))
		counts(t, &out, 50, 0, 1, 0)
		for _, s := range to {
			s.close()
			in := w.one("close", of(UDPClose, s.cookie))
			counts(t, &in, 0, 50, 0, 1)
		}
	})
}
