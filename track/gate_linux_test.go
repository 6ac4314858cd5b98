// One truth: what the listing says of standing sessions, by each source, what
// the live table says, and what the events have said, are the same sessions with
// the same owners, peers, direction, reason and namespace.

package track

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/collect/collecttest"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/internal/testenv"
	"github.com/seed-44df2ae6/whose/track/internal/ledger"
)

const (
	// gatePause is the time between two looks at accounts that differ.
	gatePause = 100 * time.Millisecond
	// gateHeals is how long the gate waits before it believes that a record was lost.
	gateHeals = 300 * time.Millisecond
	// gatePatience is how long the accounts may differ.
	gatePatience = 20 * time.Second
	// gateSessions is room for what others have open on this host meanwhile.
	gateSessions = 4 << 20
)

// A difference is what an account cannot know, or tells otherwise on purpose.
type difference struct {
	// ways and accounts that it is about; empty: all.
	ways, accounts []string
	// byListener: it is about those who go by who listens: the listing by another
	// source than BPF, and a way that follows by snapshots of such.
	byListener bool
	// which sessions, and why.
	which, why string
	// holds tests whether a session is one of them, by the listing.
	holds func(s *whose.Session, l *listed) bool
	// blank takes away what is not compared; nil: the session is left out.
	blank func(s *whose.Session)
}

// differences is the table of them. What a source cannot know stands in
// collecttest.Facts.
var differences = []difference{
	{
		which: "flows of UDP sockets that are not connected", why: "no listing has them",
		holds: func(s *whose.Session, l *listed) bool {
			return s.Proto.IsDatagram() && s.Remote.Port() != 0 && l.unconnected[s.Local]
		},
	},
	{
		accounts: []string{"events"}, which: "UDP sockets that are only bound", why: "no event tells that one is closed",
		holds: func(s *whose.Session, _ *listed) bool { return s.Proto.IsDatagram() && s.Remote.Port() == 0 },
	},
	{
		ways: []string{SourceBPF}, accounts: []string{"events"}, which: "UDP sockets that are connected",
		why:   "a flow opens with its first datagram, which need not come",
		holds: func(s *whose.Session, _ *listed) bool { return s.Proto.IsDatagram() && s.Remote.Port() != 0 },
	},
	{
		which: "further subflows of MPTCP sessions", why: "a watch shows the session, and not its paths",
		holds: func(s *whose.Session, _ *listed) bool { return s.Subflow },
	},
	{
		byListener: true, which: "the direction of sessions whose listener is gone", why: "they go by who listens at the time",
		holds: func(s *whose.Session, l *listed) bool { return s.Direction != 0 && !l.listens(s) },
		blank: func(s *whose.Session) { s.Direction = 0 },
	},
	{
		byListener: true, which: "the direction of sessions that who listens is wrong about", why: "only the socket itself has it",
		holds: func(s *whose.Session, l *listed) bool { return l.misled[[2]netip.AddrPort{s.Local, s.Remote}] },
		blank: func(s *whose.Session) { s.Direction = 0 },
	},
	{
		which: "the owners of sessions that a process may own that nobody may look into", why: "a tracker may know who opened them",
		holds: func(s *whose.Session, l *listed) bool { return l.hidden[[2]netip.AddrPort{s.Local, s.Remote}] },
		blank: func(s *whose.Session) { s.Owners, s.Reason = nil, whose.ReasonHidden },
	},
}

// forgive takes what is known to differ away from a session, and reports
// whether it is to be compared at all.
func (l *listed) forgive(source, way, account string, s *whose.Session) bool {
	for _, d := range differences {
		if d.byListener && source == collect.BPF && way == SourceBPF {
			continue
		}
		if len(d.ways) > 0 && !slices.Contains(d.ways, way) || len(d.accounts) > 0 && !slices.Contains(d.accounts, account) || !d.holds(s, l) {
			continue
		}
		if d.blank == nil {
			return false
		}
		d.blank(s)
	}
	return true
}

// A watcher follows the host and keeps what the events say.
type watcher struct {
	*Tracker
	began string
	mu    sync.Mutex
	said  map[saidID]said
	turn  int
	lost  uint64
	err   error
}

// A saidID is the identity of a session in the stream: a socket or, of UDP and
// MPTCP, a socket and its remote end.
type saidID struct {
	cookie        uint64
	netns         uint32
	proto         whose.Proto
	inode         uint64
	local, remote netip.AddrPort
}

func saidIDOf(s *whose.Session) saidID {
	switch {
	case s.Cookie == 0:
		return saidID{netns: s.NetNS, proto: s.Proto, local: s.Local, remote: s.Remote, inode: s.Inode}
	case s.Proto.IsDatagram() || s.Proto == whose.MPTCP:
		return saidID{cookie: s.Cookie, remote: s.Remote}
	}
	return saidID{cookie: s.Cookie}
}

// A said session is as the last event about it had it.
type said struct {
	whose.Session
	turn int
	over bool
}

// follow starts to follow what the options say.
func follow(t *testing.T, way, began string, o Options) *watcher {
	t.Helper()
	o.Source, o.Interval = way, time.Hour // the gate takes the snapshots
	tr, err := Start(context.Background(), &o)
	if err != nil {
		if way == SourceBPF {
			testenv.Missing(t, "bpf events", err.Error())
		}
		t.Fatal(err)
	}
	tr.mu.Lock()
	tr.engine.HealAfter = gateHeals
	tr.mu.Unlock()
	f := &watcher{Tracker: tr, began: began, said: make(map[saidID]said)}
	ctx, cancel := context.WithCancel(context.Background())
	var reading sync.WaitGroup
	reading.Go(func() {
		for e, err := range tr.Events(ctx) {
			f.hear(&e, err)
		}
	})
	t.Cleanup(func() {
		cancel()
		reading.Wait()
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// hear brings what was said up to date.
func (f *watcher) hear(e *whose.Event, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn++
	s := e.Session
	switch e.Kind {
	case whose.EventStanding, whose.EventOpen, whose.EventListen, whose.EventBind, whose.EventOwned:
		f.said[saidIDOf(&s)] = said{s, f.turn, false}
	case whose.EventClose, whose.EventUnlisten:
		f.said[saidIDOf(&s)] = said{s, f.turn, true}
	case whose.EventLost:
		f.lost += e.Lost
	}
	if err != nil {
		f.err = err
	}
}

// told returns the sessions of a scope as the events have them by now. The peer
// of one is the owner of its other end, if that was told later, and nobody when
// that has ended.
func (f *watcher) told(sc *scope) []whose.Session {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []said
	for _, s := range f.said {
		if slices.Contains(sc.namespaces, s.NetNS) {
			all = append(all, s)
		}
	}
	var standing []whose.Session
	for _, s := range all {
		if s.over {
			continue
		}
		switch o := otherEndOf(&s, all); {
		case o == nil:
		case o.over:
			s.Peer = nil
		case o.turn > s.turn:
			s.Peer = o.Owners
		}
		standing = append(standing, s.Session)
	}
	return standing
}

// otherEndOf returns what was said last of the other end of a session.
func otherEndOf(s *said, all []said) (last *said) {
	e := pair.Of(&s.Session)
	for i := range all {
		o := pair.Of(&all[i].Session)
		if o.NetNS == e.NetNS && e.Faces(&o) && (last == nil || all[i].turn > last.turn) {
			last = &all[i]
		}
	}
	return last
}

// A gate holds the accounts of standing sessions against each other.
type gate struct {
	way       string
	collector *collect.Collector
}

func TestGate(t *testing.T) {
	testenv.NeedRoot(t)
	collector := collect.Open()
	t.Cleanup(func() { collector.Close() })
	ways := SourceNames()[1:]
	if testing.Short() {
		ways = []string{SourceBPF} // the others run the same code after a snapshot
	}
	for _, way := range ways {
		g := &gate{way, collector}
		t.Run(way, func(t *testing.T) {
			for _, c := range collecttest.Cases() {
				t.Run(c.Name, func(t *testing.T) { g.try(t, &c) })
			}
			t.Run("churn", func(t *testing.T) { g.try(t, collecttest.Disorder()) })
		})
	}
}

// try sets a case up between the beginnings of two watchers. One that makes
// namespaces of its own has all followed, as only its sockets may lead there.
func (g *gate) try(t *testing.T, c *collecttest.Case) {
	ns := testenv.NewNetNS(t)
	o := Options{NetNS: strconv.FormatUint(uint64(ns.Inode()), 10)}
	if c.Namespaces {
		o = Options{Filter: expr(t, "comm "+ourComm(t)), MaxSessions: gateSessions}
	}
	before := follow(t, g.way, "begun before", o)
	st := c.StartIn(t, ns)
	ns.Close() // from now on only the case holds it
	sc := scope{namespaces: st.Namespaces, netns: o.NetNS, byDevice: c.ByDevice, subflows: c.Subflows, misled: make(map[[2]netip.AddrPort]bool)}
	for i := range st.Truths {
		if s := &st.Truths[i]; s.Instead != nil {
			sc.misled[[2]netip.AddrPort{s.Local, s.Remote}] = true
		}
	}
	g.agree(t, sc, before, follow(t, g.way, "begun after", o))
}

// ourComm is the name of this process and of those of the cases.
func ourComm(t *testing.T) string {
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(comm))
}

// A scope is what the accounts are asked for.
type scope struct {
	namespaces []uint32
	// netns is the one namespace to look into, empty for all.
	netns string
	// byDevice tells that the source procfs cannot know the owners.
	byDevice bool
	// misled are the ends of sessions that who listens is wrong about.
	misled map[[2]netip.AddrPort]bool
	// subflows tells that for the source procfs each subflow is a session.
	subflows bool
}

func (sc *scope) keep(sessions []whose.Session) []whose.Session {
	return slices.DeleteFunc(sessions, func(s whose.Session) bool { return !slices.Contains(sc.namespaces, s.NetNS) })
}

// agree waits until all accounts say the same.
func (g *gate) agree(t *testing.T, sc scope, watchers ...*watcher) {
	t.Helper()
	for deadline := time.Now().Add(gatePatience); ; time.Sleep(gatePause) {
		for _, w := range watchers {
			if _, _, err := w.reconcile(t.Context()); err != nil {
				t.Fatalf("%s: take snapshot: %v", w.began, err)
			}
		}
		wrong := make(map[string][]string)
		for _, source := range []string{collect.BPF, collect.Netlink, collect.Procfs} {
			if (sc.byDevice || sc.subflows) && source == collect.Procfs {
				continue
			}
			for _, w := range g.compare(t, source, &sc, watchers) {
				wrong[w] = append(wrong[w], source)
			}
		}
		if len(wrong) == 0 {
			return
		}
		if time.Now().After(deadline) {
			for _, w := range slices.Sorted(maps.Keys(wrong)) {
				t.Errorf("%s (by %s)", w, strings.Join(wrong[w], ", "))
			}
			return
		}
	}
}

// compare says where an account of a watcher and the listing of a source
// differ.
func (g *gate) compare(t *testing.T, source string, sc *scope, watchers []*watcher) (wrong []string) {
	list := collecttest.Collect(g.collector, source)
	listing, _, err := list(t.Context(), collect.Options{States: whose.AllStates, NetNS: sc.netns})
	if err != nil {
		t.Fatalf("list by %s: %v", source, err)
	}
	listing = slices.DeleteFunc(sc.keep(listing), func(s whose.Session) bool { return !ledger.Lives(&s) })
	l := newListed(listing)
	l.misled = sc.misled
	for _, w := range watchers {
		for account, sessions := range map[string][]whose.Session{"table": w.Append(nil, nil), "events": w.told(sc)} {
			a, b := g.rows(source, account, listing, l), g.rows(source, account, sc.keep(sessions), l)
			name := fmt.Sprintf("%s, %s", account, w.began)
			wrong = append(wrong, only(name+" lacks", a, b)...)
			wrong = append(wrong, only(name+" adds ", b, a)...)
		}
		w.mu.Lock()
		if w.err != nil || w.lost > 0 && len(wrong) > 0 {
			wrong = append(wrong, fmt.Sprintf("%s: lost %d, error %v", w.began, w.lost, w.err))
		}
		w.mu.Unlock()
	}
	return wrong
}

// listed is what differences ask of a listing.
type listed struct {
	// listeners are its listeners.
	listeners []pair.End
	// unconnected are the addresses of UDP sockets that are only bound.
	unconnected map[netip.AddrPort]bool
	// hidden are the ends of sessions whose owner may be hidden, misled those of
	// sessions that who listens is wrong about.
	hidden, misled map[[2]netip.AddrPort]bool
}

func newListed(sessions []whose.Session) *listed {
	l := &listed{unconnected: make(map[netip.AddrPort]bool), hidden: make(map[[2]netip.AddrPort]bool)}
	for i := range sessions {
		s := &sessions[i]
		if s.IsListener() {
			l.listeners = append(l.listeners, pair.Of(s))
		}
		l.unconnected[s.Local] = l.unconnected[s.Local] || s.State == whose.Unconn
		l.hidden[[2]netip.AddrPort{s.Local, s.Remote}] = s.Reason == whose.ReasonHidden
	}
	return l
}

// listens reports whether a listener takes the session.
func (l *listed) listens(s *whose.Session) bool {
	e := pair.Of(s)
	return slices.ContainsFunc(l.listeners, func(o pair.End) bool { return o.Port() == e.Port() && o.Rank(&e) > 0 })
}

// rows writes each session of an account as a line, as far as the source of
// the listing knows it.
func (g *gate) rows(source, account string, sessions []whose.Session, l *listed) map[string]int {
	rows := make(map[string]int)
	for _, s := range sessions {
		if collecttest.Blank(source, &s) && l.forgive(source, g.way, account, &s) {
			rows[rowOf(&s)]++
		}
	}
	return rows
}

func rowOf(s *whose.Session) string {
	return fmt.Sprintf("%v %v>%v %v in %d, owners %s, peer %s %v",
		s.Proto, s.Local, s.Remote, s.Direction, s.NetNS, pidsOf(s.Owners), pidsOf(s.Peer), s.Reason)
}

func pidsOf(owners []whose.Owner) string {
	var all []string
	for _, o := range owners {
		all = append(all, fmt.Sprintf("%d/%s", o.PID, o.Comm))
	}
	return "[" + strings.Join(all, " ") + "]"
}

// only says which rows a has more often than b.
func only(verb string, a, b map[string]int) (all []string) {
	for row, n := range a {
		if n > b[row] {
			all = append(all, verb+" "+row)
		}
	}
	return all
}
