package proc

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// NetNSOfSockets opens the network namespaces that the sockets of the holdings
// are in, each once, without those that known says are known: so namespaces are
// found that nothing but a socket holds. The caller closes them. A process is
// opened once, and a socket of a namespace that was met costs three system calls
// (SO_NETNS_COOKIE, since Linux 5.14). Holdings are best in the order of a walk,
// process by process.
//
// For a moment it holds a copy of each socket's descriptor. It confirms that the
// copy is the socket of its holding, since the number may be another's by now.
//
// It needs Linux 5.6, the right to attach to the process (CAP_SYS_PTRACE),
// CAP_NET_ADMIN in the namespace, and a procfs of the caller's own pid
// namespace (Own).
//
// Sockets that are gone are passed over, and so are those that cannot be asked,
// for want of permission or on an older kernel: unasked counts the latter. It
// ends when ctx does.
func (f *FS) NetNSOfSockets(ctx context.Context, holdings []source.Holding, known func(inode uint32) bool) (open []*NetNSFile, unasked int) {
	s := socketScan{fs: f, known: known, pidfd: -1, cookies: map[uint64]bool{}, inodes: map[uint32]bool{}}
	defer s.close()
	for i, h := range holdings {
		if i&63 == 0 && ctx.Err() != nil {
			break
		}
		s.look(h)
	}
	return s.open, s.unasked
}

// A socketScan is one NetNSOfSockets under way.
type socketScan struct {
	fs      *FS
	known   func(uint32) bool
	pid     uint32 // the process that is open
	pidfd   int    // -1: it cannot be opened, since err
	err     error
	cookies map[uint64]bool
	inodes  map[uint32]bool
	open    []*NetNSFile
	unasked int
}

func (s *socketScan) close() {
	if s.pidfd >= 0 {
		closeFD(s.pidfd)
	}
}

// look opens the namespace of a socket, unless it was met.
func (s *socketScan) look(h source.Holding) {
	if s.pid != h.PID {
		s.close()
		if s.pidfd, s.err = s.fs.openProcess(h); s.err != nil {
			s.pidfd = -1
		}
		s.pid = h.PID
	}
	if s.pidfd < 0 {
		s.count(s.err)
		return
	}
	socket, err := unix.PidfdGetfd(s.pidfd, int(h.FD), 0)
	if err != nil {
		s.count(socketError(h, "copy descriptor", err))
		return
	}
	defer closeFD(socket)
	cookie, err := unix.GetsockoptUint64(socket, unix.SOL_SOCKET, soNetNSCookie)
	if err == nil && s.cookies[cookie] {
		return
	}
	ns, openErr := openNetNS(h, socket)
	if openErr != nil {
		s.count(openErr)
		return
	}
	if err == nil {
		s.cookies[cookie] = true
	}
	if s.inodes[ns.Inode] || s.known(ns.Inode) {
		closeFD(ns.fd)
		return
	}
	s.inodes[ns.Inode] = true
	s.open = append(s.open, ns)
}

// count counts a socket that is there and could not be asked.
func (s *socketScan) count(err error) {
	if !errors.Is(err, ErrGone) {
		s.unasked++
	}
}

// soNetNSCookie is SO_NETNS_COOKIE of the kernel's asm-generic/socket.h; sparc
// and parisc number it otherwise, and are asked in vain.
const soNetNSCookie = 71

// openProcess opens the process of a holding.
func (f *FS) openProcess(h source.Holding) (int, error) {
	if !f.own {
		return -1, &whose.UnsupportedError{What: "entering the namespaces of processes under " + f.root}
	}
	pidfd, err := unix.PidfdOpen(int(h.PID), 0)
	if err != nil {
		return -1, socketError(h, "open process", err)
	}
	return pidfd, nil
}

// openNetNS opens the namespace of an open socket, which has to be that of h.
func openNetNS(h source.Holding, socket int) (*NetNSFile, error) {
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
func socketError(h source.Holding, what string, err error) error {
	switch {
	case errors.Is(err, unix.ESRCH), errors.Is(err, unix.EBADF), errors.Is(err, unix.ENOENT):
		err = ErrGone
	case errors.Is(err, unix.ENOSYS):
		err = &whose.UnsupportedError{What: "pidfd_getfd", Since: "5.6", Err: err}
	}
	return fmt.Errorf("%s of socket %d (process %d, descriptor %d): %w", what, h.Inode, h.PID, h.FD, err)
}
