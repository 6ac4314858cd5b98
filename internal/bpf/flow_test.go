package bpf

import "testing"

// The values are those of sha256sum over the bytes.
func TestFlowID(t *testing.T) {
	key := [32]byte{31: 1}
	for _, c := range []struct {
		a, b uint32
		key  *[32]byte
		want uint64
	}{
		{1, 2, nil, 0x0f585dd518ed0644},
		{0, 4294967295, nil, 0x5981693c8df83eea},
		{4294967294, 7, nil, 0xc730dd2e64acc2b2},
		{1, 2, &key, 0xd815d83dd5f8b77d},
	} {
		if got := FlowID(c.a, c.b, c.key); got != c.want {
			t.Errorf("FlowID(%d, %d): %016x, want %016x", c.a, c.b, got, c.want)
		}
		if got := FlowID(c.b, c.a, c.key); got != c.want {
			t.Errorf("FlowID(%d, %d): %016x, want %016x as from the other end", c.b, c.a, got, c.want)
		}
	}
}
