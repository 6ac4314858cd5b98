package bpf

import (
	"crypto/sha256"
	"encoding/binary"
)

// FlowID returns the flow id of a TCP connection: the first eight bytes of the
// SHA-256 of both initial sequence numbers, the smaller first and each with its
// highest byte first, and of the key of the fleet, nil for none. The order makes it
// the same at both ends, also where both connected at once. Programs make the same
// of a pin's connections, so that no reader of it learns the numbers
// (sha256.h, and flow.h of package bpfiter).
func FlowID(a, b uint32, key *[32]byte) uint64 {
	var text [8 + 32]byte
	binary.BigEndian.PutUint32(text[:], min(a, b))
	binary.BigEndian.PutUint32(text[4:], max(a, b))
	n := 8
	if key != nil {
		n += copy(text[8:], key[:])
	}
	sum := sha256.Sum256(text[:n])
	return binary.BigEndian.Uint64(sum[:])
}
