package ledger

import (
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// FuzzEngine: whatever records say, in whatever order, the books stay right
// and nothing is kept without bound.
func FuzzEngine(f *testing.F) {
	f.Add([]byte{1, 1, 0, 3, 1, 9})
	f.Add([]byte{1, 4, 1, 2, 4, 0, 3, 4, 2, 8, 1, 0, 9, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		bench := newBenchOf(t, Want{}, 8)
		for at := 0; len(b) >= 3 && at < 300; at++ {
			r := record(bpfevent.Kind(b[0]%14), at, uint64(b[1]%12))
			r.Out, r.Accepted, r.RemoteUnknown = b[2]&1 != 0, b[2]&2 != 0, b[2]&4 != 0
			if b[2]&8 != 0 {
				r.Proto = uint8(whose.UDP)
			}
			if b[2]&16 != 0 {
				by("p", uint32(b[1])+1)(&r)
			}
			if b[2]&32 != 0 {
				opened(int(b[1]) - 5)(&r)
			}
			if b[2]&64 != 0 {
				bound("0.0.0.0:53")(&r)
			}
			b = b[3:]
			bench.g.Apply(&r)
		}
		bench.g.Expire(^uint64(0))
		checkBooks(t, bench.g)
		if n := bench.g.table.len(); n > 8 || len(bench.g.pending.byID) > 0 {
			t.Errorf("%d sessions, %d waits are kept", n, len(bench.g.pending.byID))
		}
	})
}
