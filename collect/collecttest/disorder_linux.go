package collecttest

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// disorderTime is how long the random program runs before it stands.
const disorderTime = 2 * time.Second

// Bounds on the open sockets of the random program.
const (
	disorderListeners = 12
	disorderSockets   = 200
	disorderChildren  = 5
)

// Disorder returns a case that is another each time: a process that listens,
// connects, accepts, passes, shares and closes at random, and then stands as it
// is. Only the kernel knows its sessions then, so the case has no truths.
// It is for comparing two answers.
func Disorder() *Case {
	return &Case{Name: "disorder", Rule: "all give the same sessions of a process that acted at random",
		prepare: func(t testing.TB) string {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			return strconv.FormatUint(seed, 10)
		}, hold: func(st *Stage) {
			seed, err := strconv.ParseUint(os.Getenv(envArg), 10, 64)
			st.check(err, "seed")
			(&disorder{Stage: st, r: rand.New(rand.NewPCG(seed, 0))}).run()
		}}
}

// A disorder is a random program with its open sockets.
type disorder struct {
	*Stage
	r         *rand.Rand
	listeners []int
	sockets   []int
	children  []*child
}

func (d *disorder) run() {
	d.ip("link set lo up")
	steps := []func(){
		d.newListener, d.newConnection, d.newConnection, d.newConnection, d.acceptOne, d.acceptOne, d.closeOne,
		d.resetOne, d.shutOne, d.newDatagram, d.closeListener, d.newChild, d.endChild, d.passOne,
	}
	for end := time.Now().Add(disorderTime); time.Now().Before(end); {
		steps[d.r.IntN(len(steps))]()
		time.Sleep(time.Duration(d.r.IntN(3)) * time.Millisecond)
	}
}

// take takes one of a list at random, and reports whether there was any.
func (d *disorder) take(from *[]int) (fd int, any bool) {
	n := len(*from)
	if n == 0 {
		return 0, false
	}
	i := d.r.IntN(n)
	fd = (*from)[i]
	(*from)[i] = (*from)[n-1]
	*from = (*from)[:n-1]
	return fd, true
}

// newListener listens on an address of its own or on the one of another
// listener.
func (d *disorder) newListener() {
	if len(d.listeners) >= disorderListeners {
		return
	}
	addr := []string{"127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"}[d.r.IntN(4)]
	if len(d.listeners) > 0 && d.r.IntN(2) == 0 {
		addr = d.local(d.listeners[d.r.IntN(len(d.listeners))]).String()
	}
	d.listeners = append(d.listeners, d.listen(addr, 1024, reusePort))
}

// newConnection connects to a listener.
func (d *disorder) newConnection() {
	if len(d.listeners) == 0 || len(d.sockets) >= disorderSockets {
		return
	}
	to := d.local(d.listeners[d.r.IntN(len(d.listeners))])
	switch {
	case !to.Addr().IsUnspecified():
	case to.Addr().Is4() || d.r.IntN(2) == 0:
		to = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), to.Port())
	default:
		to = netip.AddrPortFrom(netip.IPv6Loopback(), to.Port())
	}
	d.sockets = append(d.sockets, d.connect(to, unix.SOCK_STREAM, unix.IPPROTO_TCP))
}

// acceptOne accepts a pending connection of a listener, if there is one.
func (d *disorder) acceptOne() {
	if len(d.listeners) == 0 {
		return
	}
	l := d.listeners[d.r.IntN(len(d.listeners))]
	if ready, err := unix.Poll([]unix.PollFd{{Fd: int32(l), Events: unix.POLLIN}}, 0); err == nil && ready == 1 {
		d.sockets = append(d.sockets, d.accept(l))
	}
}

func (d *disorder) closeOne() {
	if fd, any := d.take(&d.sockets); any {
		d.close(fd)
	}
}

func (d *disorder) resetOne() {
	if fd, any := d.take(&d.sockets); any {
		d.check(unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}), "set linger")
		d.close(fd)
	}
}

// shutOne ends one direction of a connection; it fails if the connection is
// over.
func (d *disorder) shutOne() {
	if len(d.sockets) > 0 {
		_ = unix.Shutdown(d.sockets[d.r.IntN(len(d.sockets))], unix.SHUT_WR)
	}
}

// newDatagram opens and binds a UDP socket, and may connect it to itself and
// send.
func (d *disorder) newDatagram() {
	if len(d.sockets) >= disorderSockets {
		return
	}
	fd := d.bound("127.0.0.1:0", unix.SOCK_DGRAM, unix.IPPROTO_UDP)
	if d.r.IntN(2) == 0 {
		d.check(unix.Connect(fd, sockaddr(unix.AF_INET, d.local(fd))), "connect")
		_, err := unix.Write(fd, []byte{0})
		d.check(err, "write")
	}
	d.sockets = append(d.sockets, fd)
}

func (d *disorder) closeListener() {
	if len(d.listeners) < disorderListeners/2 {
		return
	}
	if fd, any := d.take(&d.listeners); any {
		d.close(fd)
	}
}

// newChild starts a process with an inherited socket, or with a listener on an
// address of this one's.
func (d *disorder) newChild() {
	switch {
	case len(d.children) >= disorderChildren || len(d.listeners) == 0 || len(d.sockets) == 0:
	case d.r.IntN(2) == 0:
		d.children = append(d.children, d.child("keep", "", d.sockets[d.r.IntN(len(d.sockets))]))
	default:
		d.children = append(d.children, d.child("listen", d.local(d.listeners[d.r.IntN(len(d.listeners))]).String()))
	}
}

func (d *disorder) endChild() {
	if n := len(d.children); n == disorderChildren {
		d.check(d.children[0].stdin.Close(), "end child")
		d.children = d.children[1:]
	}
}

// passOne gives a socket to a new child and closes it.
func (d *disorder) passOne() {
	if len(d.children) >= disorderChildren {
		return
	}
	fd, any := d.take(&d.sockets)
	if !any {
		return
	}
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	d.check(err, "socketpair")
	d.send(ends[0], fd)
	d.children = append(d.children, d.child("take", "", ends[1]))
	for _, done := range []int{ends[0], ends[1], fd} {
		d.close(done)
	}
}
