package bpfiter

import (
	"slices"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// The results of the walk over the socket tables, and their join with the
// descriptors.

// applyTables takes records of hash_walk. It is safe for concurrent use.
func (rd *reading) applyTables(b []byte) error {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	r := records{rest: b}
	for fresh := false; r.next(); {
		switch r.kind {
		case recordID:
			if id := as[idRecord](r.body); rd.wantsNetNS(id.netns) && !rd.held.has(uint64(id.inode)) {
				rd.unmet = append(rd.unmet, sightingOf(id))
			}
		case recordSocket:
			s := as[socketRecord](r.body)
			if fresh = rd.wantsNetNS(s.netns); fresh {
				rd.loose = append(rd.loose, rd.socketOf(s))
			}
		case recordTCP:
			if fresh {
				rd.appendTCP(rd.loose, as[tcpRecord](r.body))
			}
		default:
			rd.applyRest(r.kind, r.body)
		}
	}
	return r.err
}

// applyRest applies the records of other things than sockets.
func (rd *reading) applyRest(kind recordKind, rec []byte) {
	switch kind {
	case recordDevice:
		rd.nameDevice(as[deviceRecord](rec))
	case recordNetNS:
		rd.noteNetNS(as[netnsRecord](rec))
	case recordMore:
		r := as[moreRecord](rec)
		rd.more = append(rd.more, resumption{r.element, r.done, r.from})
	case recordWay:
		r := as[wayRecord](rec)
		rd.noteWay(source.Way{NetNS: r.netns, Holding: source.Holding{Inode: uint64(r.inode), PID: r.pid, FD: r.fd}})
	}
}

func (rd *reading) noteNetNS(r *netnsRecord) {
	if rd.wantsNetNS(r.netns) {
		rd.snap.NetNS = append(rd.snap.NetNS, r.netns)
	}
	for _, element := range []uint32{r.element, r.udpElement} {
		if element != 0 {
			rd.more = append(rd.more, resumption{element: element, from: r.netns})
		}
	}
}

func sightingOf(r *idRecord) sighting {
	if r.element >= ownTCP {
		return sighting{r.inode, r.netns}
	}
	return sighting{r.inode, r.element}
}

// applyWanted applies records of a walk that gives sockets with files in full.
// It keeps the wanted ones not met yet. A subflow stands for its session, whose file
// it names. It is safe for concurrent use.
func (rd *reading) applyWanted(b []byte) error {
	return rd.applyFresh(b, func(s *socketRecord) bool {
		if s.flags&flagFile == 0 || !rd.wanted.has(s.inode) || rd.held.has(s.inode) || !rd.wantsEnds(s) {
			return false
		}
		rd.standing = append(rd.standing, standing{s.inode, s.start})
		return s.flags&flagSubflow == 0 && rd.held.add(s.inode)
	})
}

// applyDescriptorsAgain applies records of a second run over the descriptors,
// and keeps those of the wanted sockets. It is safe for concurrent use.
func (rd *reading) applyDescriptorsAgain(b []byte) error {
	return rd.applyFresh(b, func(s *socketRecord) bool {
		if !rd.wanted.has(s.inode) {
			return false
		}
		rd.doubtful = append(rd.doubtful, source.Holding{Inode: s.inode, PID: s.pid, FD: s.fd})
		rd.appendTask(s)
		return rd.held.add(s.inode)
	})
}

// applyFresh applies records of a second look, and appends the sockets which
// isFresh reports.
func (rd *reading) applyFresh(b []byte, isFresh func(*socketRecord) bool) error {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	r := records{rest: b}
	for fresh := false; r.next(); {
		switch r.kind {
		case recordSocket:
			s := as[socketRecord](r.body)
			if fresh = isFresh(s); fresh {
				rd.appendSocket(s)
			}
		case recordTCP:
			if fresh {
				rd.appendTCP(rd.snap.Sockets, as[tcpRecord](r.body))
			}
		case recordMore:
			rd.applyRest(r.kind, r.body)
		}
	}
	return r.err
}

// settleUnmet keeps of the unmet sockets those still without a descriptor, and
// makes them the wanted ones.
func (rd *reading) settleUnmet() {
	left := rd.unmet[:0]
	for _, at := range rd.unmet {
		if ino := uint64(at.inode); !rd.held.has(ino) && rd.wanted.add(ino) {
			left = append(left, at)
		}
	}
	rd.unmet = left
}

// elementsOfUnmet returns the elements in which the unmet sockets were met, each
// once, or false if they are more than most.
func (rd *reading) elementsOfUnmet(most int) ([]resumption, bool) {
	var places []uint32
	var elements []resumption
	for _, at := range rd.unmet {
		if slices.Contains(places, at.place) {
			continue
		}
		if len(places) == most {
			return nil, false
		}
		places = append(places, at.place)
		if at.place < ownTCP {
			elements = append(elements, resumption{element: at.place})
			continue
		}
		elements = append(elements, resumption{element: ownTCP, from: at.place}, resumption{element: ownUDP, from: at.place})
	}
	return elements, true
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
func (rd *reading) settleLoose() {
	if len(rd.loose) == 0 {
		return
	}
	var seen portFilter
	rd.ends = emptied(rd.ends)
	for i := range rd.loose {
		if s := &rd.loose[i]; isConnection(s) {
			rd.ends[tupleOf(s)] = false
			seen.add(s)
		}
	}
	for i := range rd.snap.Sockets {
		if s := &rd.snap.Sockets[i]; seen.has(s) && isConnection(s) {
			if _, ok := rd.ends[tupleOf(s)]; ok {
				rd.ends[tupleOf(s)] = true
			}
		}
	}
	for i := range rd.loose {
		s := &rd.loose[i]
		if isConnection(s) {
			if rd.ends[tupleOf(s)] {
				continue
			}
			rd.ends[tupleOf(s)] = true
		} else if s.Inode != 0 && !rd.held.add(s.Inode) {
			continue
		}
		rd.snap.Sockets = append(rd.snap.Sockets, *s)
	}
}

// A portFilter excludes most sockets outside a set of connections by their
// ports alone.
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

// settleNetNS makes the namespaces unique: a walk begun anew may have met one
// twice. Without a walk they are those of the sockets.
func (rd *reading) settleNetNS() {
	if len(rd.snap.NetNS) == 0 {
		last := uint32(0)
		for i := range rd.snap.Sockets {
			if ns := rd.snap.Sockets[i].NetNS; ns != last {
				last = ns
				rd.snap.NetNS = append(rd.snap.NetNS, ns)
			}
		}
	}
	slices.Sort(rd.snap.NetNS)
	rd.snap.NetNS = slices.Compact(rd.snap.NetNS)
}
