package bpfiter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// The way of older kernels to the sockets that no descriptor holds: iterators
// over the kernel's tables, opened in each network namespace. What they give is
// joined as what hash_walk gives.

// loadPlain loads these iterators, unless they are loaded.
func (p *programs) loadPlain() error {
	if p.plain != nil {
		return nil
	}
	spec, err := loadNetnsSockets()
	if err != nil {
		return fmt.Errorf("read netns_sockets object: %w", err)
	}
	if err := spec.Variables[netnsSocketsVarSecret].Set(p.secret); err != nil {
		return fmt.Errorf("set %s: %w", netnsSocketsVarSecret, err)
	}
	k, err := readKernelTypes(spec)
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	o, err := loadObject(spec, k)
	if err != nil {
		return fmt.Errorf("load iterators of tcp and udp: %w", err)
	}
	links := [2]linkedIter{}
	for i, name := range []string{netnsSocketsProgTcpSockets, netnsSocketsProgUdpSockets} {
		link, err := linkIter(o.progs[name], nil)
		if err != nil {
			if i > 0 {
				err = errors.Join(err, unix.Close(int(links[0])))
			}
			return errors.Join(err, o.close())
		}
		links[i] = linkedIter(link)
	}
	p.plain, p.tcpLink, p.udpLink = o, links[0], links[1]
	return o.tell(&p.narrowed)
}

// Enters reports whether the source has to enter network namespaces one by one,
// as on kernels before Linux 5.19, and so wants Query.Visit.
func (s *Source) Enters() bool { return s.walk == nil && s.loaded != nil && s.noPlain == nil }

// A visited namespace is one that is read by iterators of its own.
type visited struct {
	ref source.NetNSRef
	// by is a descriptor that leads there, where ref has no way in.
	by way
}

// enter moves the calling thread into the namespace.
func (v *visited) enter() error {
	if v.by != (way{}) {
		return enterBy(v.ref.Inode, v.by)
	}
	return enterNetNS(&v.ref)
}

// visits returns the wanted namespaces, each once, that of the caller first.
func visits(q *source.Query) []visited {
	own := ownNetNS()
	refs := q.Visit
	if len(refs) == 0 {
		refs = []source.NetNSRef{{Inode: own}}
	}
	var all []visited
	met := make(map[uint32]bool, len(refs))
	for _, ref := range refs {
		if met[ref.Inode] || q.NetNS != nil && !slices.Contains(q.NetNS, ref.Inode) {
			continue
		}
		met[ref.Inode] = true
		all = append(all, visited{ref: ref})
		if ref.Inode == own {
			last := len(all) - 1
			all[0], all[last] = all[last], all[0]
		}
	}
	return all
}

// readPlain reads the sockets of the namespaces to visit. It comes before the
// descriptors, as the walk does. Without the iterators there is a gap.
func (s *Source) readPlain(ctx context.Context, q *source.Query, ask question) error {
	if s.loaded == nil {
		return nil
	}
	if s.noPlain = s.loaded.loadPlain(); s.noPlain != nil {
		return nil
	}
	s.visiting = visits(q)
	return s.visit(ctx, s.visiting, ask, s.pass.takeWalk)
}

// readWays reads the namespaces that descriptors were met to lead into and that
// nobody told of: no process is in them.
func (s *Source) readWays(ctx context.Context, ask question) error {
	if !s.Enters() {
		return nil
	}
	var more []visited
	for inode, w := range s.pass.ways {
		known := slices.ContainsFunc(s.visiting, func(v visited) bool { return v.ref.Inode == inode })
		if !known && s.pass.wantsNetNS(inode) {
			more = append(more, visited{ref: source.NetNSRef{Inode: inode}, by: w})
		}
	}
	s.visiting = append(s.visiting, more...)
	return s.visit(ctx, more, ask, s.pass.takeWalk)
}

// visitAgain looks where the unmet sockets were met.
func (s *Source) visitAgain(ctx context.Context, full question) error {
	again := slices.DeleteFunc(slices.Clone(s.visiting), func(v visited) bool {
		return !slices.ContainsFunc(s.pass.unmet, func(at place) bool { return at.element == v.ref.Inode })
	})
	return s.visit(ctx, again, s.wanted.ask(full), s.pass.takeWanted)
}

// visit reads the tables of the namespaces by as many threads as there are.
func (s *Source) visit(ctx context.Context, all []visited, ask question, take func([]byte) error) error {
	if asksTCP(ask) || asksUDP(ask) {
		return s.onThreads(all, func(v *visited, buf []uint64) error { return s.readNetNS(ctx, v, ask, take, buf) })
	}
	for i := range all {
		s.pass.noteVisited(all[i].ref.Inode)
	}
	return nil
}

// onThreads calls f for each of the namespaces on a thread that is in it.
func (s *Source) onThreads(all []visited, f func(*visited, []uint64) error) error {
	var next atomic.Int32
	errs := make([]error, min(s.threads, len(all)))
	var wg sync.WaitGroup
	for i := range errs {
		buf := s.buffer(i)
		wg.Go(func() {
			errs[i] = onLostThread(func() error {
				at := ownNetNS()
				for n := next.Add(1); int(n) <= len(all); n = next.Add(1) {
					v := &all[n-1]
					if v.ref.Inode != at {
						if err := v.enter(); err != nil {
							s.pass.noteRefused(err)
							continue
						}
						at = v.ref.Inode
					}
					if err := f(v, buf); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// The states in which sockets are in the tables of TCP and of UDP.
const (
	tcpStates = uint32(whose.AllStates) &^ (1<<whose.Close | 1<<whose.Unconn)
	udpStates = 1<<whose.Unconn | 1<<whose.Established
)

func asksTCP(ask question) bool {
	return ask.states&tcpStates != 0 && ask.protos&(1<<whose.TCP|1<<whose.MPTCP) != 0
}

func asksUDP(ask question) bool {
	return ask.states&udpStates != 0 && ask.protos&(1<<whose.UDP|1<<whose.UDPLite) != 0
}

// readNetNS reads the tables of the namespace that the calling thread is in.
// The thread is about to be thrown away, and keeps the name of the question.
func (s *Source) readNetNS(ctx context.Context, v *visited, ask question, take func([]byte) error, buf []uint64) error {
	name := ask.name()
	if err := threadName(unix.PR_SET_NAME, &name); err != nil {
		return err
	}
	read := func(it linkedIter) error {
		fd, err := it.open()
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return drain(ctx, fd, run{ask: ask, take: take}, buf)
	}
	if asksTCP(ask) {
		if err := read(s.loaded.tcpLink); err != nil {
			return fmt.Errorf("list tcp sockets: %w", err)
		}
	}
	if asksUDP(ask) {
		if err := read(s.loaded.udpLink); err != nil {
			return fmt.Errorf("list udp sockets: %w", err)
		}
		s.pass.noteLite(v.ref.Inode, ask)
	}
	s.pass.noteVisited(v.ref.Inode)
	return nil
}

// settleLite says how many sockets of UDP-Lite nobody was found to hold. They
// are looked for once more, since what was closed meanwhile is no gap.
func (s *Source) settleLite(ask question) error {
	if !s.pass.keepUnheldLite() {
		return nil
	}
	before := s.pass.lite
	s.pass.lite = nil
	again := slices.DeleteFunc(slices.Clone(s.visiting), func(v visited) bool {
		return !slices.ContainsFunc(before, func(l place) bool { return l.element == v.ref.Inode })
	})
	err := s.onThreads(again, func(v *visited, _ []uint64) error {
		s.pass.noteLite(v.ref.Inode, ask)
		return nil
	})
	standing := slices.DeleteFunc(s.pass.lite, func(l place) bool { return !slices.Contains(before, l) })
	if len(standing) > 0 {
		addGap(s.pass.snap, whose.Gap{Kind: whose.GapSockets, Count: len(standing),
			Why: "udplite without a descriptor: no iterator of this kernel shows them", Hint: "use --source netlink"})
	}
	return err
}
