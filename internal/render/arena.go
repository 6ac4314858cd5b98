package render

import "iter"

// chunkSize is the size of an arena's chunks: large enough that few are
// needed, and never copied as one growing slice would be.
const chunkSize = 256 << 10

// An arena keeps rows of bytes one after the other.
type arena struct {
	chunks [][]byte
	count  int
}

// add copies a row into the arena.
func (a *arena) add(row []byte) {
	const room = 10 // for the length
	last := len(a.chunks) - 1
	if last < 0 || cap(a.chunks[last])-len(a.chunks[last]) < len(row)+room {
		a.chunks = append(a.chunks, make([]byte, 0, max(chunkSize, len(row)+room)))
		last++
	}
	chunk := appendUvarint(a.chunks[last], uint64(len(row)))
	a.chunks[last] = append(chunk, row...)
	a.count++
}

// all returns the rows in order. They are the arena's memory.
func (a *arena) all() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, chunk := range a.chunks {
			for len(chunk) > 0 {
				n, rest := takeUvarint(chunk)
				if !yield(rest[:n]) {
					return
				}
				chunk = rest[n:]
			}
		}
	}
}
