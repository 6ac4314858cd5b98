//go:build unix

package spool

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// AwaitReader calls gone when the reader of a pipe goes away; a write would
// notice it only with something to write. If w is no pipe or socket, AwaitReader
// returns at once. Otherwise it returns when the reader is gone.
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
