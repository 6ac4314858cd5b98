package sockdiag

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/netlink"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// fakeKernel answers the requests of a conn: the n-th request with the n-th
// answer, each a list of datagrams or errors.
type fakeKernel struct {
	answers [][]any
	left    []any
	asked   int
}

func (k *fakeKernel) send([]byte) error {
	k.left = k.answers[min(k.asked, len(k.answers)-1)]
	k.asked++
	return nil
}

func (k *fakeKernel) receive(buf []byte) (int, error) {
	if len(k.left) == 0 {
		return 0, netlink.ErrTimeout
	}
	next := k.left[0]
	k.left = k.left[1:]
	if err, ok := next.(error); ok {
		return 0, err
	}
	return copy(buf, next.([]byte)), nil
}

// faked makes a lane whose kernel is fake.
func faked(t *testing.T, k *fakeKernel) (*lane, *conn) {
	s := &Source{}
	w := &s.workers[0]
	w.buf = make([]byte, datagramSize)
	c := &conn{port: 9, seq: 6, send: k.send, receive: k.receive}
	return &lane{w: w, p: &pass{s: s, ctx: t.Context(), q: asking(source.Query{})}, job: &job{n: &space{inode: 1}}, c: c}, c
}

// with returns the messages of cookies with the sequence number of a request.
func with(seq uint32, cookies ...uint32) *answer {
	var a answer
	for _, c := range cookies {
		a.message(netlink.TypeTCP, 2, seq, 9, diagMsg(netlink.FamilyIPv4, stateEstablished, c))
	}
	return &a
}

func end0(seq uint32, flags uint16) []byte {
	return (&answer{}).message(netlink.TypeDone, 2|flags, seq, 9, make([]byte, 4)).b
}

func TestAsk_Faults(t *testing.T) {
	interrupted := func(seq uint32) []any { return []any{with(seq, seq).b, end0(seq, netlink.FlagInterrupted)} }
	for _, c := range []struct {
		name    string
		answers [][]any
		asked   int
		rows    []uint64
		err     error
		gaps    []whose.GapKind
		broken  bool
	}{
		{name: "plain", answers: [][]any{{with(7, 1, 2).b, with(7, 3).b, end0(7, 0)}}, asked: 1, rows: []uint64{1, 2, 3}},
		{name: "interrupted once", answers: [][]any{interrupted(7), {with(8, 5).b, end0(8, 0)}}, asked: 2, rows: []uint64{5}},
		{name: "interrupted always", answers: [][]any{interrupted(7), interrupted(8), interrupted(9)}, asked: 3,
			rows: []uint64{9}, gaps: []whose.GapKind{whose.GapTables}},
		{name: "no buffers", answers: [][]any{{with(7, 1).b, unix.ENOBUFS, end0(7, 0)}, {with(8, 1, 2).b, end0(8, 0)}}, asked: 2, rows: []uint64{1, 2}},
		{name: "refused", answers: [][]any{{(&answer{}).message(netlink.TypeError, 0, 7, 9, []byte{0xff, 0xff, 0xff, 0xff}).b}},
			asked: 1, err: unix.EPERM, gaps: []whose.GapKind{whose.GapSockets}},
		{name: "fails in the middle", answers: [][]any{{with(7, 1).b, unix.ENOMEM}}, asked: 1, err: unix.ENOMEM,
			gaps: []whose.GapKind{whose.GapSockets}, broken: true},
		{name: "silence", answers: [][]any{{with(7, 1).b}}, asked: 1, err: netlink.ErrTimeout, gaps: []whose.GapKind{whose.GapSockets}, broken: true},
		{name: "nonsense between", answers: [][]any{{[]byte{1, 2, 3}, with(7, 1).b, with(3, 9).b, end0(7, 0)}}, asked: 1,
			rows: []uint64{1}, gaps: []whose.GapKind{whose.GapSockets}},
	} {
		k := &fakeKernel{answers: c.answers}
		l, _ := faked(t, k)
		r, d := request{proto: netlink.ProtoTCP}, dump{proto: whose.TCP, families: whose.AllFamilies, states: whose.AllStates}
		err := l.ask(&r, &d, &l.w.out)
		if c.err == nil && err != nil || c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.err)
		}
		l.report(err, &d)
		var got []uint64
		for _, s := range l.w.out.sockets {
			got = append(got, s.Cookie)
		}
		var kinds []whose.GapKind
		for _, g := range append(l.w.gaps, l.p.gaps...) {
			kinds = append(kinds, g.Kind)
		}
		if k.asked != c.asked || !slices.Equal(got, c.rows) || !slices.Equal(kinds, c.gaps) || l.n.broken.Load() != c.broken {
			t.Errorf("%s: asked %d, rows %v, gaps %v, broken %v; want %d, %v, %v, %v",
				c.name, k.asked, got, kinds, l.n.broken.Load(), c.asked, c.rows, c.gaps, c.broken)
		}
		if (l.p.err() != nil) != (c.err != nil) {
			t.Errorf("%s: the pass says %v", c.name, l.p.err())
		}
	}
}

// TestDumpTCP_OldForm: a kernel that refuses to list both families at once is
// asked for each, and never for both again.
func TestDumpTCP_OldForm(t *testing.T) {
	refused := []any{(&answer{}).message(netlink.TypeError, 0, 7, 9, []byte{0xea, 0xff, 0xff, 0xff}).b} // EINVAL
	k := &fakeKernel{answers: [][]any{refused, {with(8, 1).b, end0(8, 0)}, {with(9, 2).b, end0(9, 0)},
		{with(10, 1).b, end0(10, 0)}, {with(11, 2).b, end0(11, 0)}}}
	l, _ := faked(t, k)
	for range 2 {
		if _, ok := l.dumpTCP(1<<stateEstablished, nil, &l.w.out); !ok {
			t.Fatal(l.p.gaps)
		}
	}
	if k.asked != 5 || len(l.w.out.sockets) != 4 || len(l.p.gaps) != 0 {
		t.Errorf("asked %d times, %d rows, gaps %v", k.asked, len(l.w.out.sockets), l.p.gaps)
	}
}

func TestReport_MissingModule(t *testing.T) {
	for _, c := range []struct {
		proto  whose.Proto
		census census
		gap    bool
	}{
		{whose.UDP, census{}, true},
		{whose.UDPLite, census{known: true}, false}, // the kernel has no UDP-Lite
		{whose.UDPLite, census{known: true, hasUDPLite: true}, true},
		{whose.MPTCP, census{known: true}, false},
		{whose.MPTCP, census{known: true, hasMPTCP: true}, true},
	} {
		l, _ := faked(t, &fakeKernel{})
		l.census = c.census
		if l.report(unix.ENOENT, &dump{proto: c.proto}) || (len(l.p.gaps) == 1) != c.gap {
			t.Errorf("%s, %+v: gaps %v, want one: %v", c.proto, c.census, l.p.gaps, c.gap)
		}
		for _, g := range l.p.gaps {
			if g.Hint == "" || g.Kind != whose.GapSockets {
				t.Errorf("gap %+v", g)
			}
		}
	}
}

func TestKernel_Unlisted(t *testing.T) {
	var k kernel
	if g := k.unlisted(asking(source.Query{})); len(g) != 1 {
		t.Errorf("an old kernel asked for all states: %v", g)
	}
	if g := k.unlisted(asking(source.Query{States: whose.DefaultStates})); len(g) != 0 {
		t.Errorf("an old kernel asked for the default states: %v", g)
	}
	k.listsBound = true
	if g := k.unlisted(asking(source.Query{})); len(g) != 0 {
		t.Errorf("a new kernel: %v", g)
	}
}

// TestRead_Churn: while listeners and connections come and go, each socket that
// stood all the time is in every answer, once.
func TestRead_Churn(t *testing.T) {
	ns := testenv.NewNetNS(t)
	var standing []sock
	in(t, ns, func(o *opener) {
		l := o.socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		o.bind(l, "127.0.0.1:80")
		o.listen(l, 128)
		c := o.socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		o.connect(c, netip.MustParseAddrPort("127.0.0.1:80"))
		standing = []sock{l, c, o.accept(l)}
	})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var rounds int
	var churnErr error
	wg.Go(func() {
		ns.Do(func() { rounds, churnErr = churn(stop) })
	})
	s := open(t, Options{})
	q := *asking(source.Query{Visit: visit(ns), States: whose.DefaultStates})
	var snap source.Snapshot
	for pass := range 500 {
		snap.Reset()
		if err := s.Read(t.Context(), &q, &snap); err != nil {
			t.Fatal(err)
		}
		for _, x := range standing {
			n := 0
			for i := range snap.Sockets {
				if snap.Sockets[i].Inode == x.inode {
					n++
				}
			}
			if n != 1 {
				t.Fatalf("pass %d: inode %d stands %d times among %d, dumps %d", pass, x.inode, n, len(snap.Sockets), asked(s))
			}
		}
	}
	close(stop)
	wg.Wait()
	if churnErr != nil || rounds < 100 {
		t.Errorf("%d rounds of churn: %v", rounds, churnErr)
	}
}

// churn opens and closes a listener and a connection to it until it is told to
// stop; resets leave no TIME_WAIT behind.
func churn(stop chan struct{}) (rounds int, err error) {
	for ; ; rounds++ {
		select {
		case <-stop:
			return rounds, nil
		default:
		}
		if err := churnOnce(); err != nil {
			return rounds, err
		}
	}
}

func churnOnce() error {
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(l)
	if err := unix.Listen(l, 1); err != nil {
		return err
	}
	to, err := unix.Getsockname(l)
	if err != nil {
		return err
	}
	c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(c)
	if err := unix.SetsockoptLinger(c, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return err
	}
	return unix.Connect(c, to)
}
