//go:build unix

package spool

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// AwaitReader calls gone when the reader of a pipe has gone away, which a write
// would show only when there is something to write. It returns at once where w
// is no pipe or socket, else only when the reader has gone.
func AwaitReader(w io.Writer, gone func()) {
	f, ok := w.(*os.File)
	if !ok {
		return
	}
	if info, err := f.Stat(); err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return
	}
	fds := []unix.PollFd{{Fd: int32(f.Fd())}} // errors and hang-ups are always reported
	for {
		n, err := unix.Poll(fds, -1)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return // then a write will show it
		case n > 0 && fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0:
			gone()
			return
		case n > 0:
			return
		}
	}
}
