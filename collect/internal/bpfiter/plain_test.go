package bpfiter

import (
	"slices"
	"testing"
)

const liteFile = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  104: 0100007F:8AE1 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 223892388 2 0000000000000000 0
  105: 0100007F:8AE2 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 0 2 0000000000000000 0
  106: 0100007F:8AE3 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 17 2 0000000000000000 0
`

func TestInodesOf(t *testing.T) {
	if got := inodesOf([]byte(liteFile)); !slices.Equal(got, []uint32{223892388, 17}) {
		t.Errorf("inodes %v", got)
	}
	for _, bad := range []string{"", "\n\n", "a b c", "0 1 2 3 4 5 6 7 8 99999999999", "0 1 2 3 4 5 6 7 8 -1"} {
		if got := inodesOf([]byte(bad)); len(got) != 0 {
			t.Errorf("%q: inodes %v", bad, got)
		}
	}
}

func FuzzInodesOf(f *testing.F) {
	f.Add([]byte(liteFile))
	f.Add([]byte("0 1 2 3 4 5 6 7 8 4294967296 \x00\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if slices.Contains(inodesOf(b), 0) {
			t.Error("an inode of nought")
		}
	})
}
