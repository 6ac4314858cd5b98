package track

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/netns"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
	"github.com/seed-44df2ae6/whose/track/internal/ledger"
)

// destroyGroups are the multicast groups of NETLINK_SOCK_DIAG for destroyed
// sockets (SKNLGRP_INET_TCP_DESTROY, …UDP…, INET6…), since Linux 4.4.
const destroyGroups = 1<<0 | 1<<1 | 1<<2 | 1<<3

const (
	// netlinkBuffer bounds the messages waiting in the kernel for each namespace,
	// in bytes.
	netlinkBuffer = 4 << 20
	// maxNetlinks bounds the namespaces with a netlink socket; each takes a
	// descriptor. Snapshots find the closed sessions of others.
	maxNetlinks = 1024
)

// A netlinkSource receives the kernel's reports of closed sockets, in each
// network namespace that can be entered.
type netlinkSource struct {
	fs    *proc.FS
	clock Clock
	epoll int
	wake  int // an eventfd that ends a wait

	mu     sync.Mutex
	conns  map[uint32]int // socket by the inode of its namespace
	netns  map[int]uint32 // the other way round
	lost   uint64
	closed bool
}

// openNetlink listens in every namespace that can be entered; one is enough.
func openNetlink(ctx context.Context, p *plan) (kernelSource, error) {
	s := &netlinkSource{
		fs: p.fs, clock: p.clock, epoll: -1, wake: -1,
		conns: make(map[uint32]int), netns: make(map[int]uint32),
	}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *netlinkSource) open(ctx context.Context) error {
	var err error
	if s.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("make eventfd: %w", err)
	}
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("make epoll: %w", err)
	}
	if err := s.watch(s.wake); err != nil {
		return err
	}
	own, err := listenDestroyed()
	if errors.Is(err, fs.ErrPermission) {
		return whose.WithHint(err, "run as root, or with CAP_NET_ADMIN")
	}
	if err != nil {
		return err
	}
	if err := s.add(s.fs.SelfNetNS(), own); err != nil {
		return err
	}
	return s.Follow(ctx)
}

func (s *netlinkSource) watch(fd int) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if err := unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return fmt.Errorf("add to epoll: %w", err)
	}
	return nil
}

// listenDestroyed opens a socket for the reports of destroyed sockets in the
// namespace of the calling thread.
func listenDestroyed() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return -1, fmt.Errorf("open sock_diag socket: %w", err)
	}
	// Where FORCE is not permitted, the size within the limit has to do.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, netlinkBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, netlinkBuffer)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: destroyGroups}); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("join group of destroyed sockets: %w", err)
	}
	return fd, nil
}

// add takes over a socket; on an error it closes the socket.
func (s *netlinkSource) add(inode uint32, fd int) error {
	if err := s.watch(fd); err != nil {
		unix.Close(fd)
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[inode], s.netns[fd] = fd, inode
	return nil
}

// Follow listens in new namespaces. It leaves those without anybody else in
// them, since the socket would keep them. A namespace that cannot be entered is
// a gap of the snapshots too, and they report it.
func (s *netlinkSource) Follow(ctx context.Context) error {
	refs, _, err := s.fs.Namespaces(ctx)
	if err != nil {
		return err
	}
	here := make(map[uint32]bool, len(refs))
	var fresh []source.NetNSRef
	s.mu.Lock()
	for _, r := range refs {
		here[r.Inode] = true
		if _, listening := s.conns[r.Inode]; !listening && len(s.conns)+len(fresh) < maxNetlinks {
			fresh = append(fresh, r)
		}
	}
	for inode, fd := range s.conns {
		if !here[inode] && inode != s.fs.SelfNetNS() {
			delete(s.conns, inode)
			delete(s.netns, fd)
			unix.Close(fd) // which takes it out of epoll too
		}
	}
	s.mu.Unlock()
	return s.enter(fresh)
}

// enter opens a socket in each of the namespaces. It leaves those that cannot
// be entered to the snapshots.
func (s *netlinkSource) enter(refs []source.NetNSRef) error {
	if len(refs) == 0 {
		return nil
	}
	return netns.OnThread(func(thread *netns.Thread) error {
		var errs []error
		for _, r := range refs {
			if thread.Enter(r.Path, r.Inode) != nil {
				continue
			}
			if fd, err := listenDestroyed(); err == nil {
				errs = append(errs, s.add(r.Inode, fd))
			}
		}
		return errors.Join(errs...)
	})
}

// Read calls fn for each socket reported by the kernel, until ctx ends. It then
// reads the waiting messages before it returns.
func (s *netlinkSource) Read(ctx context.Context, fn func(*bpfevent.Record) error) error {
	stop := context.AfterFunc(ctx, func() {
		_, _ = unix.Write(s.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // an eventfd takes every write
	})
	defer stop()
	buf := make([]byte, 64<<10)
	var events [64]unix.EpollEvent
	for {
		over := ctx.Err()
		timeout := -1
		if over != nil {
			timeout = 0
		}
		n, err := unix.EpollWait(s.epoll, events[:], timeout)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for netlink: %w", err)
		}
		for i := range max(n, 0) {
			if err := s.drain(int(events[i].Fd), buf, fn); err != nil {
				return err
			}
		}
		if over != nil {
			return over
		}
	}
}

// drain reads the waiting messages of one socket.
func (s *netlinkSource) drain(fd int, buf []byte, fn func(*bpfevent.Record) error) error {
	for {
		n, netns, err := s.receive(fd, buf)
		switch {
		case errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.EINTR):
			continue // something was dropped and counted, or is not for us; the rest follows
		case err != nil || n == 0:
			return nil // nothing more, or the namespace was left meanwhile
		}
		at := bootNanos(s.clock.Boot())
		if err := parseDestroyed(buf[:n], netns, at, fn); err != nil {
			return err
		}
	}
}

// receive reads a datagram, if the socket is still one of ours.
func (s *netlinkSource) receive(fd int, buf []byte) (n int, netns uint32, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	netns, ok := s.netns[fd]
	if !ok {
		return 0, 0, fs.ErrClosed
	}
	n, from, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
	if errors.Is(err, unix.ENOBUFS) {
		s.lost++
	}
	if sa, ok := from.(*unix.SockaddrNetlink); ok && sa.Pid != 0 && err == nil {
		return 0, netns, unix.EINTR // not from the kernel: the next one
	}
	return n, netns, err
}

// Losses counts how often the kernel dropped messages.
func (s *netlinkSource) Losses() (Losses, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Losses{Netlink: s.lost}, nil
}

// Flows calls nothing: no flows are counted.
func (s *netlinkSource) Flows(func(*ledger.Flow) bool, func(*ledger.Flow)) error { return nil }

// Close releases the sockets. No Read may be under way.
func (s *netlinkSource) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	var errs []error
	for _, fd := range s.conns {
		errs = append(errs, unix.Close(fd))
	}
	clear(s.conns)
	clear(s.netns)
	for _, fd := range []int{s.epoll, s.wake} {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	return errors.Join(errs...)
}
