package bpfiter

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// openPinnedHere pins the programs and returns a source that reads through the pins.
func openPinnedHere(t *testing.T) *Source {
	t.Helper()
	dir := bpffs(t, "mode=755")
	must(t, Pin(dir, PinOptions{}))
	s, err := OpenPinned(dir, Options{})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

// connect connects n UDP sockets from ports of the kernel's to the address.
func connect(t *testing.T, ns namespace, to unix.Sockaddr, n int) {
	t.Helper()
	family := unix.AF_INET
	if _, ok := to.(*unix.SockaddrInet6); ok {
		family = unix.AF_INET6
	}
	for range n {
		fd := socket(t, ns, family, unix.SOCK_DGRAM, 0)
		must(t, unix.Connect(fd, to))
	}
}

func atPort(port uint16) []filter.Endpoints {
	e := filter.OnLocal(netip.Prefix{}, filter.PortRange{First: port, Last: port})
	return []filter.Endpoints{e, e.Swapped()}
}

func atAddr(text string) []filter.Endpoints {
	e := filter.OnLocal(netip.MustParsePrefix(text), filter.AnyPort)
	return []filter.Endpoints{e, e.Swapped()}
}

// A shown is the number of records of sockets that each program gives for a question.
type shown struct{ walk, fds int }

func countShown(t *testing.T, s *Source, ask question, ns *testenv.NetNS) shown {
	t.Helper()
	count := func(r run) (n int) {
		for _, shares := range countParts(t, s, r, func(kind recordKind, b []byte) uint32 {
			if kind == recordSocket && as[socketRecord](b).netns == ns.Inode() || kind == recordID && as[idRecord](b).netns == ns.Inode() {
				return 1
			}
			return 0
		}) {
			n += shares[1]
		}
		return n
	}
	must(t, s.pins.open())
	n := shown{
		walk: count(s.run(hashWalk, s.hashWalk, ask, nil)),
		fds:  count(s.run(fdWalk, s.fdWalk, ask.startingAt(0), nil)),
	}
	must(t, s.pins.close())
	return n
}

// TestWanted_Narrow counts the records of a question through a pin: they are of the
// sockets that meet it, and of no other.
func TestWanted_Narrow(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "bpf_rdonly_cast")
	ns := testenv.NewNetNS(t)
	s := openPinnedHere(t)
	connect(t, ns, &unix.SockaddrInet4{Port: 5001, Addr: [4]byte{127, 0, 0, 1}}, 40)
	connect(t, ns, &unix.SockaddrInet4{Port: 5002, Addr: [4]byte{127, 0, 0, 2}}, 30)
	connect(t, ns, &unix.SockaddrInet6{Port: 5003, Addr: [16]byte{15: 1}}, 20)
	connect(t, ns, &unix.SockaddrInet6{Port: 5004, Addr: [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 2}}, 10)
	const listening = 3
	for range listening {
		fd := socket(t, ns, unix.AF_INET, unix.SOCK_STREAM, 0)
		must(t, unix.Listen(fd, 1))
	}
	for _, c := range []struct {
		name string
		q    source.Query
		want int
	}{
		{"all", source.Query{}, 100 + listening},
		{"a port", source.Query{Any: atPort(5001)}, 40},
		{"a port of IPv6", source.Query{Any: atPort(5003)}, 20},
		{"no port that there is", source.Query{Any: atPort(4999)}, 0},
		{"two ports", source.Query{Any: append(atPort(5001), atPort(5003)...)}, 60},
		{"an address of IPv4, and the same in IPv6", source.Query{Any: atAddr("127.0.0.2/32")}, 40},
		{"an address of IPv6", source.Query{Any: atAddr("::1/128")}, 20},
		{"an address of IPv6 with the same end", source.Query{Any: atAddr("2001::1/128")}, 0},
		{"a network", source.Query{Any: atAddr("127.0.0.0/8")}, 80},
		{"a port, and listeners", source.Query{Any: atPort(5004), Listeners: true}, 10 + listening},
		{"listeners", source.Query{States: whose.SetOf(whose.Listen, whose.Unconn)}, listening},
		{"nine ports, more than programs take", source.Query{Any: slices.Repeat(atPort(5001), 5)}, 100 + listening},
	} {
		q := inNetNS(ns, c.q)
		ask, err := s.question(q)
		must(t, err)
		if got := countShown(t, s, ask, ns); got != (shown{c.want, c.want}) {
			t.Errorf("%s: records %+v, want %d of each", c.name, got, c.want)
		}
		if snap := read(t, s, q); len(snap.Sockets) != c.want || len(snap.Holdings) != c.want {
			t.Errorf("%s: %d sockets with %d holdings, want %d", c.name, len(snap.Sockets), len(snap.Holdings), c.want)
		}
	}
	others := testenv.NewNetNS(t)
	connect(t, others, &unix.SockaddrInet4{Port: 5001, Addr: [4]byte{127, 0, 0, 1}}, 5)
	ask, err := s.question(inNetNS(ns, source.Query{}))
	must(t, err)
	if got := countShown(t, s, ask, others); got != (shown{}) {
		t.Errorf("asked for one namespace: records %+v of another", got)
	}
}

// TestWanted_Unreadable has no memory where the question says that it is, and wants
// everything.
func TestWanted_Unreadable(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "bpf_rdonly_cast")
	ns := testenv.NewNetNS(t)
	s := openPinnedHere(t)
	connect(t, ns, &unix.SockaddrInet4{Port: 5001, Addr: [4]byte{127, 0, 0, 1}}, 40)
	must(t, s.wanted.open())
	s.wanted.has = hasEnds
	ask := s.wanted.ask(newQuestion(asking(source.Query{})))
	must(t, unix.Mprotect(s.wanted.room, unix.PROT_NONE))
	if got, all := countShown(t, s, ask, ns), (shown{40, 40}); got != all {
		t.Errorf("memory that may not be read: records %+v, want %+v", got, all)
	}
}

// TestHostileWanted fills the memory that the programs read with anything: each run
// ends and is of whole records, and of sockets that the plain question shows.
func TestHostileWanted(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "bpf_rdonly_cast")
	ns := testenv.NewNetNS(t)
	s := openPinnedHere(t)
	connect(t, ns, &unix.SockaddrInet4{Port: 5001, Addr: [4]byte{127, 0, 0, 1}}, 40)
	connect(t, ns, &unix.SockaddrInet6{Port: 5003, Addr: [16]byte{15: 1}}, 40)
	must(t, s.wanted.open())
	whole := make(map[uint64]bool)
	for _, socket := range read(t, s, inNetNS(ns, source.Query{})).Sockets {
		whole[socket.Inode] = true
	}
	if len(whole) != 80 {
		t.Fatalf("%d sockets, want 80", len(whole))
	}
	must(t, s.pins.open())
	defer func() { must(t, s.pins.close()) }()
	r := rand.New(rand.NewPCG(5, 8))
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(s.wanted.wanted)), unsafe.Sizeof(wanted{}))
	tried, wrong, met := 0, 0, 0
	for n := range 32 {
		for i := range bytes {
			bytes[i] = byte(r.Uint32())
			if n%2 == 1 { // few bits, so that something is left
				bytes[i] |= byte(r.Uint32() | r.Uint32()<<3)
			}
		}
		s.wanted.has = uint32(n) % 32
		ask := newQuestion(asking(source.Query{}))
		ask.flags, ask.number = ask.flags|askWanted, uint32(uintptr(unsafe.Pointer(s.wanted.wanted))/wantedUnit)
		for _, flags := range []uint8{0, askFull, askTCPInfo, askResume} {
			ask := ask
			ask.flags |= flags
			for program, it := range map[programKind]opener{taskFile: s.taskFile, fdWalk: s.fdWalk, hashWalk: s.hashWalk} {
				tried++
				apply := func(b []byte) error {
					r := records{rest: b}
					for r.next() {
						var inode uint64
						switch {
						case r.kind == recordSocket && as[socketRecord](r.body).netns == ns.Inode():
							inode = as[socketRecord](r.body).inode
						case r.kind == recordID && as[idRecord](r.body).netns == ns.Inode():
							inode = uint64(as[idRecord](r.body).inode)
						default:
							continue
						}
						if met++; !whole[inode] {
							return fmt.Errorf("socket %d is none", inode)
						}
					}
					return r.err
				}
				if err := s.readRuns(context.Background(), []run{s.run(program, it, ask, apply)}); err != nil {
					wrong++
					t.Errorf("%s, memory %d: %v", program, n, err)
				}
			}
		}
	}
	if met == 0 {
		t.Error("no socket of the namespace was shown")
	}
	testenv.Tried(t, tried, wrong)
}
