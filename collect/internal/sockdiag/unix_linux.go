package sockdiag

import (
	"cmp"
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

// UnixInodes gives to set the inode of each UNIX socket in the network
// namespaces open since the last Read. They are no sessions, but a listed
// socket need not be asked for its namespace.
//
// It is an error if the kernel does not list them (it lacks unix_diag, of Linux
// 3.3); some may have been given by then.
func (s *Source) UnixInodes(ctx context.Context, set interface{ Add(inode uint64) }) error {
	w := &s.workers[0]
	w.begin()
	for _, n := range s.spaces {
		r := request{unix: true, states: ^uint32(0)}
		d := dump{other: set}
		if err := n.conns[laneUDP].run(ctx, &r, &d, w.buf, &w.out); err != nil {
			n.broken.Store(true)
			s.trim()
			return fmt.Errorf("list unix sockets: %w", cmp.Or(ctx.Err(), err))
		}
		if d.errno != 0 {
			return fmt.Errorf("list unix sockets: %w", unix.Errno(d.errno))
		}
	}
	return nil
}
