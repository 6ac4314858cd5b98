//go:build unix

package main

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// waitForReader calls gone when the reader of a pipe has gone away, so that
// whose watch | head ends when head does and not with the next event.
func waitForReader(w io.Writer, gone func()) {
	f, ok := w.(*os.File)
	if !ok {
		return
	}
	if info, err := f.Stat(); err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return
	}
	fds := []unix.PollFd{{Fd: int32(f.Fd())}} // errors and hang-ups are always told
	for {
		n, err := unix.Poll(fds, -1)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return // then a write will tell
		case n > 0 && fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0:
			gone()
			return
		case n > 0:
			return
		}
	}
}
