package proc

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
)

// SocketNetNS opens the network namespace of a socket that a process holds,
// which finds namespaces that nothing but a socket holds. The caller closes fd,
// which can be given to setns.
//
// For a moment it holds a copy of the socket's descriptor. It confirms that the
// copy is the socket of h, so that a number that is another's now is ErrGone.
//
// It needs Linux 5.6, the right to attach to the process (CAP_SYS_PTRACE),
// CAP_NET_ADMIN in the namespace, and a procfs of the caller's own pid
// namespace (Own).
func (f *FS) SocketNetNS(h whose.Holding) (fd int, inode uint32, err error) {
	if !f.own {
		return -1, 0, &whose.UnsupportedError{What: "entering the namespaces of processes under " + f.root}
	}
	pidfd, err := unix.PidfdOpen(int(h.PID), 0)
	if err != nil {
		return -1, 0, socketError(h, "open process", err)
	}
	defer closeFD(pidfd)
	socket, err := unix.PidfdGetfd(pidfd, int(h.FD), 0)
	if err != nil {
		return -1, 0, socketError(h, "copy descriptor", err)
	}
	defer closeFD(socket)
	var st unix.Stat_t
	if err := unix.Fstat(socket, &st); err != nil {
		return -1, 0, socketError(h, "stat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK || st.Ino != h.Inode {
		return -1, 0, socketError(h, "confirm inode", ErrGone)
	}
	return netNSOfSocket(h, socket)
}

// netNSOfSocket opens the namespace of an open socket.
func netNSOfSocket(h whose.Holding, socket int) (fd int, inode uint32, err error) {
	fd, err = unix.IoctlRetInt(socket, unix.SIOCGSKNS)
	if err != nil {
		return -1, 0, socketError(h, "ask for namespace", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		closeFD(fd)
		return -1, 0, socketError(h, "stat namespace", err)
	}
	return fd, uint32(st.Ino), nil
}

// socketError says of which socket; exit becomes ErrGone.
func socketError(h whose.Holding, what string, err error) error {
	switch err {
	case unix.ESRCH, unix.EBADF, unix.ENOENT:
		err = ErrGone
	case unix.ENOSYS:
		err = &whose.UnsupportedError{What: "pidfd_getfd", Since: "5.6", Err: err}
	}
	return fmt.Errorf("%s of socket %d (process %d, descriptor %d): %w", what, h.Inode, h.PID, h.FD, err)
}
