package procnet

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/netns"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

func inodeOf(t testing.TB, c syscall.Conn) uint64 {
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var stat unix.Stat_t
	if err := raw.Control(func(fd uintptr) { err = unix.Fstat(int(fd), &stat) }); err != nil {
		t.Fatal(err)
	}
	return stat.Ino
}

func find(snap *source.Snapshot, inode uint64) *source.Socket {
	for i := range snap.Sockets {
		if snap.Sockets[i].Inode == inode {
			return &snap.Sockets[i]
		}
	}
	return nil
}

// TestRead_Path reads a namespace that is held by a descriptor alone.
func TestRead_Path(t *testing.T) {
	testenv.CheckLeaks(t)
	ns := testenv.NewNetNS(t)
	var listener, packet syscall.Conn
	ns.Do(func() {
		l, err := net.Listen("tcp", "127.0.0.1:4711")
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { l.Close() })
		p, err := net.ListenPacket("udp", "[::1]:4712")
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { p.Close() })
		listener, packet = l.(*net.TCPListener), p.(*net.UDPConn)
	})
	if t.Failed() {
		return
	}
	snap := read(t, "", source.Query{Visit: []source.NetNSRef{{Inode: ns.Inode(), Path: ns.Path()}}})
	if len(snap.Gaps) != 0 || len(snap.Sockets) != 2 {
		t.Fatalf("%d sockets, want 2; gaps %v", len(snap.Sockets), snap.Gaps)
	}
	s := find(snap, inodeOf(t, listener))
	if s == nil || s.State != whose.Listen || s.Local != addr16("127.0.0.1") || s.LocalPort != 4711 || s.NetNS != ns.Inode() {
		t.Errorf("listener read as %+v", s)
	}
	s = find(snap, inodeOf(t, packet))
	if s == nil || s.Proto != whose.UDP || s.Family != whose.IPv6 || s.State != whose.Unconn ||
		netip.AddrFrom16(s.Local) != netip.IPv6Loopback() || s.LocalPort != 4712 {
		t.Errorf("udp socket read as %+v", s)
	}
	// The file names another namespace by now: nothing of that is read. The last
	// thread in the wanted one may not have ended yet, and is a way in till then.
	snap = read(t, "", source.Query{Visit: []source.NetNSRef{{Inode: ns.Inode(), Path: "/proc/self/ns/net"}}})
	for i := range snap.Sockets {
		if s := &snap.Sockets[i]; s.Inode != inodeOf(t, listener) && s.Inode != inodeOf(t, packet) {
			t.Errorf("a socket of another namespace: %+v", s)
		}
	}
}

// TestRead_ManyUDP reads more sockets than the kernel gives in one piece.
func TestRead_ManyUDP(t *testing.T) {
	ns := testenv.NewNetNS(t)
	const count = 500
	var files []int
	t.Cleanup(func() {
		for _, fd := range files {
			unix.Close(fd)
		}
	})
	ns.Do(func() {
		for range count {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Error(err)
				return
			}
			files = append(files, fd)
			if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	snap := read(t, "", source.Query{Visit: []source.NetNSRef{{Inode: ns.Inode(), Path: ns.Path()}}})
	if len(snap.Sockets) != count || len(snap.Gaps) != 0 {
		t.Errorf("%d sockets, want %d, each once; gaps %v", len(snap.Sockets), count, snap.Gaps)
	}
}

// TestRead_Thread reads this process's own namespace through its main thread.
func TestRead_Thread(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	inode, err := netns.Inode("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, tid := range []uint32{uint32(os.Getpid()), 0} { // 0: the own namespace needs no way
		snap := read(t, "", source.Query{Visit: []source.NetNSRef{{Inode: inode, TID: tid}}})
		s := find(snap, inodeOf(t, l.(*net.TCPListener)))
		if s == nil || s.State != whose.Listen || int(s.LocalPort) != l.Addr().(*net.TCPAddr).Port {
			t.Errorf("by thread %d: listener read as %+v; gaps %v", tid, s, snap.Gaps)
		}
	}
}
