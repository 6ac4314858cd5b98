package sockdiag

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/netlink"
)

// datagramSize is the size of the receive buffer. The kernel fills
// datagrams of up to 32 KiB for a reader with as much room.
const datagramSize = 64 << 10

// conn is a NETLINK_SOCK_DIAG socket with the requests made on it. Not safe for
// concurrent use.
type conn struct {
	*netlink.Conn
	port uint32
	seq  uint32
	req  []byte
	// send sends a request, receive reads a datagram of the answer. They are
	// fields so a test can be the kernel.
	send    func([]byte) error
	receive func([]byte) (int, error)
}

// openConn opens a socket in the network namespace of the calling thread.
func openConn() (*conn, error) {
	c, err := netlink.Open()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, port: c.Port(), send: c.Send, receive: c.Receive}, nil
}

func (c *conn) close() error { return c.Close() }

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
