package sockdiag

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/netns"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// A space is a network namespace with our sockets and files in it, which can be
// used from any thread.
//
// Each of its sockets and files keeps the namespace alive. So it is kept from
// one call to the next only while the namespace is asked for, and no more of
// them than Options.Keep.
type space struct {
	inode uint32
	// conns are for TCP with MPTCP, for UDP with UDP-Lite, and for the second
	// half of a split dump, which may all be read at the same time.
	conns [3]*conn
	// protocols and sockstat are the files of the census, nil without procfs.
	protocols, sockstat *os.File
	// used is the number of the last pass over it.
	used uint64
	// broken: a conn holds the rest of an answer and is of no use any more.
	broken atomic.Bool
}

// lanes of a space's conns.
const (
	laneTCP = iota
	laneUDP
	laneHalf
)

// openSpace opens the sockets and files in the namespace of the calling thread.
func openSpace(inode uint32) (*space, error) {
	n := &space{inode: inode}
	for i := range n.conns {
		c, err := openConn()
		if err != nil {
			n.close()
			return nil, err
		}
		n.conns[i] = c
	}
	// Without procfs, or if it hides them, nothing is left out.
	n.protocols, _ = os.Open("/proc/thread-self/net/protocols")
	n.sockstat, _ = os.Open("/proc/thread-self/net/sockstat")
	return n, nil
}

// sockets is how many sockets of the namespace are our own.
func (n *space) sockets() int { return len(n.conns) }

func (n *space) close() error {
	var errs []error
	for _, c := range n.conns {
		if c != nil {
			errs = append(errs, c.close())
		}
	}
	for _, f := range []*os.File{n.protocols, n.sockstat} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// census counts the sockets of the namespace. It looks twice and takes the larger
// numbers: the kernel adds up its CPUs one after the other, and while sockets
// come and go a sum may be too small for a moment.
func (n *space) census(buf []byte, countsMPTCP bool) census {
	c := n.look(buf)
	if c.known {
		c = c.larger(n.look(buf))
	}
	c.countsMPTCP = countsMPTCP
	return c
}

// look reads the two files once.
func (n *space) look(buf []byte) census {
	if n.protocols == nil || n.sockstat == nil {
		return census{}
	}
	half := len(buf) / 2
	p, ok := readWhole(n.protocols, buf[:half])
	s, ok2 := readWhole(n.sockstat, buf[half:])
	if !ok || !ok2 {
		return census{}
	}
	return parseCensus(p, s)
}

// readWhole reads a file of procfs from its start, as it is now.
func readWhole(f *os.File, buf []byte) ([]byte, bool) {
	n := 0
	for n < len(buf) {
		m, err := f.ReadAt(buf[n:], int64(n))
		n += m
		if errors.Is(err, io.EOF) {
			return buf[:n], true
		}
		if err != nil {
			return nil, false
		}
	}
	return nil, false
}

// deviceName returns the name of a network device of the namespace, "" if its
// index is free by now.
func (n *space) deviceName(index uint32) string {
	var ifr struct {
		name  [unix.IFNAMSIZ]byte
		index int32
		_     [20]byte
	}
	ifr.index = int32(index)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(n.conns[laneTCP].FD()), unix.SIOCGIFNAME, uintptr(unsafe.Pointer(&ifr)))
	if errno != 0 {
		return ""
	}
	return unix.ByteSliceToString(ifr.name[:])
}

// enter opens a space in each namespace of refs and calls got with it, all on one
// thread.
func enter(refs []source.NetNSRef, got func(source.NetNSRef, *space, error)) error {
	return netns.OnThread(func(thread *netns.Thread) error {
		for _, ref := range refs {
			n, err := enterOne(thread, ref)
			got(ref, n, err)
		}
		return nil
	})
}

// enterOne moves the thread into a namespace and opens a space there.
func enterOne(thread *netns.Thread, ref source.NetNSRef) (*space, error) {
	if err := thread.Enter(ref.Path, ref.Inode); err != nil {
		return nil, err
	}
	return openSpace(ref.Inode)
}
