package render

import "iter"

// An arena's chunks grow from the first size to the last. A host needs few of
// them, and they are never copied, unlike one growing slice.
const (
	firstChunk = 8 << 10
	lastChunk  = 256 << 10
)

// An arena keeps rows of bytes one after the other. Every row begins with its
// length and lies in one chunk.
type arena struct {
	chunks [][]byte
	count  int
}

// add copies a row into the arena and counts it.
func (a *arena) add(row []byte) {
	const room = 10 // for the length
	last := len(a.chunks) - 1
	if last < 0 || cap(a.chunks[last])-len(a.chunks[last]) < len(row)+room {
		size := firstChunk
		if last >= 0 {
			size = min(2*cap(a.chunks[last]), lastChunk)
		}
		a.chunks = append(a.chunks, make([]byte, 0, max(size, len(row)+room)))
		last++
	}
	a.chunks[last] = appendRow(a.chunks[last], row)
	a.count++
}

// appendRow appends a row in the form of a chunk.
func appendRow(dst, row []byte) []byte {
	return append(appendUvarint(dst, uint64(len(row))), row...)
}

// rowsOf returns the rows of a chunk in order. They share the chunk's memory.
func rowsOf(chunk []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(chunk) > 0 {
			n, rest := takeUvarint(chunk)
			if !yield(rest[:n]) {
				return
			}
			chunk = rest[n:]
		}
	}
}
