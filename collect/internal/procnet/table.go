package procnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// bufferSize is the memory for reading. The kernel gives at most about a page
// for each read of these files, however large the request. The rest is for a
// line longer than any of the kernel's.
const bufferSize = 64 << 10

// A tuple identifies a socket without inode.
type tuple struct {
	local, remote         [16]byte
	netns                 uint32
	localPort, remotePort uint16
	proto                 whose.Proto
	family                whose.Family
}

// A reader turns the files of a pass into sockets. Its memory is used again in
// the next pass.
type reader struct {
	order byteOrder
	buf   []byte
	query *source.Query
	snap  *source.Snapshot
	// inodes and tuples are the sockets met in this pass, with the round of
	// reading in which they were met last; seen counts those of this round.
	inodes map[uint64]inodeMet
	tuples map[tuple]uint32
	round  uint32
	seen   int
	// badLines counts malformed lines, and firstBad names the first.
	badLines int
	firstBad error
}

// An inodeMet is the first socket met with an inode: its place in the snapshot,
// and the round in which the inode was met last.
type inodeMet struct{ round, at uint32 }

func newReader() *reader {
	return &reader{
		order: hostOrder(), buf: make([]byte, bufferSize),
		inodes: make(map[uint64]inodeMet), tuples: make(map[tuple]uint32),
	}
}

// begin makes the reader ready for a pass.
func (r *reader) begin(q *source.Query, snap *source.Snapshot) {
	clear(r.inodes)
	clear(r.tuples)
	r.query, r.snap, r.badLines, r.firstBad = q, snap, 0, nil
}

// end notes the malformed lines.
func (r *reader) end() {
	if r.badLines > 0 {
		r.snap.Gaps.Add(source.GapOf(whose.GapSockets, r.badLines, r.firstBad))
	}
	r.query, r.snap = nil, nil
}

// readFile appends the sockets of one file to the snapshot. path is for
// messages. It returns in how many pieces the kernel gave the file: between
// two pieces the table may change, and rows then come twice or not at all.
func (r *reader) readFile(ctx context.Context, f io.Reader, path string, k *kind, netns uint32) (pieces int, err error) {
	line, kept, skipping := 0, 0, false
	for {
		if err := ctx.Err(); err != nil {
			return pieces, err
		}
		n, err := f.Read(r.buf[kept:])
		if n > 0 {
			pieces++
		}
		data := r.buf[:kept+n]
		for {
			end := bytes.IndexByte(data, '\n')
			if end < 0 {
				break
			}
			line++
			if !skipping {
				r.addLine(data[:end], path, line, k, netns)
			}
			data, skipping = data[end+1:], false
		}
		if err != nil {
			if len(data) > 0 && !skipping {
				r.addLine(data, path, line+1, k, netns)
			}
			if errors.Is(err, io.EOF) {
				return pieces, nil
			}
			return pieces, err
		}
		kept = copy(r.buf, data)
		if kept == len(r.buf) { // no line of the kernel's is this long
			if !skipping {
				r.bad(path, line+1, malformed("line", "a newline"))
			}
			kept, skipping = 0, true
		}
	}
}

// addLine appends the socket of a line, if it is wanted and new.
func (r *reader) addLine(text []byte, path string, line int, k *kind, netns uint32) {
	if line == 1 && isHeader(text) {
		return
	}
	s, err := k.parseLine(text, r.order)
	if err != nil {
		r.bad(path, line, err)
		return
	}
	if !r.query.States.Has(s.State) || !r.meetsAny(&s) {
		return
	}
	s.NetNS = netns
	if r.isNew(&s) {
		if k.proto == whose.TCP && r.query.Needs.Has(whose.NeedTimer) {
			if err := r.noteTimer(text, &s); err != nil {
				r.bad(path, line, err)
			}
		}
		r.snap.Sockets = append(r.snap.Sockets, s)
	}
}

// noteTimer notes the timer of a socket, if one runs.
func (r *reader) noteTimer(line []byte, s *source.Socket) error {
	t, err := parseTimer(line)
	if err != nil || t.Kind == 0 {
		return err
	}
	r.snap.TCPInfo = append(r.snap.TCPInfo, whose.TCPInfo{OnlyTimer: true, Timer: t})
	s.TCPInfo = uint32(len(r.snap.TCPInfo))
	return nil
}

func isHeader(text []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(text, " "), []byte("sl "))
}

// bad counts a malformed line.
func (r *reader) bad(path string, line int, err error) {
	r.badLines++
	if r.firstBad == nil {
		r.firstBad = fmt.Errorf("%s:%d: %w", path, line, err)
	}
}

// beginRound makes the reader ready to read a file once.
func (r *reader) beginRound() {
	r.round++
	r.seen = 0
}

// isNew reports whether the socket was not met before in this pass, and notes
// it: by its inode or, without one, by its two ends. The subflows of an MPTCP
// session are TCP connections with one inode, and differ in their ends.
func (r *reader) isNew(s *source.Socket) bool {
	if s.Inode != 0 {
		met, known := r.inodes[s.Inode]
		if !known {
			met.at = uint32(len(r.snap.Sockets))
		}
		if met.round != r.round {
			met.round = r.round
			r.inodes[s.Inode] = met
			r.seen++
		}
		if !known || s.Proto != whose.TCP || s.RemotePort == 0 || sameEnds(s, &r.snap.Sockets[met.at]) {
			return !known
		}
	}
	return meet(r, r.tuples, tuple{
		local: s.Local, remote: s.Remote, netns: s.NetNS,
		localPort: s.LocalPort, remotePort: s.RemotePort, proto: s.Proto, family: s.Family,
	})
}

func sameEnds(a, b *source.Socket) bool {
	return a.LocalPort == b.LocalPort && a.RemotePort == b.RemotePort && a.Local == b.Local && a.Remote == b.Remote
}

// meet counts a key met for the first time in this round, and reports whether
// it is for the first time in this pass.
func meet[K comparable](r *reader, met map[K]uint32, key K) bool {
	last, known := met[key]
	if !known || last != r.round {
		met[key] = r.round
		r.seen++
	}
	return !known
}

// meetsAny reports whether the socket meets one of the conditions on its ends,
// or is wanted without.
func (r *reader) meetsAny(s *source.Socket) bool {
	if len(r.query.Any) == 0 || r.query.Listeners && (s.State == whose.Listen || s.State == whose.Unconn) {
		return true
	}
	local := netip.AddrPortFrom(netip.AddrFrom16(s.Local).Unmap(), s.LocalPort)
	remote := netip.AddrPortFrom(netip.AddrFrom16(s.Remote).Unmap(), s.RemotePort)
	for i := range r.query.Any {
		if r.query.Any[i].Holds(local, remote) {
			return true
		}
	}
	return false
}
