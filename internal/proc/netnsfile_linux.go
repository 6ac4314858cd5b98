package proc

import (
	"fmt"
	"io/fs"
	"strconv"

	"golang.org/x/sys/unix"
)

// A NetNSFile is an open network namespace, which lives as long as it is open.
// Whoever opened it closes it. It is safe for concurrent use but for Close.
type NetNSFile struct {
	// Inode is the namespace's number.
	Inode uint32
	fd    int
}

// FD returns the descriptor, which can be given to setns.
func (n *NetNSFile) FD() int { return n.fd }

// Path returns a path that this process can open the namespace by.
func (n *NetNSFile) Path() string { return "/proc/self/fd/" + strconv.Itoa(n.fd) }

// Close gives the namespace back.
func (n *NetNSFile) Close() error {
	if n.fd < 0 {
		return fmt.Errorf("close network namespace %d: %w", n.Inode, fs.ErrClosed)
	}
	err := unix.Close(n.fd)
	n.fd = -1
	if err != nil {
		return fmt.Errorf("close network namespace %d: %w", n.Inode, err)
	}
	return nil
}
