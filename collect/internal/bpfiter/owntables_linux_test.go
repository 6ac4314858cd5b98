package bpfiter

import (
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// A childNS is a network namespace made from another one, whose settings it takes.
type childNS struct {
	t    testing.TB
	file *os.File
	ino  uint32
}

// newChildNS makes a namespace whose tables of sockets have so many buckets,
// and are its own.
func newChildNS(t testing.TB, buckets string) *childNS {
	t.Helper()
	return newChildOf(t, testenv.NewNetNS(t), buckets)
}

func newChildOf(t testing.TB, parent *testenv.NetNS, buckets string) *childNS {
	t.Helper()
	c := &childNS{t: t}
	err := testenv.OnThread(func() error {
		if err := unix.Setns(parent.FD(), unix.CLONE_NEWNET); err != nil {
			return err
		}
		for _, name := range []string{"tcp_child_ehash_entries", "udp_child_hash_entries"} {
			if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(buckets), 0); err != nil {
				return err
			}
		}
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		var err error
		c.file, err = os.Open("/proc/thread-self/ns/net")
		return errors.Join(err, exec.Command("ip", "link", "set", "lo", "up").Run())
	})
	must(t, err)
	t.Cleanup(func() { c.file.Close() })
	var st unix.Stat_t
	must(t, unix.Fstat(int(c.file.Fd()), &st))
	c.ino = uint32(st.Ino)
	return c
}

func (c *childNS) Inode() uint32 { return c.ino }

func (c *childNS) Do(fn func()) {
	err := testenv.OnThread(func() error {
		if err := unix.Setns(int(c.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		fn()
		return nil
	})
	must(c.t, err)
}

// TestRead_OwnTables has a namespace with tables of sockets of its own.
func TestRead_OwnTables(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "a namespace's own table of UDP sockets")
	testenv.NeedProgram(t, "ip")
	child := newChildNS(t, "256")
	s := open(t, Options{})
	l, addr := listen(t, child)
	for range 40 {
		c := socket(t, child, unix.AF_INET, unix.SOCK_STREAM, 0)
		must(t, unix.Connect(c, addr))
	}
	u := socket(t, child, unix.AF_INET, unix.SOCK_DGRAM, 0)
	must(t, unix.Bind(u, loopback()))
	snap := read(t, s, inNetNS(child, source.Query{}))
	if waiting := len(find(snap, 0)); waiting != 40 {
		t.Errorf("%d connections wait to be accepted, want 40", waiting)
	}
	s.reading.reset(inNetNS(child, source.Query{}), new(source.Snapshot))
	must(t, s.readRuns(context.Background(), []run{s.run(hashWalk, s.hashWalk, newQuestion(asking(source.Query{})), s.reading.applyTables)}))
	if len(s.reading.more) < 2 {
		t.Errorf("%d tables of its own, want that of TCP and that of UDP", len(s.reading.more))
	}
	must(t, s.resume(context.Background(), newQuestion(asking(source.Query{})), s.reading.applyTables))
	for name, fd := range map[string]int{"listener": l, "UDP socket": u} {
		if !isUnmet(s, inodeOf(t, fd)) {
			t.Errorf("the walk did not meet the %s", name)
		}
	}
}

// TestRead_OwnTables_Sizes has tables of less than a group of buckets, of some, and
// of so many that most groups are empty.
func TestRead_OwnTables_Sizes(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "a namespace's own table of UDP sockets")
	testenv.NeedProgram(t, "ip")
	s := open(t, Options{})
	for _, buckets := range []string{"1", "2", "4", "8", "16", "128", "65536"} {
		const n = 30
		child := newChildNS(t, buckets)
		var want []int
		for range n {
			l, addr := listen(t, child)
			c := socket(t, child, unix.AF_INET, unix.SOCK_STREAM, 0)
			must(t, unix.Connect(c, addr))
			u := socket(t, child, unix.AF_INET, unix.SOCK_DGRAM, 0)
			must(t, unix.Bind(u, loopback()))
			want = append(want, l, c, u)
		}
		q := inNetNS(child, source.Query{})
		snap := read(t, s, q)
		if waiting := len(find(snap, 0)); waiting != n {
			t.Errorf("of %s buckets: %d connections wait to be accepted, want %d", buckets, waiting, n)
		}
		s.reading.reset(q, new(source.Snapshot))
		must(t, s.readTables(context.Background(), newQuestion(q)))
		for i, fd := range want {
			if !isUnmet(s, inodeOf(t, fd)) {
				t.Errorf("of %s buckets: the walk did not meet socket %d", buckets, i)
			}
		}
	}
}

// collidingWith makes a namespace whose number has the same lower bits as that of
// another. Numbers are given out from the lowest free one on, and namespaces of
// other kinds take them too.
func collidingWith(t *testing.T, other *childNS, bits int) *childNS {
	t.Helper()
	parent := testenv.NewNetNS(t)
	for range 200 {
		freeNumber(t, other.ino, uint32(1)<<bits-1)
		c := newChildOf(t, parent, "256")
		if (c.ino^other.ino)&(1<<bits-1) == 0 {
			return c
		}
	}
	testenv.Missing(t, "a free number of a namespace", "others took each that was made free")
	return nil
}

// freeNumber takes all numbers of namespaces up to one with these lower bits, and
// gives back that one alone.
func freeNumber(t *testing.T, like, mask uint32) {
	t.Helper()
	err := testenv.OnThread(func() error {
		for range 4 * (mask + 1) {
			if err := unix.Unshare(unix.CLONE_NEWUTS); err != nil {
				return err
			}
			f, err := os.Open("/proc/thread-self/ns/uts")
			if err != nil {
				return err
			}
			var st unix.Stat_t
			if err := unix.Fstat(int(f.Fd()), &st); err != nil {
				return err
			}
			if ino := uint32(st.Ino); (ino^like)&mask == 0 && ino != like {
				// The thread goes on in another one, so that nobody has this.
				return errors.Join(unix.Unshare(unix.CLONE_NEWUTS), f.Close())
			}
			t.Cleanup(func() { f.Close() })
		}
		return errors.New("no such number came")
	})
	if errors.Is(err, unix.ENOSPC) {
		testenv.Missing(t, "as many namespaces", "user.max_uts_namespaces is lower, as where there is little memory")
	}
	must(t, err)
}

// TestRead_OwnTables_SameBits has two namespaces with tables of their own, whose
// numbers agree in their lower 13 bits.
func TestRead_OwnTables_SameBits(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "a namespace's own table of UDP sockets")
	testenv.NeedProgram(t, "ip")
	a := newChildNS(t, "256")
	b := collidingWith(t, a, 13)
	want := map[uint32]int{a.ino: 3, b.ino: 5}
	for _, ns := range []*childNS{a, b} {
		_, addr := listen(t, ns)
		for range want[ns.ino] {
			c := socket(t, ns, unix.AF_INET, unix.SOCK_STREAM, 0)
			must(t, unix.Connect(c, addr))
		}
	}
	got := make(map[uint32]int)
	for _, at := range find(read(t, open(t, Options{}), asking(source.Query{})), 0) {
		if _, ours := want[at.NetNS]; ours && at.State == whose.Established {
			got[at.NetNS]++
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("connections wait to be accepted, by namespace: %v, want %v", got, want)
	}
}

// TestRead_OwnTables_Long has more sockets without a file in a table of one
// element than fit a read, with their figures.
func TestRead_OwnTables_Long(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "a namespace's own table of UDP sockets")
	testenv.NeedProgram(t, "ip")
	const n = 900
	child := newChildNS(t, "1")
	var addr unix.Sockaddr
	for i := range n {
		if i%100 == 0 {
			_, addr = listen(t, child)
		}
		c := socket(t, child, unix.AF_INET, unix.SOCK_STREAM, 0)
		must(t, unix.Connect(c, addr))
		must(t, unix.Shutdown(c, unix.SHUT_WR))
		null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		must(t, err)
		must(t, errors.Join(unix.Dup3(null, c, unix.O_CLOEXEC), unix.Close(null)))
	}
	q := inNetNS(child, source.Query{Needs: whose.NeedTCPInfo, States: whose.SetOf(whose.CloseWait)})
	snap := read(t, open(t, Options{}), q)
	waiting := find(snap, 0)
	for _, s := range waiting {
		if s.TCPInfo == 0 {
			t.Fatalf("no figures of %+v", s)
		}
	}
	if len(waiting) != n || len(snap.Gaps) != 0 {
		t.Errorf("%d connections wait to be accepted, want %d; gaps %v", len(waiting), n, snap.Gaps)
	}
}
