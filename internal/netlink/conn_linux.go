package netlink

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// socketBuffer bounds the bytes waiting in the kernel. A dump makes no more
	// than a few datagrams ahead of its reader.
	socketBuffer = 1 << 20
	// receiveTimeout bounds the wait for a datagram, in seconds. The kernel
	// makes the answer while it is read, so there is nothing to wait for.
	receiveTimeout = 10
)

// ErrTimeout reports that no datagram came for ten seconds. Use it with errors.Is.
var ErrTimeout = errors.New("the kernel did not answer")

var errEmpty = errors.New("empty datagram")

// A Conn is a NETLINK_SOCK_DIAG socket. It belongs to the network namespace in which
// it was opened, wherever it is used. It is not safe for concurrent use; whoever
// opened it closes it.
type Conn struct {
	fd   int
	port uint32
	// kernel is the address of the kernel: port 0.
	kernel unix.SockaddrNetlink
	// recvmsg fills these; kept here, they make a receive allocate nothing.
	msg  unix.Msghdr
	iov  unix.Iovec
	from unix.RawSockaddrNetlink
}

// Open opens a socket in the network namespace of the calling thread. It takes no
// privilege.
func Open() (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("open sock_diag socket: %w", err)
	}
	c := &Conn{fd: fd, kernel: unix.SockaddrNetlink{Family: unix.AF_NETLINK}}
	if err := c.setUp(); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return c, nil
}

func (c *Conn) setUp() error {
	tv := unix.Timeval{Sec: receiveTimeout}
	if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return fmt.Errorf("set receive timeout of sock_diag socket: %w", err)
	}
	// The larger buffer is a help, no need. FORCE wants CAP_NET_ADMIN, and the
	// limit allows enough for the two datagrams of a dump.
	if unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, socketBuffer) != nil {
		_ = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, socketBuffer)
	}
	if err := unix.Bind(c.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("bind sock_diag socket: %w", err)
	}
	sa, err := unix.Getsockname(c.fd)
	if err != nil {
		return fmt.Errorf("read name of sock_diag socket: %w", err)
	}
	if nl, ok := sa.(*unix.SockaddrNetlink); ok {
		c.port = nl.Pid
	}
	return nil
}

// FD returns the descriptor of the socket, which stays the Conn's.
func (c *Conn) FD() int { return c.fd }

// Port returns the port of the socket, which answers name.
func (c *Conn) Port() uint32 { return c.port }

// Close closes the socket.
func (c *Conn) Close() error { return unix.Close(c.fd) }

// Send sends a message to the kernel.
func (c *Conn) Send(b []byte) error {
	for {
		err := unix.Sendto(c.fd, b, 0, &c.kernel)
		if err != unix.EINTR {
			return err
		}
	}
}

// Receive reads one datagram of the kernel into buf. It reads datagrams
// of other senders and throws them away. A datagram larger than buf lacks its
// end, which its reader notices. The error is ENOBUFS if the kernel dropped something
// of an answer that goes on.
func (c *Conn) Receive(buf []byte) (int, error) {
	for {
		c.iov.Base = &buf[0]
		c.iov.SetLen(len(buf))
		c.msg = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&c.from)), Namelen: unix.SizeofSockaddrNetlink, Iov: &c.iov}
		c.msg.SetIovlen(1)
		n, _, errno := unix.Syscall(unix.SYS_RECVMSG, uintptr(c.fd), uintptr(unsafe.Pointer(&c.msg)), 0)
		runtime.KeepAlive(buf)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			return 0, ErrTimeout
		case errno != 0:
			return 0, errno
		case c.from.Pid != 0:
			continue
		case n == 0:
			return 0, errEmpty
		}
		return int(n), nil
	}
}
