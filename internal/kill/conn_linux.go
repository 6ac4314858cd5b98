package kill

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/netlink"
)

// A conn is a sock_diag socket in a network namespace, and another socket there to
// ask for devices. It stays in its namespace wherever it is used.
type conn struct {
	diag *netlink.Conn
	inet int
	seq  uint32
	buf  []byte
}

// openConn opens a conn in the namespace of the calling thread.
func openConn() (*conn, error) {
	diag, err := netlink.Open()
	if err != nil {
		return nil, err
	}
	inet, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		diag.Close()
		return nil, fmt.Errorf("open socket: %w", err)
	}
	return &conn{diag: diag, inet: inet, buf: make([]byte, 64<<10)}, nil
}

func (c *conn) close() {
	c.diag.Close()
	unix.Close(c.inet)
}

// device returns the number of a device in the namespace, 0 for none.
func (c *conn) device(name string) (uint32, error) {
	if name == "" {
		return 0, nil
	}
	ifr, err := unix.NewIfreq(name)
	if err == nil {
		err = unix.IoctlIfreq(c.inet, unix.SIOCGIFINDEX, ifr)
	}
	if err != nil {
		return 0, fmt.Errorf("find device %s: %w", name, err)
	}
	return ifr.Uint32(), nil
}

// ask sends a request about the socket and reads the answer to its end.
func (c *conn) ask(k *sock, typ, flags uint16) (answer, error) {
	c.seq++
	var a answer
	if err := c.diag.Send(k.appendRequest(nil, typ, flags, c.seq)); err != nil {
		return a, fmt.Errorf("ask sock_diag: %w", err)
	}
	for !a.done {
		n, err := c.diag.Receive(c.buf)
		if err != nil {
			return a, fmt.Errorf("ask sock_diag: %w", err)
		}
		a.read(c.buf[:n], c.seq, k.proto)
	}
	return a, nil
}

// destroy ends the socket with this cookie.
func (c *conn) destroy(k *sock) (unix.Errno, error) {
	a, err := c.ask(k, netlink.TypeDestroy, netlink.FlagAck)
	return unix.Errno(a.errno), err
}

// manyPorts bounds the search for one of an SO_REUSEPORT group.
const manyPorts = 4096

// destroyListener ends a listener. The kernel finds one of an SO_REUSEPORT group by
// the remote end of who comes, so that those are tried until it finds ours.
func (c *conn) destroyListener(k sock) (errno unix.Errno, err error) {
	for k.remotePort = 0; k.remotePort < manyPorts; k.remotePort++ {
		if errno, err = c.destroy(&k); err != nil || errno != unix.ENOENT {
			return errno, err
		}
	}
	return errno, nil
}

// stands reports whether the kernel lists the socket, by its cookie.
func (c *conn) stands(k *sock) (bool, error) {
	a, err := c.ask(&sock{family: k.family, proto: k.proto}, netlink.TypeByFamily, netlink.FlagDump)
	return slices.ContainsFunc(a.socks, func(o sock) bool { return o.cookie == k.cookie }), err
}

// subflows returns the TCP sockets of the MPTCP session: those with its inode or,
// where it has no open file, the one with its ends.
func (c *conn) subflows(s *whose.Session, whole sock) ([]sock, error) {
	var mine []sock
	for _, family := range [...]byte{netlink.FamilyIPv4, netlink.FamilyIPv6} {
		a, err := c.ask(&sock{family: family, proto: netlink.ProtoTCP}, netlink.TypeByFamily, netlink.FlagDump)
		if err != nil {
			return nil, err
		}
		if a.errno != 0 {
			return nil, fmt.Errorf("list TCP sockets: %w", unix.Errno(a.errno))
		}
		for _, k := range a.socks {
			first := k.family == whole.family && k.localPort == whole.localPort && k.remotePort == whole.remotePort &&
				k.local == whole.local && k.remote == whole.remote
			if s.Inode != 0 && uint64(k.inode) == s.Inode || s.Inode == 0 && first && k.inode == 0 {
				mine = append(mine, k)
			}
		}
	}
	return mine, nil
}
