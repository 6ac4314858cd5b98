package collect_test

import (
	"context"
	"net"
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
)

// TestOtherEnds finds each end of a connection from the other, and no end that is
// not in the answer.
func TestOtherEnds(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	for _, source := range []string{"netlink", "procfs"} {
		opts := collect.Options{Source: source, NetNS: "self", Needs: whose.NeedPeer}
		answer, err := collect.Collect(context.Background(), &opts)
		if err != nil {
			t.Fatal(err)
		}
		other, read, found := answer.OtherEnds(), answer.Reader(), 0
		for i := range answer.Len() {
			if one := *read(i); one.Local.Port() == port && one.State == whose.Established {
				found++
				j := other(i)
				if j < 0 || read(j).Local != one.Remote || read(j).Remote != one.Local || other(j) != i {
					t.Errorf("%s: the other end of %v is at %d", source, one.Local, j)
				}
			} else if one.IsListener() && other(i) != -1 {
				t.Errorf("%s: the listener %v has another end", source, one.Local)
			}
		}
		if found == 0 {
			t.Errorf("%s: the connection is not in the answer", source)
		}
		answer.Close()

		opts.States = whose.SetOf(whose.Listen)
		answer, err = collect.Collect(context.Background(), &opts)
		if err != nil {
			t.Fatal(err)
		}
		for i, other := 0, answer.OtherEnds(); i < answer.Len(); i++ {
			if other(i) != -1 {
				t.Errorf("%s: an end that is not in the answer is at %d", source, other(i))
			}
		}
		answer.Close()
	}
}
