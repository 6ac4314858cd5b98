package api

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/agent"
	"github.com/seed-44df2ae6/whose/internal/folder"
)

// A Socket is the Unix socket of an agent. Whoever made it closes it.
type Socket struct {
	net.Listener
	path string
	lock *os.File
	made os.FileInfo
	gid  int
}

// ListenUnix makes the socket of an agent. Nobody but root and the caller may exchange
// it: every directory on the way is theirs, and none may be written by others, unless
// it is sticky and is not the last. The last directory is made where it is missing. A
// socket of an agent that is gone is replaced, one of an agent that lives is an error.
// The group may ask it, the caller's own for -1; all others may, with mode 0666.
func ListenUnix(path string, gid int, mode fs.FileMode) (*Socket, error) {
	if gid < 0 {
		gid = os.Getegid()
	}
	s := &Socket{path: path, gid: gid}
	if err := s.listen(mode); err != nil {
		return nil, errors.Join(fmt.Errorf("listen at %s: %w", path, err), s.release())
	}
	return s, nil
}

func (s *Socket) listen(mode fs.FileMode) error {
	if err := safeDir(filepath.Dir(s.path)); err != nil {
		return err
	}
	if err := s.takeLock(); err != nil {
		return err
	}
	if err := s.vacate(); err != nil {
		return err
	}
	// It gets its name when it has its mode and its group.
	hidden := s.path + ".new"
	if err := os.Remove(hidden); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: hidden, Net: "unix"})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false)
	s.Listener = l
	err = os.Chown(hidden, -1, s.gid)
	if err == nil {
		err = os.Chmod(hidden, mode)
	}
	if err == nil {
		err = os.Rename(hidden, s.path)
	}
	if err != nil {
		return errors.Join(err, l.Close(), os.Remove(hidden))
	}
	s.made, err = os.Lstat(s.path)
	return err
}

// takeLock holds a lock beside the socket for as long as the agent lives.
func (s *Socket) takeLock() error {
	lock, err := folder.Lock(s.path + ".lock")
	if errors.Is(err, folder.ErrLocked) {
		return whose.WithHint(&AccessError{errors.New("another agent has it")}, "one agent is enough; or name another with --socket")
	}
	s.lock = lock
	return err
}

// vacate checks what is at the path: nothing, or the socket of an agent that is gone.
func (s *Socket) vacate() error {
	info, err := os.Lstat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return &AccessError{errors.New("there is something that is no socket")}
	}
	conn, err := net.DialTimeout("unix", s.path, time.Second)
	if err == nil {
		_ = conn.Close() // nothing was asked
		return whose.WithHint(&AccessError{errors.New("somebody answers there")}, "name another with --socket")
	}
	return nil // the new one takes its name
}

// Close ends the listening and removes the socket, unless another stands there by now.
func (s *Socket) Close() error {
	var errs []error
	if s.Listener != nil {
		if err := s.Listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if now, err := os.Lstat(s.path); err == nil && s.made != nil && os.SameFile(now, s.made) {
		errs = append(errs, os.Remove(s.path))
	}
	return errors.Join(append(errs, s.release())...)
}

func (s *Socket) release() error {
	if s.lock == nil {
		return nil
	}
	err := s.lock.Close()
	s.lock = nil
	return err
}

// safeDir makes the directory where it is missing, and checks the way to it.
func safeDir(dir string) error {
	err := folder.Make(dir, 0o755)
	var unsafe *folder.UnsafeError
	if errors.As(err, &unsafe) {
		return whose.WithHint(&AccessError{err}, "name a socket in a directory of your own with --socket")
	}
	return err
}

// ServeUnix serves on a socket until Close. Each asker sees what whose would show him:
// all if he is root or of the socket's group, else the owners of his own sessions.
func (s *Server) ServeUnix(socket *Socket) *Serving {
	return serve(service(s.handler(), func(c net.Conn) (agent.Viewer, bool) { return s.viewer(c, socket.gid) }), newBounded(socket, mostConns))
}

// viewer finds out who is at the other end.
func (s *Server) viewer(c net.Conn, gid int) (agent.Viewer, bool) {
	if b, ok := c.(*boundedConn); ok {
		c = b.Conn
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return agent.Viewer{}, false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return agent.Viewer{}, false
	}
	var cred *unix.Ucred
	var groups []uint32
	var bad error
	err = raw.Control(func(fd uintptr) {
		if cred, bad = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); bad == nil {
			groups = peerGroups(int(fd))
		}
	})
	if err != nil || bad != nil {
		return agent.Viewer{}, false
	}
	inGroup := gid > 0 && (cred.Gid == uint32(gid) || slices.Contains(groups, uint32(gid)))
	return agent.Viewer{All: cred.Uid == 0 || int(cred.Uid) == os.Geteuid() || inGroup, UID: cred.Uid, NetNS: s.NetNS}, true
}

// soPeerGroups is SO_PEERGROUPS, since Linux 4.13.
const soPeerGroups = 59

// peerGroups returns the further groups of the process at the other end, none where the
// kernel does not say them.
func peerGroups(fd int) []uint32 {
	groups := make([]uint32, 64)
	for {
		size := uint32(4 * len(groups))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, soPeerGroups,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == 0:
			return groups[:size/4]
		case errno != unix.ERANGE || size > 4*65536:
			return nil
		}
		groups = make([]uint32, size/4)
	}
}
