package proc

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
)

// SocketNetNS opens the network namespace of a socket that a process holds,
// which finds namespaces that nothing but a socket holds. The caller closes it.
//
// For a moment it holds a copy of the socket's descriptor. It confirms that the
// copy is the socket of h, so that a number that is another's now is ErrGone.
//
// It needs Linux 5.6, the right to attach to the process (CAP_SYS_PTRACE),
// CAP_NET_ADMIN in the namespace, and a procfs of the caller's own pid
// namespace (Own).
func (f *FS) SocketNetNS(h whose.Holding) (*NetNSFile, error) {
	if !f.own {
		return nil, &whose.UnsupportedError{What: "entering the namespaces of processes under " + f.root}
	}
	pidfd, err := unix.PidfdOpen(int(h.PID), 0)
	if err != nil {
		return nil, socketError(h, "open process", err)
	}
	defer closeFD(pidfd)
	socket, err := unix.PidfdGetfd(pidfd, int(h.FD), 0)
	if err != nil {
		return nil, socketError(h, "copy descriptor", err)
	}
	defer closeFD(socket)
	var st unix.Stat_t
	if err := unix.Fstat(socket, &st); err != nil {
		return nil, socketError(h, "stat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK || st.Ino != h.Inode {
		return nil, socketError(h, "confirm inode", ErrGone)
	}
	fd, err := unix.IoctlRetInt(socket, unix.SIOCGSKNS)
	if err != nil {
		return nil, socketError(h, "ask for namespace", err)
	}
	if err := unix.Fstat(fd, &st); err != nil {
		closeFD(fd)
		return nil, socketError(h, "stat namespace", err)
	}
	return &NetNSFile{Inode: uint32(st.Ino), fd: fd}, nil
}

// socketError says of which socket; exit becomes ErrGone.
func socketError(h whose.Holding, what string, err error) error {
	switch {
	case errors.Is(err, unix.ESRCH), errors.Is(err, unix.EBADF), errors.Is(err, unix.ENOENT):
		err = ErrGone
	case errors.Is(err, unix.ENOSYS):
		err = &whose.UnsupportedError{What: "pidfd_getfd", Since: "5.6", Err: err}
	}
	return fmt.Errorf("%s of socket %d (process %d, descriptor %d): %w", what, h.Inode, h.PID, h.FD, err)
}
