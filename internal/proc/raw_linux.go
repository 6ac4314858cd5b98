package proc

// The system calls of the walk, made without allocation: names are
// NUL-terminated bytes, results are errnos. The hot loop is in
// descriptors_linux.go.

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	openDir = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC
	// Not blocking: under a root other than procfs a file may be a pipe.
	openFile = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC
	openPath = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC
)

// A cname is a NUL-terminated file name, built in place.
type cname struct {
	b [96]byte
	n int
}

// set makes the name of the parts, a number n between them if n >= 0.
func (c *cname) set(before string, n int64, after string) *cname {
	c.n = copy(c.b[:], before)
	if n >= 0 {
		c.number(uint64(n))
	}
	c.n += copy(c.b[c.n:len(c.b)-1], after)
	c.b[c.n] = 0
	return c
}

// number appends n in decimal.
func (c *cname) number(n uint64) {
	var digits [20]byte
	i := len(digits)
	for {
		i--
		digits[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			break
		}
	}
	c.n += copy(c.b[c.n:len(c.b)-1], digits[i:])
}

// openat opens name under dir.
func openat(dir int, name *cname, flags int) (int, unix.Errno) {
	for {
		fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(dir),
			uintptr(unsafe.Pointer(&name.b[0])), uintptr(flags), 0, 0, 0)
		if errno != unix.EINTR {
			return int(fd), errno
		}
	}
}

// openat2 opens name under dir and nothing beyond: it follows no symbolic link
// and leaves the file system of dir nowhere. Since Linux 5.6.
func openat2(dir int, name *cname, flags int) (int, unix.Errno) {
	how := unix.OpenHow{Flags: uint64(flags), Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV}
	for {
		fd, _, errno := unix.Syscall6(unix.SYS_OPENAT2, uintptr(dir), uintptr(unsafe.Pointer(&name.b[0])),
			uintptr(unsafe.Pointer(&how)), unsafe.Sizeof(how), 0, 0)
		if errno != unix.EINTR {
			return int(fd), errno
		}
	}
}

// readlinkat reads the link name under dir into buf and returns how many bytes
// came.
func readlinkat(dir int, name *cname, buf []byte) (int, unix.Errno) {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_READLINKAT, uintptr(dir),
			uintptr(unsafe.Pointer(&name.b[0])), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// readlinkNow is readlinkat for a procfs, where it never waits: the scheduler is
// not involved.
func readlinkNow(dir int, name *cname, buf []byte) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_READLINKAT, uintptr(dir),
			uintptr(unsafe.Pointer(&name.b[0])), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// getdents reads entries of the directory into buf.
func getdents(dir int, buf []byte) (int, unix.Errno) {
	for {
		n, _, errno := unix.Syscall(unix.SYS_GETDENTS64, uintptr(dir),
			uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// read reads from fd into buf until it is full or the file ends.
func read(fd int, buf []byte) (int, unix.Errno) {
	total := 0
	for total < len(buf) {
		n, _, errno := unix.Syscall(unix.SYS_READ, uintptr(fd),
			uintptr(unsafe.Pointer(&buf[total])), uintptr(len(buf)-total))
		switch {
		case errno == unix.EINTR:
		case errno != 0:
			return total, errno
		case n == 0:
			return total, 0
		default:
			total += int(n)
		}
	}
	return total, 0
}

// closeFD closes a descriptor used for reading only: a failure could mean
// nothing.
func closeFD(fd int) { unix.Syscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// readAt reads the file name under dir, whole or until buf is full.
func (f *FS) readAt(dir int, name *cname, buf []byte) (int, unix.Errno) {
	fd, errno := f.openat(dir, name, openFile)
	if errno != 0 {
		return 0, errno
	}
	n, errno := read(fd, buf)
	closeFD(fd)
	return n, errno
}

// statx fills st with the masked facts of name under dir.
func statx(dir int, name *cname, mask int, st *unix.Statx_t) unix.Errno {
	_, _, errno := unix.Syscall6(unix.SYS_STATX, uintptr(dir), uintptr(unsafe.Pointer(&name.b[0])),
		unix.AT_STATX_DONT_SYNC, uintptr(mask), uintptr(unsafe.Pointer(st)), 0)
	return errno
}

// gone reports whether errno stands for a process no longer there.
func gone(errno unix.Errno) bool { return errno == unix.ENOENT || errno == unix.ESRCH }

// denied reports whether errno is a refusal.
func denied(errno unix.Errno) bool { return errno == unix.EACCES || errno == unix.EPERM }

// entries calls each with every name of the directory from its position. The
// name is valid during the call. each returns false to end it.
func entries(dir int, buf []byte, each func(name []byte) bool) unix.Errno {
	for {
		n, errno := getdents(dir, buf)
		if errno != 0 || n == 0 {
			return errno
		}
		for rest := buf[:n]; len(rest) > 0; {
			var name []byte
			if name, rest = nextEntry(rest); name == nil || !each(name) {
				return 0
			}
		}
	}
}

// direntName is the offset of the name in struct linux_dirent64.
const direntName = 19

// nextEntry parts the name of the first entry from the rest, as getdents gave
// them. The name is nil if b is malformed.
func nextEntry(b []byte) (name, rest []byte) {
	if len(b) < direntName {
		return nil, nil
	}
	size := int(binary.NativeEndian.Uint16(b[16:]))
	if size <= direntName || size > len(b) {
		return nil, nil
	}
	name = b[direntName:size]
	for i, c := range name {
		if c == 0 {
			name = name[:i]
			break
		}
	}
	return name, b[size:]
}
