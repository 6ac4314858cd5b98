package bpfiter

import (
	"slices"

	"github.com/seed-44df2ae6/whose"
)

// What the walk over the socket tables gives, and how it is joined with what
// the descriptors gave.

// takeWalk takes records of hash_walk. It is safe for concurrent use.
func (p *pass) takeWalk(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh := false
	for len(b) > 0 {
		kind, rec, err := nextRecord(b)
		if err != nil {
			return err
		}
		b = b[len(rec):]
		switch kind {
		case recordID:
			if r := as[idRecord](rec); p.wantsNetNS(r.netns) && !p.held.has(r.inode) {
				p.unmet = append(p.unmet, r.inode)
			}
		case recordSocket:
			r := as[socketRecord](rec)
			if fresh = p.wantsNetNS(r.netns); fresh {
				p.loose = append(p.loose, socketOf(r))
			}
		case recordTCP:
			if fresh {
				p.appendTCP(p.loose, as[tcpRecord](rec))
			}
		default:
			p.takeRest(kind, rec)
		}
	}
	return nil
}

// takeRest takes the records that are not of a socket.
func (p *pass) takeRest(kind recordKind, rec []byte) {
	switch kind {
	case recordDevice:
		p.nameDevice(as[deviceRecord](rec))
	case recordNetNS:
		p.noteNetNS(as[netnsRecord](rec))
	case recordMore:
		r := as[moreRecord](rec)
		p.more = append(p.more, resumption{r.element, r.done})
	}
}

func (p *pass) noteNetNS(r *netnsRecord) {
	if p.wantsNetNS(r.netns) {
		p.snap.NetNS = append(p.snap.NetNS, r.netns)
	}
	for _, element := range []uint32{r.element, r.udpElement} {
		if element != 0 {
			p.more = append(p.more, resumption{element: element})
		}
	}
}

// takeWanted takes records of a walk that gives sockets with files in full,
// and keeps those that are wanted and not met yet. It is safe for concurrent use.
func (p *pass) takeWanted(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh := false
	for len(b) > 0 {
		kind, rec, err := nextRecord(b)
		if err != nil {
			return err
		}
		b = b[len(rec):]
		switch kind {
		case recordSocket:
			r := as[socketRecord](rec)
			fresh = r.flags&flagFile != 0 && p.wanted.has(r.inode) && p.held.add(r.inode)
			if fresh {
				p.appendSocket(r)
				p.few.look(r)
				p.confirmed = true
			}
		case recordTCP:
			if fresh {
				p.appendTCP(p.snap.Sockets, as[tcpRecord](rec))
			}
		case recordMore:
			p.takeRest(kind, rec)
		}
	}
	return nil
}

// takeFilesAgain takes records of a second run of task_file, and keeps what it
// tells of the wanted sockets. It is safe for concurrent use.
func (p *pass) takeFilesAgain(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh := false
	for len(b) > 0 {
		kind, rec, err := nextRecord(b)
		if err != nil {
			return err
		}
		b = b[len(rec):]
		switch kind {
		case recordSocket:
			r := as[socketRecord](rec)
			fresh = false
			if !p.wanted.has(r.inode) {
				continue
			}
			if fresh = p.held.add(r.inode); fresh {
				p.appendSocket(r)
			}
			p.appendHolding(r)
			p.appendTask(r)
		case recordTCP:
			if fresh {
				p.appendTCP(p.snap.Sockets, as[tcpRecord](rec))
			}
		}
	}
	return nil
}

// settleUnmet keeps of the unmet inodes those that no descriptor was met for,
// and makes them the wanted ones.
func (p *pass) settleUnmet() {
	left := p.unmet[:0]
	for _, ino := range p.unmet {
		if !p.held.has(ino) && p.wanted.add(ino) {
			left = append(left, ino)
		}
	}
	p.unmet = left
}

// A tuple identifies a connection of TCP; the kernel has each once.
type tuple struct {
	local, remote [16]byte
	netns, device uint32
	lport, rport  uint16
}

func tupleOf(s *whose.Socket) tuple {
	return tuple{s.Local, s.Remote, s.NetNS, s.Device, s.LocalPort, s.RemotePort}
}

// isConnection reports whether the socket is the only one with its tuple.
func isConnection(s *whose.Socket) bool {
	return s.RemotePort != 0 && (s.Proto == whose.TCP || s.Proto == whose.MPTCP)
}

// settleLoose adds the sockets without a file, unless the same connection was
// met with a descriptor: accepted or closed between the two looks.
func (p *pass) settleLoose() {
	if len(p.loose) == 0 {
		return
	}
	var seen portFilter
	conns := make(map[tuple]bool)
	for i := range p.loose {
		if s := &p.loose[i]; isConnection(s) {
			conns[tupleOf(s)] = false
			seen.add(s)
		}
	}
	for i := range p.snap.Sockets {
		if s := &p.snap.Sockets[i]; seen.has(s) && isConnection(s) {
			if _, ok := conns[tupleOf(s)]; ok {
				conns[tupleOf(s)] = true
			}
		}
	}
	for i := range p.loose {
		s := &p.loose[i]
		if isConnection(s) {
			if conns[tupleOf(s)] {
				continue
			}
			conns[tupleOf(s)] = true
		} else if s.Inode != 0 && !p.held.add(s.Inode) {
			continue
		}
		p.snap.Sockets = append(p.snap.Sockets, *s)
	}
}

// A portFilter tells most sockets that cannot be in a set of connections by
// their ports alone.
type portFilter [1024]uint64

func (f *portFilter) place(s *whose.Socket) (*uint64, uint64) {
	h := (uint32(s.LocalPort)<<16 | uint32(s.RemotePort)) * 0x9e3779b1 >> 16
	return &f[h>>6], 1 << (h & 63)
}

func (f *portFilter) add(s *whose.Socket) {
	word, bit := f.place(s)
	*word |= bit
}

func (f *portFilter) has(s *whose.Socket) bool {
	word, bit := f.place(s)
	return *word&bit != 0
}

// settleNetNS makes the namespaces unique: a walk that is begun anew may have
// met one twice. Without a walk they are those of the sockets.
func (p *pass) settleNetNS() {
	if len(p.snap.NetNS) == 0 {
		last := uint32(0)
		for i := range p.snap.Sockets {
			if ns := p.snap.Sockets[i].NetNS; ns != last {
				last = ns
				p.snap.NetNS = append(p.snap.NetNS, ns)
			}
		}
	}
	slices.Sort(p.snap.NetNS)
	p.snap.NetNS = slices.Compact(p.snap.NetNS)
}
