package sockdiag

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"unsafe"

	"github.com/seed-44df2ae6/whose/internal/source"
	"golang.org/x/sys/unix"
)

// A netns is what is open in one network namespace. What is opened there
// stays there, so it can be used from any thread afterwards.
//
// Each of its sockets and files keeps the namespace alive. So it is kept from
// one call to the next only while the namespace is asked for, and no more of
// them than Options.Keep.
type netns struct {
	inode uint32
	// conns are for TCP with MPTCP, for UDP with UDP-Lite, and for the second
	// half of a split dump, which may all be read at the same time.
	conns [3]*conn
	// protocols and sockstat are the files of the census, nil without procfs.
	protocols, sockstat *os.File
	// used is the number of the pass that used it last.
	used uint64
	// broken: a conn holds the rest of an answer and is of no more use.
	broken atomic.Bool
}

// lanes of a netns's conns.
const (
	laneTCP = iota
	laneUDP
	laneHalf
)

// openNetNS opens what is needed in the namespace of the calling thread.
func openNetNS(inode uint32) (*netns, error) {
	n := &netns{inode: inode}
	for i := range n.conns {
		c, err := openConn()
		if err != nil {
			n.close()
			return nil, err
		}
		n.conns[i] = c
	}
	// Without procfs, or with one that hides them, nothing is left out.
	n.protocols, _ = os.Open("/proc/thread-self/net/protocols")
	n.sockstat, _ = os.Open("/proc/thread-self/net/sockstat")
	return n, nil
}

// sockets is how many sockets of the namespace are our own.
func (n *netns) sockets() int { return len(n.conns) }

func (n *netns) close() error {
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

// census looks what the namespace holds. It looks twice and takes the larger
// number: the kernel adds up counters of each CPU one after the other, so that
// while sockets come and go a sum may be too small for a moment.
func (n *netns) census(buf []byte, countsMPTCP bool) census {
	c := n.look(buf)
	if c.known {
		c = c.larger(n.look(buf))
	}
	c.countsMPTCP = countsMPTCP
	return c
}

// look reads the two files once.
func (n *netns) look(buf []byte) census {
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

// deviceName returns the name of a network device of the namespace, "" where
// there is none of that index any more.
func (n *netns) deviceName(index uint32) string {
	var ifr struct {
		name  [unix.IFNAMSIZ]byte
		index int32
		_     [20]byte
	}
	ifr.index = int32(index)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(n.conns[laneTCP].fd), unix.SIOCGIFNAME, uintptr(unsafe.Pointer(&ifr)))
	if errno != 0 {
		return ""
	}
	return unix.ByteSliceToString(ifr.name[:])
}

// errGone: the way into a namespace does not lead there any more.
var errGone = errors.New("gone before it could be entered")

// enter opens what is needed in the namespaces of refs and calls got for each,
// on one thread that is thrown away afterwards: a thread that cannot be
// brought back must not go on running other goroutines.
func enter(refs []source.NetNSRef, got func(source.NetNSRef, *netns, error)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// No UnlockOSThread: the thread ends with the goroutine.
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The main thread cannot be thrown away, and /proc/PID/ns shows
			// where it is. While this goroutine sits on it another cannot.
			enter(refs, got)
			runtime.UnlockOSThread()
			return
		}
		for _, ref := range refs {
			n, err := enterOne(ref)
			got(ref, n, err)
		}
	}()
	<-done
}

// enterOne moves the calling thread into a namespace and opens what is needed.
func enterOne(ref source.NetNSRef) (*netns, error) {
	path := ref.Path
	if path == "" && ref.TID != 0 {
		path = "/proc/" + strconv.FormatUint(uint64(ref.TID), 10) + "/ns/net"
	}
	if path == "" {
		return nil, errors.New("no way in is known")
	}
	fd, err := openNamespace(path, ref.Inode)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	return openNetNS(ref.Inode)
}

// nsfsMagic is the type of the file system that namespaces are files of.
const nsfsMagic = 0x6e736673

// openNamespace opens the file of a namespace if it is that namespace. A
// process id or a descriptor may have been given to somebody else meanwhile,
// and to open a device or a pipe does something, so it is looked at first.
func openNamespace(path string, inode uint32) (int, error) {
	look, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT || err == unix.ESRCH {
		return -1, errGone
	}
	if err != nil {
		return -1, err
	}
	defer unix.Close(look)
	var st unix.Stat_t
	var fs unix.Statfs_t
	if err := unix.Fstat(look, &st); err != nil {
		return -1, err
	}
	if err := unix.Fstatfs(look, &fs); err != nil {
		return -1, err
	}
	if int64(fs.Type) != nsfsMagic || uint32(st.Ino) != inode {
		return -1, errGone
	}
	return unix.Open("/proc/thread-self/fd/"+strconv.Itoa(look), unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

// ownInode returns the inode number of the calling thread's namespace.
func ownInode() (uint32, error) {
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		return 0, fmt.Errorf("stat own network namespace: %w", err)
	}
	return uint32(st.Ino), nil
}
