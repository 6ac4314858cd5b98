package sockdiag

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// datagramSize is the size of the receive buffer. The kernel fills
	// datagrams of up to 32 KiB for a reader with as much room.
	datagramSize = 64 << 10
	// socketBuffer bounds the bytes waiting in the kernel. A dump makes no more
	// than a few datagrams ahead of its reader.
	socketBuffer = 1 << 20
	// receiveTimeout bounds the wait for a datagram, in seconds. The kernel
	// makes the answer while it is read, so there is nothing to wait for.
	receiveTimeout = 10
)

var (
	errTimeout = errors.New("the kernel did not answer")
	errEmpty   = errors.New("empty datagram")
)

// conn is a NETLINK_SOCK_DIAG socket. It belongs to the network namespace in
// which it was opened, wherever it is used. Not safe for concurrent use.
type conn struct {
	fd   int
	port uint32
	seq  uint32
	req  []byte
	// kernel is the address of the kernel: port 0.
	kernel unix.SockaddrNetlink
	// send sends a request, receive reads a datagram of the answer. They are
	// fields so a test can be the kernel.
	send    func([]byte) error
	receive func([]byte) (int, error)
	// recvmsg fills these; kept here, they make a receive allocate nothing.
	msg  unix.Msghdr
	iov  unix.Iovec
	from unix.RawSockaddrNetlink
}

// openConn opens a socket in the network namespace of the calling thread.
func openConn() (*conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("open sock_diag socket: %w", err)
	}
	c := &conn{fd: fd, kernel: unix.SockaddrNetlink{Family: unix.AF_NETLINK}}
	c.send, c.receive = c.sendKernel, c.receiveKernel
	if err := c.setUp(); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return c, nil
}

func (c *conn) setUp() error {
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

func (c *conn) close() error { return unix.Close(c.fd) }

// run sends a request and reads the answer to its end, with buf as the place of
// each datagram. After an error the socket may still hold a part of the answer
// and is of no more use. An error in the kernel's answer is in d.errno instead,
// and leaves the socket usable.
func (c *conn) run(ctx context.Context, r *request, d *dump, buf []byte, out *rows) error {
	c.seq++
	d.seq, d.port, d.last = c.seq, c.port, len(out.sockets)
	c.req = r.appendTo(c.req[:0], c.seq)
	if err := c.send(c.req); err != nil {
		return fmt.Errorf("%s: send: %w", d, err)
	}
	for !d.done {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := c.receive(buf)
		if err == unix.ENOBUFS {
			// Something was dropped, and the answer goes on.
			d.interrupted = true
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", d, err)
		}
		d.datagram(buf[:n], out)
	}
	return nil
}

// sendKernel sends a message to the kernel.
func (c *conn) sendKernel(b []byte) error {
	for {
		err := unix.Sendto(c.fd, b, 0, &c.kernel)
		if err != unix.EINTR {
			return err
		}
	}
}

// receiveKernel reads one datagram of the kernel into buf. It reads datagrams
// of other senders and throws them away. A datagram larger than buf lacks its
// end, which its reader notices.
func (c *conn) receiveKernel(buf []byte) (int, error) {
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
			return 0, errTimeout
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
