package proc

import "math"

// parseSocketLink returns the inode of a descriptor's link "socket:[4711]",
// and false for a link to anything else.
func parseSocketLink(link []byte) (inode uint64, ok bool) {
	return numberIn(link, "socket:[")
}

// numberIn returns the number between prefix and "]" if link is just this.
func numberIn(link []byte, prefix string) (uint64, bool) {
	if len(link) < len(prefix)+2 || string(link[:len(prefix)]) != prefix || link[len(link)-1] != ']' {
		return 0, false
	}
	return parseUint(link[len(prefix) : len(link)-1])
}

// parseUint parses b as a decimal number of 64 bits.
func parseUint(b []byte) (uint64, bool) {
	var n uint64
	for _, c := range b {
		d := uint64(c - '0')
		if c < '0' || c > '9' || n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = 10*n + d
	}
	return n, len(b) > 0
}

// parsePID parses a process id: a number of 1 and more within 31 bits.
func parsePID(b []byte) (uint32, bool) {
	n, ok := parseUint(b)
	return uint32(n), ok && n > 0 && n <= math.MaxInt32
}
