package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"golang.org/x/sys/unix"
)

// A File is an open network namespace, which lives as long as the file is open.
// Whoever opened it closes it. It is safe for concurrent use but for Close.
type File struct {
	// Inode is the namespace's number.
	Inode uint32
	fd    int
}

// Open opens the namespace of that number by a file that leads to it: a bind
// mount, /proc/PID/ns/net or a descriptor /proc/PID/fd/N. It returns [ErrGone]
// where the path leads elsewhere or nowhere, and [ErrNoWay] for an empty path.
//
// To open a device or a pipe does something, so that nothing is opened before
// it is known to be a namespace.
func Open(path string, inode uint32) (*File, error) {
	if path == "" {
		return nil, ErrNoWay
	}
	look, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, openError(err)
	}
	defer unix.Close(look)
	if err := confirm(look, inode); err != nil {
		return nil, openError(err)
	}
	fd, err := unix.Open("/proc/thread-self/fd/"+strconv.Itoa(look), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, openError(err)
	}
	return &File{Inode: inode, fd: fd}, nil
}

// OpenSelf opens the calling thread's namespace.
func OpenSelf() (*File, error) {
	inode, err := Self()
	if err != nil {
		return nil, err
	}
	return Open(selfPath, inode)
}

// OfSocket opens the namespace of an open socket. It needs CAP_NET_ADMIN in
// that namespace, and Linux 4.9.
func OfSocket(socket int) (*File, error) {
	fd, err := unix.IoctlRetInt(socket, unix.SIOCGSKNS)
	if err != nil {
		return nil, openError(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return nil, openError(err)
	}
	return &File{Inode: uint32(st.Ino), fd: fd}, nil
}

// CookieOfSocket returns the cookie of an open socket's namespace, which is
// never given twice and costs less to ask for than the namespace itself. It
// needs nothing. Since Linux 5.14 (SO_NETNS_COOKIE); sparc and parisc number
// the option otherwise, and are asked in vain.
func CookieOfSocket(socket int) (uint64, error) {
	const soNetNSCookie = 71 // asm-generic/socket.h
	return unix.GetsockoptUint64(socket, unix.SOL_SOCKET, soNetNSCookie)
}

// FD returns the descriptor, which stays the File's.
func (f *File) FD() int { return f.fd }

// Path returns a path by which this process can open the namespace.
func (f *File) Path() string { return "/proc/self/fd/" + strconv.Itoa(f.fd) }

// Close gives the namespace back. A second call returns [fs.ErrClosed].
func (f *File) Close() error {
	if f.fd < 0 {
		return fmt.Errorf("close network namespace %d: %w", f.Inode, fs.ErrClosed)
	}
	err := unix.Close(f.fd)
	f.fd = -1
	if err != nil {
		return fmt.Errorf("close network namespace %d: %w", f.Inode, err)
	}
	return nil
}

// confirm returns ErrGone where the descriptor is not the namespace of that
// number.
func confirm(fd int, inode uint32) error {
	var st unix.Stat_t
	var system unix.Statfs_t
	if err := errors.Join(unix.Fstat(fd, &st), unix.Fstatfs(fd, &system)); err != nil {
		return err
	}
	if uint32(system.Type) != unix.NSFS_MAGIC || uint32(st.Ino) != inode {
		return ErrGone
	}
	return nil
}

// openError says what was under way. What is not there is gone.
func openError(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
		err = ErrGone
	}
	return fmt.Errorf("open network namespace: %w", err)
}
