package kill

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
)

// answerTime bounds the wait for the kernel's answer, in seconds.
const answerTime = 10

// A conn is a sock_diag socket in a network namespace, and another socket there to
// ask for devices. It stays in its namespace wherever it is used.
type conn struct {
	diag, inet int
	seq        uint32
	buf        []byte
}

// openConn opens a conn in the namespace of the calling thread.
func openConn() (*conn, error) {
	diag, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("open sock_diag socket: %w", err)
	}
	tv := unix.Timeval{Sec: answerTime}
	if err := unix.SetsockoptTimeval(diag, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		unix.Close(diag)
		return nil, fmt.Errorf("set receive timeout of sock_diag socket: %w", err)
	}
	inet, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		unix.Close(diag)
		return nil, fmt.Errorf("open socket: %w", err)
	}
	return &conn{diag: diag, inet: inet, buf: make([]byte, 64<<10)}, nil
}

func (c *conn) close() {
	unix.Close(c.diag)
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
	if err := unix.Sendto(c.diag, k.appendRequest(nil, typ, flags, c.seq), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return a, fmt.Errorf("ask sock_diag: %w", err)
	}
	for !a.done {
		n, from, err := unix.Recvfrom(c.diag, c.buf, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return a, errors.New("ask sock_diag: the kernel did not answer")
		case err != nil:
			return a, fmt.Errorf("ask sock_diag: %w", err)
		}
		if nl, ok := from.(*unix.SockaddrNetlink); !ok || nl.Pid != 0 {
			continue // not the kernel
		}
		a.read(c.buf[:n], c.seq, k.proto)
	}
	return a, nil
}

// destroy ends the socket with this cookie.
func (c *conn) destroy(k *sock) (unix.Errno, error) {
	a, err := c.ask(k, typeDestroy, flagAck)
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
	a, err := c.ask(&sock{family: k.family, proto: k.proto}, typeByFamily, flagDump)
	return slices.ContainsFunc(a.socks, func(o sock) bool { return o.cookie == k.cookie }), err
}

// subflows returns the TCP sockets of the MPTCP session: those with its inode or,
// where it has no open file, the one with its ends.
func (c *conn) subflows(s *whose.Session, whole sock) ([]sock, error) {
	var mine []sock
	for _, family := range [...]byte{familyIPv4, familyIPv6} {
		a, err := c.ask(&sock{family: family, proto: protoTCP}, typeByFamily, flagDump)
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
