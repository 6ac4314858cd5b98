package proc

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/netns"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// NetNSOfSockets opens the network namespaces of the sockets of the holdings,
// each once, without the known ones: it finds those held by nothing but a
// socket. The caller closes them.
//
// It borrows each socket for a moment, and confirms it as the socket of its
// holding. Each process is opened once if holdings come process by process, as
// from a walk. A socket of a namespace met before costs three system calls, and
// three more before Linux 5.14.
//
// It needs Linux 5.6, the right to attach to the process (CAP_SYS_PTRACE),
// CAP_NET_ADMIN in the namespace, and a procfs of the caller's own pid
// namespace ([FS.Own]).
//
// It skips sockets already gone. unasked counts those that cannot be asked, for
// want of permission or on an older kernel. It ends when ctx does.
func (f *FS) NetNSOfSockets(ctx context.Context, holdings []source.Holding, known func(inode uint32) bool) (open []*netns.File, unasked int) {
	if !f.own {
		return nil, len(holdings)
	}
	s := socketScan{known: known, cookies: map[uint64]bool{}, inodes: map[uint32]bool{}}
	defer s.close()
	for i, h := range holdings {
		if i&63 == 0 && ctx.Err() != nil {
			break
		}
		if err := s.look(h); err != nil && !errors.Is(err, netns.ErrGone) {
			unasked++
		}
	}
	return s.open, unasked
}

// A socketScan is one NetNSOfSockets under way.
type socketScan struct {
	known   func(uint32) bool
	pid     uint32         // the process opened last
	process *netns.Process // nil where it could not be opened, since err
	err     error
	cookies map[uint64]bool
	inodes  map[uint32]bool
	open    []*netns.File
}

func (s *socketScan) close() {
	if s.process != nil {
		_ = s.process.Close() // nothing was written
	}
}

// look opens the namespace of a socket, unless it was met.
func (s *socketScan) look(h source.Holding) error {
	if s.pid != h.PID {
		s.close()
		s.pid = h.PID
		s.process, s.err = netns.OpenProcess(h.PID)
	}
	if s.process == nil {
		return s.err
	}
	socket, err := s.process.Borrow(h.FD)
	if err != nil {
		return err
	}
	defer closeFD(socket)
	cookie, cookieErr := netns.CookieOfSocket(socket)
	if cookieErr == nil && s.cookies[cookie] {
		return nil
	}
	if err := confirmSocket(socket, h.Inode); err != nil {
		return err
	}
	file, err := netns.OfSocket(socket)
	if err != nil {
		return err
	}
	if cookieErr == nil {
		s.cookies[cookie] = true
	}
	if s.inodes[file.Inode] || s.known(file.Inode) {
		return file.Close()
	}
	s.inodes[file.Inode] = true
	s.open = append(s.open, file)
	return nil
}

// confirmSocket returns [netns.ErrGone] if the descriptor is by now another's
// than the socket with the inode.
func confirmSocket(fd int, inode uint64) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK || st.Ino != inode {
		return netns.ErrGone
	}
	return nil
}
