package bpfevent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/bpf"
)

// A Source is the programs in the kernel, from [Open] to [Source.Close]. They
// are gone with the process too, however it ends: nothing is pinned.
// [Source.Read] is for one goroutine; any goroutine may call the rest at any
// time.
type Source struct {
	config  Config
	object  *bpf.Object
	links   []bpf.Link
	ring    *ring
	decoder *decoder
	// missing are the gaps of this kernel.
	missing []error
	// wake is an eventfd that ends a wait of the reader, which is in epoll.
	wake  int
	epoll *os.File
	// beforeLook and afterLook come from OnLook.
	beforeLook func()
	afterLook  func(until uint64)

	// mu guards the fields below, and everything that release takes away.
	mu               sync.Mutex
	closed, released bool
	// reading: Read is under way, and releases the source at its end.
	reading bool
}

// Open loads the programs for the configuration and attaches them. It needs
// CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN for the root cgroup's programs,
// CAP_SYS_ADMIN to find this cgroup where the host has not mounted it, and
// Linux 6.1. It leaves out everything else that a kernel lacks;
// [Source.Missing] returns it.
func Open(c Config) (*Source, error) {
	s := &Source{config: c.withDefaults(), decoder: newDecoder(), wake: -1}
	s.decoder.whole = c.Whole
	if err := s.open(); err != nil {
		return nil, errors.Join(explain(err), s.release())
	}
	return s, nil
}

func (s *Source) open() error {
	err := s.load()
	if err != nil {
		return err
	}
	if s.ring, err = openRing(s.object.Maps[eventsMapRing]); err != nil {
		return err
	}
	if err := s.openWait(); err != nil {
		return err
	}
	if err := s.run(eventsProgFindReader); err != nil {
		return err
	}
	return s.attach()
}

// openWait opens the reader's means to wait. The reader wakes for wake-ups only
// (EPOLLET): data in the ring is no reason to read it now. The epoll is itself
// one of the files that Go waits for. A thread asleep in a system call would
// keep the runtime watching it.
func (s *Source) openWait() error {
	var err error
	if s.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("make eventfd: %w", err)
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("make epoll: %w", err)
	}
	if err := unix.SetNonblock(epoll, true); err != nil {
		return errors.Join(fmt.Errorf("make epoll: %w", err), unix.Close(epoll))
	}
	s.epoll = os.NewFile(uintptr(epoll), "epoll")
	for _, fd := range []int{s.wake, s.ring.fd} {
		event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(fd)}
		if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
			return fmt.Errorf("add to epoll: %w", err)
		}
	}
	return nil
}

// run makes the kernel run a program in the context of the caller.
func (s *Source) run(name string) error {
	if _, err := s.object.Programs[name].Run(&ebpf.RunOptions{}); err != nil {
		return fmt.Errorf("run %s: %w", name, err)
	}
	return nil
}

// attach attaches all loaded programs. Those that take notes come before those
// that report them.
func (s *Source) attach() error {
	root, err := openRootCgroup()
	if err != nil {
		return err
	}
	defer root.Close()
	for _, p := range programs {
		prog := s.object.Programs[p.name]
		if prog == nil || p.attach == runOnly {
			continue
		}
		var l bpf.Link
		if p.attach == tracepoint {
			l, err = bpf.AttachTracing(prog)
		} else {
			l, err = bpf.AttachCgroup(prog, int(root.Fd()), p.attach)
		}
		if err != nil {
			return fmt.Errorf("attach %s: %w", p.name, err)
		}
		s.links = append(s.links, l)
	}
	return s.noteAttached()
}

// noteAttached notes for the programs that all of them are attached from now
// on.
func (s *Source) noteAttached() error {
	now, err := bpf.Boot()
	if err != nil {
		return err
	}
	s.decoder.attached = uint64(now)
	if err := s.object.Set(eventsVarAttached, s.decoder.attached); err != nil {
		return fmt.Errorf("tell programs that they are attached: %w", err)
	}
	return nil
}

// Missing returns the limits of this kernel, each a [whose.UnsupportedError];
// nil where it can do everything.
func (s *Source) Missing() []error { return s.missing }

// Close detaches the programs at once and ends a Read under way. Read returns
// [fs.ErrClosed] after the function that it calls has returned; Close waits for
// neither. It may be called more than once.
func (s *Source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	err := s.detach()
	if s.reading {
		return errors.Join(err, s.interrupt())
	}
	return errors.Join(err, s.release())
}

func (s *Source) detach() error {
	var errs []error
	for _, l := range s.links {
		errs = append(errs, l.Close())
	}
	s.links = nil
	return errors.Join(errs...)
}

// interrupt ends a wait of the reader.
func (s *Source) interrupt() error {
	if _, err := unix.Write(s.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil && !errors.Is(err, unix.EAGAIN) {
		return fmt.Errorf("wake reader: %w", err)
	}
	return nil
}

// release releases everything.
func (s *Source) release() error {
	if s.released {
		return nil
	}
	s.released = true
	err := s.detach()
	if s.ring != nil {
		err = errors.Join(err, s.ring.close())
	}
	if s.epoll != nil {
		err = errors.Join(err, s.epoll.Close())
	}
	if s.wake >= 0 {
		err = errors.Join(err, unix.Close(s.wake))
	}
	if s.object != nil {
		err = errors.Join(err, s.object.Close())
	}
	return err
}

// Losses returns the losses since Open. After Close it returns [fs.ErrClosed].
func (s *Source) Losses() (Losses, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.released {
		return Losses{}, fmt.Errorf("count losses: %w", fs.ErrClosed)
	}
	var all Losses
	var each [][3]uint64 // of each CPU, struct losses of bpf/ring.h
	if err := s.object.Maps[eventsMapLost].Lookup(uint32(0), &each); err != nil {
		return Losses{}, fmt.Errorf("count losses: %w", err)
	}
	for _, l := range each {
		all.Ring += l[0]
		all.Flows += l[1]
		all.Sockets += l[2]
	}
	all.Forgotten = s.decoder.tasks.forgotten.Load()
	for _, p := range programs {
		prog := s.object.Programs[p.name]
		if prog == nil || p.attach != tracepoint || p.again {
			continue
		}
		stats, err := prog.Stats()
		if err != nil {
			return Losses{}, fmt.Errorf("count losses of %s: %w", p.name, err)
		}
		all.Recursion += stats.RecursionMisses
	}
	return all, nil
}
