package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"golang.org/x/sys/unix"
)

// A File is an open network namespace. The namespace lives as long as the file
// is open. Its opener closes it. It is safe for concurrent use but for Close.
type File struct {
	// Inode is the namespace's number.
	Inode uint32
	fd    int
}

// Open opens the namespace of this number by a file: a bind mount,
// /proc/PID/ns/net or a descriptor /proc/PID/fd/N. It returns [ErrGone] if the
// path leads elsewhere or nowhere, and [ErrNoWay] for an empty path.
//
// Opening a device or a pipe has effects, so Open first confirms the file to be
// a namespace.
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

// OfSocket opens the namespace of an open socket. It needs CAP_NET_ADMIN in this
// namespace, and Linux 4.9.
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

// CookieOfSocket returns the cookie of an open socket's namespace. A cookie is
// never given twice and costs less than the namespace itself. It needs no
// privilege. Since Linux 5.14 (SO_NETNS_COOKIE). On sparc and parisc, where the
// option has another number, it fails.
func CookieOfSocket(socket int) (uint64, error) {
	const soNetNSCookie = 71 // asm-generic/socket.h
	return unix.GetsockoptUint64(socket, unix.SOL_SOCKET, soNetNSCookie)
}

// FD returns the descriptor. It stays the File's.
func (f *File) FD() int { return f.fd }

// Path returns a path to the namespace for this process.
func (f *File) Path() string { return "/proc/self/fd/" + strconv.Itoa(f.fd) }

// Close releases the namespace. A second call returns [fs.ErrClosed].
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

// confirm returns [ErrGone] unless the descriptor is the namespace of this
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

// openError adds the operation. A missing file is gone.
func openError(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
		err = ErrGone
	}
	return fmt.Errorf("open network namespace: %w", err)
}
