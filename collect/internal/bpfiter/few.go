package bpfiter

import (
	"slices"

	"github.com/seed-44df2ae6/whose"
)

// What is done where there are few sockets among many descriptors. The walk
// gives the sockets, each with the key of its file; fd_scan finds the keys in
// the descriptor tables without touching file or socket; and the walk, once
// more, tells which of the sockets are still there. A socket has one file for
// as long as it has one at all: if it was there before and after the scan, what
// was found in between was its descriptor and no other's.

// maxFew bounds the sockets that are looked for this way; with more of them
// the wanted set lets too many others pass.
const maxFew = 4096

// A fewSet is what is known of the sockets that are looked for.
type fewSet struct {
	sockets []whose.Socket
	// inodes of the sockets by the keys of their files.
	inodes map[uint64]uint64
	keys   []uint64
	holds  []whose.Holding
	tasks  []whose.Task
	alive  inodeSet
	held   inodeSet
	// more are the threads whose tables were not scanned to the end.
	more []resumption
	// again tells that processes have been counted.
	again bool
}

func (f *fewSet) reset() {
	if f.inodes == nil {
		f.inodes = make(map[uint64]uint64)
	}
	clear(f.inodes)
	f.sockets, f.keys, f.holds, f.tasks = f.sockets[:0], f.keys[:0], f.holds[:0], f.tasks[:0]
	f.more, f.again = f.more[:0], false
	f.alive.reset()
	f.held.reset()
}

// look notes a socket that is to be looked for by its file.
func (f *fewSet) look(r *socketRecord) {
	f.inodes[r.start] = r.inode
	f.keys = append(f.keys, r.start)
}

// takeFew takes records of a walk that gives all sockets in full. It is safe
// for concurrent use.
func (p *pass) takeFew(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var into *[]whose.Socket
	for len(b) > 0 {
		kind, rec, err := nextRecord(b)
		if err != nil {
			return err
		}
		b = b[len(rec):]
		switch kind {
		case recordSocket:
			into = p.addFew(as[socketRecord](rec))
		case recordTCP:
			if into != nil {
				p.appendTCP(*into, as[tcpRecord](rec))
			}
		default:
			p.takeRest(kind, rec)
		}
	}
	return nil
}

// addFew puts a socket where it belongs, and returns where; nil for a socket
// that is not wanted or known already.
func (p *pass) addFew(r *socketRecord) *[]whose.Socket {
	switch {
	case !p.wantsNetNS(r.netns):
		return nil
	case r.flags&flagFile == 0:
		p.loose = append(p.loose, socketOf(r))
		return &p.loose
	case !p.wanted.add(r.inode):
		return nil
	}
	p.few.look(r)
	p.few.sockets = append(p.few.sockets, socketOf(r))
	return &p.few.sockets
}

// takeHolds takes records of fd_scan. It is safe for concurrent use.
func (p *pass) takeHolds(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(b) > 0 {
		kind, rec, err := nextRecord(b)
		if err != nil {
			return err
		}
		b = b[len(rec):]
		switch kind {
		case recordHold:
			p.addHold(as[holdRecord](rec))
		case recordTask:
			if !p.few.again {
				p.processes++
			}
		case recordMore:
			r := as[moreRecord](rec)
			p.few.more = append(p.few.more, resumption{r.element, r.done})
		}
	}
	return nil
}

func (p *pass) addHold(r *holdRecord) {
	ino, ok := p.few.inodes[r.key]
	if !ok {
		return // a file that only shares bits with a wanted one
	}
	p.few.held.add(ino)
	p.few.holds = append(p.few.holds, whose.Holding{Inode: ino, PID: r.pid, FD: r.fd})
	p.few.tasks = append(p.few.tasks, whose.Task{PID: r.pid, Start: r.start / tick, Comm: r.comm})
}

// takeAlive takes records of the walk after the scan. It is safe for
// concurrent use.
func (p *pass) takeAlive(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(b) > 0 {
		kind, rec, err := nextRecord(b)
		if err != nil {
			return err
		}
		b = b[len(rec):]
		switch kind {
		case recordSocket:
			p.few.alive.add(as[socketRecord](rec).inode)
		case recordMore:
			p.takeRest(kind, rec)
		}
	}
	return nil
}

// settleFew adds the sockets that were there until the end, with the
// descriptors that were found.
func (p *pass) settleFew() {
	for _, s := range p.few.sockets {
		if p.few.alive.has(s.Inode) && p.held.add(s.Inode) {
			p.snap.Sockets = append(p.snap.Sockets, s)
		}
	}
	p.settleHolds()
}

// settleHolds adds the descriptors of the sockets that were there until the
// end, each once: tables are shared by threads.
func (p *pass) settleHolds() {
	slices.SortFunc(p.few.holds, compareHoldings)
	p.few.holds = slices.Compact(p.few.holds)
	for _, h := range p.few.holds {
		if p.few.alive.has(h.Inode) {
			p.snap.Holdings = append(p.snap.Holdings, h)
		}
	}
	p.snap.Tasks = append(p.snap.Tasks, p.few.tasks...)
}

// dropDead removes the sockets from the n-th on that are no longer there.
func (p *pass) dropDead(n int) {
	kept := p.snap.Sockets[:n]
	for _, s := range p.snap.Sockets[n:] {
		if p.few.alive.has(s.Inode) {
			kept = append(kept, s)
		}
	}
	p.snap.Sockets = kept
}
