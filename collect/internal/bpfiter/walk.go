package bpfiter

import (
	"slices"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// What the walk over the socket tables gives, and how it is joined with what
// the descriptors gave.

// takeWalk takes records of hash_walk. It is safe for concurrent use.
func (p *pass) takeWalk(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := records{rest: b}
	for fresh := false; r.next(); {
		switch r.kind {
		case recordID:
			if id := as[idRecord](r.body); p.wantsNetNS(id.netns) && !p.held.has(uint64(id.inode)) {
				p.unmet = append(p.unmet, place{id.inode, id.element})
			}
		case recordSocket:
			s := as[socketRecord](r.body)
			if fresh = p.wantsNetNS(s.netns); fresh {
				p.loose = append(p.loose, socketOf(s))
			}
		case recordTCP:
			if fresh {
				p.appendTCP(p.loose, as[tcpRecord](r.body))
			}
		default:
			p.takeRest(r.kind, r.body)
		}
	}
	return r.err
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
	case recordWay:
		r := as[wayRecord](rec)
		p.noteWay(source.Way{NetNS: r.netns, Holding: source.Holding{Inode: uint64(r.inode), PID: r.pid, FD: r.fd}})
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
	r := records{rest: b}
	for fresh := false; r.next(); {
		switch r.kind {
		case recordSocket:
			s := as[socketRecord](r.body)
			fresh = s.flags&flagFile != 0 && p.wanted.has(s.inode) && p.held.add(s.inode)
			if fresh {
				p.appendSocket(s)
				p.confirmed = true
				p.keys = append(p.keys, s.start)
			}
		case recordTCP:
			if fresh {
				p.appendTCP(p.snap.Sockets, as[tcpRecord](r.body))
			}
		case recordMore:
			p.takeRest(r.kind, r.body)
		}
	}
	return r.err
}

// takeFilesAgain takes records of a second run over the descriptors, and keeps
// what it tells of the wanted sockets. It is safe for concurrent use.
func (p *pass) takeFilesAgain(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := records{rest: b}
	for fresh := false; r.next(); {
		switch r.kind {
		case recordSocket:
			s := as[socketRecord](r.body)
			if fresh = false; s.fd < p.from || !p.wanted.has(s.inode) {
				continue
			}
			if fresh = p.held.add(s.inode); fresh {
				p.appendSocket(s)
			}
			p.doubtful = append(p.doubtful, source.Holding{Inode: s.inode, PID: s.pid, FD: s.fd})
			p.appendTask(s)
		case recordTCP:
			if fresh {
				p.appendTCP(p.snap.Sockets, as[tcpRecord](r.body))
			}
		case recordMore:
			p.takeRest(r.kind, r.body)
		}
	}
	return r.err
}

// settleUnmet keeps of the unmet sockets those that no descriptor was met for,
// and makes them the wanted ones.
func (p *pass) settleUnmet() {
	left := p.unmet[:0]
	for _, at := range p.unmet {
		if ino := uint64(at.inode); !p.held.has(ino) && p.wanted.add(ino) {
			left = append(left, at)
		}
	}
	p.unmet = left
}

// placesOfUnmet returns the elements in which the unmet sockets were met, each
// once, or false if they are more than most.
func (p *pass) placesOfUnmet(most int) ([]resumption, bool) {
	var places []resumption
	for _, at := range p.unmet {
		if slices.ContainsFunc(places, func(r resumption) bool { return r.element == at.element }) {
			continue
		}
		if len(places) == most {
			return nil, false
		}
		places = append(places, resumption{element: at.element})
	}
	return places, true
}

// A tuple identifies a connection of TCP; the kernel has each once.
type tuple struct {
	local, remote [16]byte
	netns, device uint32
	lport, rport  uint16
}

func tupleOf(s *source.Socket) tuple {
	return tuple{s.Local, s.Remote, s.NetNS, s.Device, s.LocalPort, s.RemotePort}
}

// isConnection reports whether the socket is the only one with its tuple.
func isConnection(s *source.Socket) bool {
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

func (f *portFilter) place(s *source.Socket) (*uint64, uint64) {
	h := (uint32(s.LocalPort)<<16 | uint32(s.RemotePort)) * 0x9e3779b1 >> 16
	return &f[h>>6], 1 << (h & 63)
}

func (f *portFilter) add(s *source.Socket) {
	word, bit := f.place(s)
	*word |= bit
}

func (f *portFilter) has(s *source.Socket) bool {
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
