package netns

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
)

// A Process is an open process. Its descriptors can be borrowed. It stays this
// very process, even when another gets its number. Its opener closes it.
type Process struct {
	pid uint32
	fd  int
}

// OpenProcess opens a process by its number in the caller's own pid namespace.
// It needs no privilege. [ErrGone]: there is none.
func OpenProcess(pid uint32) (*Process, error) {
	fd, err := unix.PidfdOpen(int(pid), 0)
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, borrowError(err))
	}
	return &Process{pid: pid, fd: fd}, nil
}

// Borrow returns a copy of a descriptor of the process. The caller closes it;
// until then it keeps the file open. The file may be another by now than the
// caller expects. It needs the right to attach to the process (CAP_SYS_PTRACE
// for other users'). [ErrGone]: the process or the descriptor is no more.
// [whose.ErrUnsupported]: before Linux 5.6.
func (p *Process) Borrow(fd int32) (int, error) {
	copied, err := unix.PidfdGetfd(p.fd, int(fd), 0)
	if err != nil {
		return -1, fmt.Errorf("borrow descriptor %d of process %d: %w", fd, p.pid, borrowError(err))
	}
	return copied, nil
}

// Close releases the process.
func (p *Process) Close() error { return unix.Close(p.fd) }

// borrowError gives the meaning of an errno of the two calls.
func borrowError(err error) error {
	switch {
	case errors.Is(err, unix.ESRCH), errors.Is(err, unix.EBADF):
		return ErrGone
	case errors.Is(err, unix.ENOSYS):
		return &whose.UnsupportedError{What: "pidfd_getfd", Since: "5.6", Err: err}
	}
	return err
}
