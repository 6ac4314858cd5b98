package sockdiag

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

type inodes map[uint64]bool

func (s inodes) Add(inode uint64) { s[inode] = true }

// TestUnixInodes: those of a namespace that was read are listed, of each kind
// and whatever they do, and those of another are not.
func TestUnixInodes(t *testing.T) {
	here, there := testenv.NewNetNS(t), testenv.NewNetNS(t)
	var mine, others []sock
	for _, typ := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_SEQPACKET} {
		in(t, here, func(o *opener) { mine = append(mine, o.socket(unix.AF_UNIX, typ, 0)) })
		in(t, there, func(o *opener) { others = append(others, o.socket(unix.AF_UNIX, typ, 0)) })
	}
	in(t, here, func(o *opener) {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		o.check("socketpair", err)
		mine = append(mine, o.keep(pair[0]), o.keep(pair[1]))
	})
	s := open(t, Options{})
	readWith(t, s, here, source.Query{})
	got := inodes{}
	if err := s.UnixInodes(t.Context(), got); err != nil {
		testenv.Lacks(t, "unix_diag", err.Error())
	}
	for _, m := range mine {
		if !got[m.inode] {
			t.Errorf("socket %d is not listed", m.inode)
		}
	}
	for _, o := range others {
		if got[o.inode] {
			t.Errorf("socket %d of another namespace is listed", o.inode)
		}
	}
	readWith(t, s, here, source.Query{}) // the socket is as usable as before
}
