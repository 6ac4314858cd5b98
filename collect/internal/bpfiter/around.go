package bpfiter

import (
	"slices"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// What is read around the sockets of processes that a question names.

// notePairs notes the ports that the other ends of the sockets read so far have, and
// those of connections that wait for one of these to accept them.
func (rd *reading) notePairs() {
	rd.pairs = make(map[portPair]bool)
	listening := make(map[uint16]bool)
	for i := range rd.snap.Sockets {
		s := &rd.snap.Sockets[i]
		if s.RemotePort != 0 {
			rd.notePair(s)
		} else if s.State == whose.Listen {
			listening[s.LocalPort] = true
		}
	}
	for i := range rd.loose {
		s := &rd.loose[i]
		waits := s.State != whose.TimeWait && listening[s.LocalPort]
		if s.RemotePort != 0 && (waits || s.Flags&source.SocketSubflow != 0) {
			rd.notePair(s)
		}
	}
}

func (rd *reading) notePair(s *source.Socket) {
	rd.pairs[portPair{s.RemotePort, s.LocalPort}] = true
}

// applyAround applies records of a walk that gives sockets with files in full. It
// keeps those without a remote end, and those with the ports of another end. It is
// safe for concurrent use.
func (rd *reading) applyAround(b []byte) error {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	r := records{rest: b}
	for to := (*[]source.Socket)(nil); r.next(); {
		switch r.kind {
		case recordSocket:
			s := as[socketRecord](r.body)
			if to = rd.placeAround(s); to != nil {
				*to = append(*to, rd.socketOf(s))
			}
		case recordTCP:
			if to != nil {
				rd.appendTCP(*to, as[tcpRecord](r.body))
			}
		case recordID: // of a session, whose subflow follows
		default:
			rd.applyRest(r.kind, r.body)
		}
	}
	return r.err
}

// placeAround returns the list that the socket belongs in, nil for none. It notes its
// file.
func (rd *reading) placeAround(s *socketRecord) *[]source.Socket {
	if !rd.wantsNetNS(s.netns) || s.rport != 0 && !rd.pairs[portPair{s.lport, s.rport}] {
		return nil
	}
	switch {
	case s.flags&flagFile != 0:
	case s.rport == 0 && rd.beyond:
		return nil // the tables were read before
	default:
		return &rd.loose
	}
	rd.wanted.add(s.inode)
	rd.keys = append(rd.keys, s.start)
	switch {
	case s.flags&flagSubflow != 0:
		return &rd.loose
	case rd.held.add(s.inode):
		return &rd.snap.Sockets
	}
	return nil
}

// wantAll makes all sockets read so far the wanted ones.
func (rd *reading) wantAll() {
	rd.unmet = slices.Grow(rd.unmet[:0], len(rd.snap.Sockets))
	for i := range rd.snap.Sockets {
		if inode := rd.snap.Sockets[i].Inode; inode != 0 {
			rd.wanted.add(inode)
			rd.unmet = append(rd.unmet, sighting{inode: uint32(inode)})
		}
	}
}
