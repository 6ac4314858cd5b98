package lots

import "io"

// An Encoder appends the text of entry number i to dst. It belongs to one
// goroutine, which calls it with rising numbers. After an error it has appended
// nothing.
type Encoder func(dst []byte, i int) ([]byte, error)

const (
	// piece is the number of bytes from which on the text of a lot is written before
	// the lot ends. It bounds the memory where entries are long.
	piece = 256 << 10
	// mostText bounds the bytes made before their turn.
	mostText = 4 << 20
	// likelyEntry is the size of most entries. Memory that grows from nothing is moved
	// again and again, and twice as many of its pages are touched.
	likelyEntry = 128
)

// Write writes the text of all entries to w, in order. The caller's goroutine and
// up to others further ones make it, each with an encoder of its own. The text
// does not depend on their number.
//
// Memory is bounded: a few hundred kilobytes for each goroutine, and four
// megabytes of text before its turn. The first error in the order of the entries
// ends the output. All text before it is written, unless it is the writer's.
func Write(w io.Writer, l List, others int, newEncoder func() Encoder) error {
	s := &sequence[[]byte]{list: l, size: func(text []byte) int { return len(text) }, mostWaiting: mostText}
	s.emit = func(text []byte) (err error) {
		if len(text) > 0 {
			_, err = w.Write(text)
		}
		return err
	}
	return s.run(others, func() maker[[]byte] {
		enc := newEncoder()
		return func(l Lot, memory []byte) ([]byte, error) {
			if memory == nil {
				memory = make([]byte, 0, min((l.To-l.From)*likelyEntry, piece))
			}
			text := memory[:0]
			for i := l.From; i < l.To; i++ {
				var err error
				if text, err = enc(text, i); err != nil {
					return text, err
				}
				if len(text) >= piece {
					s.early(l.No, text)
					text = text[:0]
				}
			}
			return text, nil
		}
	})
}
