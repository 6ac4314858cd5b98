package lots

import (
	"io"
	"sync"
)

// An Encoder appends the text of entry number i to dst. It belongs to one
// goroutine, which calls it with rising numbers. After an error it has appended
// nothing.
type Encoder func(dst []byte, i int) ([]byte, error)

const (
	// piece is the number of bytes from which on the text of a lot is written before
	// the lot ends. It bounds the memory where entries are long.
	piece = 256 << 10
	// mostWaiting bounds the bytes made before their turn. It is generous: on a busy
	// host the goroutine whose turn it is may have to wait for a processor, and the
	// others should not wait with it.
	mostWaiting = 4 << 20
)

// Write writes the text of all entries to w, in order. The caller's goroutine and
// up to others further ones make it, each with an encoder of its own. The text
// does not depend on their number.
//
// Memory is bounded: a few hundred kilobytes for each goroutine, and four
// megabytes of text before its turn. The first error in the order of the entries
// ends the output. All text before it is written, unless it is the writer's.
func Write(w io.Writer, l List, others int, newEncoder func() Encoder) error {
	s := &sequence{w: w, list: l, ready: make([]text, l.Len())}
	s.change.L = &s.mu
	l.share(others, func() { s.work(newEncoder()) })
	return s.err
}

// A sequence puts the text of lots into their order. Whoever ends the lot whose
// turn it is writes it, and those ready behind it; the others go on.
type sequence struct {
	w    io.Writer
	list List

	mu     sync.Mutex
	change sync.Cond
	// next is the number of the next lot to make, turn that of the next to write.
	next, turn int
	// ready holds the lots made before their turn. waiting is their size in bytes.
	ready   []text
	waiting int
	// free is memory of texts written.
	free [][]byte
	// writing: a goroutine is writing.
	writing bool
	err     error
}

// A text is a lot that is made.
type text struct {
	buf  []byte
	made bool
	// err ends the output behind buf.
	err error
}

// work makes lots until none is left.
func (s *sequence) work(enc Encoder) {
	for {
		lot, buf, ok := s.take()
		if !ok {
			return
		}
		t := text{buf: buf, made: true}
		for i := lot.From; i < lot.To && t.err == nil; i++ {
			if t.buf, t.err = enc(t.buf, i); len(t.buf) >= piece {
				t.buf = s.early(lot.No, t.buf)
			}
		}
		s.give(lot.No, t)
	}
}

// take returns the next lot, and memory for its text. It waits while too much
// waits for its turn, and returns false if no lot is left or the output has
// ended.
func (s *sequence) take() (lot Lot, buf []byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && s.waiting >= mostWaiting {
		s.change.Wait()
	}
	if s.err != nil || s.next == s.list.Len() {
		return lot, nil, false
	}
	lot = s.list.lot(s.next)
	s.next++
	if last := len(s.free) - 1; last >= 0 {
		buf, s.free = s.free[last], s.free[:last]
	}
	return lot, buf, true
}

// give hands in a lot, and writes all lots that come next.
func (s *sequence) give(no int, t text) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready[no] = t
	s.waiting += len(t.buf)
	for s.err == nil && !s.writing && s.turn < len(s.ready) && s.ready[s.turn].made {
		t := s.ready[s.turn]
		s.ready[s.turn] = text{}
		s.write(t.buf)
		if s.err == nil {
			s.err = t.err
		}
		s.waiting -= len(t.buf)
		s.free = append(s.free, t.buf[:0])
		s.turn++
		s.change.Broadcast()
	}
}

// early writes a part of a lot when its turn has come, and returns the memory.
func (s *sequence) early(no int, buf []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && (s.turn != no || s.writing) {
		s.change.Wait()
	}
	s.write(buf)
	return buf[:0]
}

// write writes without the lock. Nobody else writes meanwhile.
func (s *sequence) write(buf []byte) {
	if s.err != nil || len(buf) == 0 {
		return
	}
	s.writing = true
	s.mu.Unlock()
	_, err := s.w.Write(buf)
	s.mu.Lock()
	s.writing = false
	if err != nil {
		s.err = err
		s.change.Broadcast()
	}
}
