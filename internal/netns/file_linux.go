package netns

import (
	"errors"
	"fmt"
	"io/fs"

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
// /proc/PID/ns/net, a descriptor /proc/PID/fd/N, or a mount that another process
// sees ([ThroughRoot]). It returns [ErrGone] if the path leads elsewhere or
// nowhere, and [ErrNoWay] for an empty path.
//
// A path may be changed by others at any moment. Opening a device or a pipe has
// effects, and another's file system may never answer: so Open first looks at the
// file without opening it, asks nothing of its file system, and opens it only as
// a network namespace of this number.
func Open(path string, inode uint32) (*File, error) {
	if path == "" {
		return nil, ErrNoWay
	}
	look, err := lookAt(path)
	if err != nil {
		return nil, openError(err)
	}
	defer unix.Close(look)
	if err := confirm(look, inode); err != nil {
		return nil, openError(err)
	}
	fd, err := reopen(look)
	if err != nil {
		return nil, openError(err)
	}
	if err := confirmOpen(fd, inode); err != nil {
		unix.Close(fd)
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

// IsMount reports whether the file at path, as for [Open], is the namespace of
// this number. The error is the reason not to know.
func IsMount(path string, inode uint32) (bool, error) {
	look, err := lookAt(path)
	if err != nil {
		return false, openError(err)
	}
	defer unix.Close(look)
	err = confirm(look, inode)
	if errors.Is(err, ErrGone) {
		return false, nil
	}
	return err == nil, err
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
func (f *File) Path() string { return fmt.Sprintf("/proc/self/fd/%d", f.fd) }

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

// confirm returns [ErrGone] unless the descriptor, which need not be open for
// reading, is the namespace of this number.
func confirm(fd int, inode uint32) error {
	found, err := inodeOf(fd)
	if err == nil && found != inode {
		err = ErrGone
	}
	return err
}

// inodeOf returns the number of the namespace that the descriptor is, whatever
// its kind, and [ErrGone] for any other file. All namespaces are on one device,
// and what the kernel knows of a file without asking its file system is enough.
func inodeOf(fd int) (uint32, error) {
	var own unix.Stat_t
	if err := unix.Stat(selfPath, &own); err != nil {
		return 0, err
	}
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_INO, &st); err != nil {
		return 0, err
	}
	if unix.Mkdev(st.Dev_major, st.Dev_minor) != own.Dev {
		return 0, ErrGone
	}
	return uint32(st.Ino), nil
}

// confirmOpen returns [ErrGone] unless the open descriptor is the network
// namespace of this number, by the word of its own file system.
func confirmOpen(fd int, inode uint32) error {
	var system unix.Statfs_t
	if err := unix.Fstatfs(fd, &system); err != nil {
		return err
	}
	if uint32(system.Type) != unix.NSFS_MAGIC {
		return ErrGone
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
	if errors.Is(err, unix.ENOTTY) { // before Linux 4.11
		kind, err = unix.CLONE_NEWNET, nil
	}
	if err != nil {
		return err
	}
	if kind != unix.CLONE_NEWNET || uint32(st.Ino) != inode {
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
