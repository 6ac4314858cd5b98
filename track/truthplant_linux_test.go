// The judge is judged: a list that is right has no fault, and each error that
// is planted in it is found, and is the only one.

package track_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// smallLog is of a load that was cut to one of each kind.
const smallLog = `tcp kind=listen cookie=1 ns=7 pid=100 start=5000 then=101:5001,102:5001 dir=- fam=4 local=0.0.0.0/8000 remote=0.0.0.0/0 begin=1000000 open=1100000 end=900000000 sent=0 recv=0 how=- by=- errno=0 late=0
tcp kind=session cookie=2 ns=7 pid=200 start=5010 then=- dir=out fam=6 local=127.0.0.1/40000 remote=127.0.0.1/8000 begin=300000000 open=301000000 end=302000000 sent=116 recv=1000 how=orderly by=here errno=0 late=0
tcp kind=session cookie=3 ns=7 pid=101 start=5001 then=103:5011 dir=in fam=4 local=127.0.0.1/8000 remote=127.0.0.1/40000 begin=0 open=301500000 end=302500000 sent=1000 recv=116 how=orderly by=there errno=0 late=0
tcp kind=session cookie=4 ns=7 pid=200 start=5010 then=- dir=out fam=4 local=127.0.0.1/40001 remote=127.0.0.1/8000 begin=400000000 open=401000000 end=402000000 sent=10 recv=0 how=reset by=here errno=0 late=0
tcp kind=session cookie=0 ns=7 pid=100 start=5000 then=- dir=in fam=4 local=127.0.0.1/8000 remote=127.0.0.1/40001 begin=0 open=401000000 end=402500000 sent=0 recv=10 how=reset by=there errno=0 late=1
tcp kind=fail cookie=5 ns=7 pid=200 start=5010 then=- dir=out fam=4 local=0.0.0.0/0 remote=127.0.0.1/9 begin=500000000 open=500100000 end=500200000 sent=0 recv=0 how=refused by=- errno=111 late=0
tcp kind=session cookie=5 ns=7 pid=200 start=5010 then=- dir=out fam=4 local=127.0.0.1/40002 remote=127.0.0.1/8000 begin=510000000 open=510100000 end=510200000 sent=1 recv=2 how=timed-out by=nobody errno=0 late=0
proc pid=300 start=5020 comm=one-shot exe=/x/one-shot cmdline=/x/one-shot a b
tcp kind=session cookie=6 ns=7 pid=300 start=5020 then=- dir=out fam=4 local=127.0.0.1/40003 remote=127.0.0.1/8000 begin=600000000 open=600100000 end=600200000 sent=3 recv=4 how=orderly by=any errno=0 late=0
bind cookie=10 ns=7 pid=400 start=5030 fam=4 local=0.0.0.0/5353
udp cookie=10 ns=7 pid=400 start=5030 fam=4 local=0.0.0.0/5353 remote=127.0.0.1/41000 sent=30 recv=15 dsent=1 drecv=1 blind=0 at=700000000
udp cookie=10 ns=7 pid=400 start=5030 fam=4 local=0.0.0.0/5353 remote=127.0.0.1/41000 sent=3 recv=1 dsent=1 drecv=1 blind=0 at=710000000
udp cookie=11 ns=7 pid=401 start=5031 fam=4 local=0.0.0.0/41000 remote=127.0.0.1/5353 sent=16 recv=33 dsent=2 drecv=2 blind=0 at=700000000
udp cookie=12 ns=7 pid=401 start=5031 fam=4 local=0.0.0.0/41001 remote=127.0.0.1/5353 sent=16 recv=33 dsent=2 drecv=2 blind=1 at=720000000
`

func smallTruth(t *testing.T) *truth {
	tr := newTruth()
	if err := tr.read(strings.NewReader(smallLog)); err != nil {
		t.Fatal(err)
	}
	return tr
}

// testJudge is one that needs no host.
func testJudge(tr *truth) *judge {
	return &judge{
		truth: tr, boot: time.Unix(1700000000, 0),
		start: func(ticks uint64) time.Time {
			return time.Unix(1700000000, 0).Add(time.Duration(ticks) * 10 * time.Millisecond)
		},
	}
}

// perfect makes the events that a tracker without a fault would tell.
func perfect(j *judge) []whose.Event {
	var all []whose.Event
	for i := range j.truth.ends {
		all = append(all, endEvents(j, &j.truth.ends[i])...)
	}
	for cookie, b := range j.truth.binds {
		all = append(all, whose.Event{Kind: whose.EventBind, Session: whose.Session{
			Proto: whose.UDP, Cookie: cookie, NetNS: b.netns, Local: b.local, Owners: j.ownersOf(b.owner),
		}})
	}
	for id, f := range j.truth.flows {
		e := whose.Event{Kind: whose.EventOpen, Session: whose.Session{
			Proto: whose.UDP, Family: f.family, Cookie: id.cookie, NetNS: f.netns, Local: f.local, Remote: id.remote,
			Owners: j.ownersOf(f.owner),
		}}
		all = append(all, e)
		e.Kind, e.End = whose.EventClose, whose.EndClosed
		e.Sent, e.Received = whose.Traffic{Bytes: f.sent, Datagrams: f.dgramsSent}, whose.Traffic{Bytes: f.received, Datagrams: f.dgramsRecvd}
		all = append(all, e)
	}
	slices.SortStableFunc(all, func(a, b whose.Event) int {
		return int(a.Session.Cookie) - int(b.Session.Cookie)
	})
	return all
}

// unaccepted is the cookie of an end that nobody accepted.
const unaccepted = 1000

// endEvents are those of one end.
func endEvents(j *judge, t *trueEnd) []whose.Event {
	cookie := t.cookie
	if cookie == 0 {
		cookie = unaccepted
	}
	begun := whose.Event{Time: j.wall(t.open), Session: whose.Session{
		Proto: whose.TCP, Family: t.family, Cookie: cookie, NetNS: t.netns, Local: t.local, Remote: t.remote,
		Direction: whose.In, Owners: j.ownersOf(t.owner),
	}}
	if t.out {
		begun.Session.Direction = whose.Out
	}
	ended := begun
	ended.Time, ended.Sent.Bytes, ended.Received.Bytes = j.wall(t.end), t.sent, t.received
	ended.Duration = ended.Time.Sub(begun.Time)
	ended.End, ended.Errno = endNamed(t.how), t.errno
	switch t.by {
	case "here", "any":
		ended.By = whose.Here
	case "there":
		ended.By = whose.There
	}
	switch t.kind {
	case "fail":
		ended.Kind, ended.Duration = whose.EventFail, time.Duration(t.end-t.begin)
		return []whose.Event{ended}
	case "listen":
		begun.Kind, ended.Kind = whose.EventListen, whose.EventUnlisten
		begun.Session.Direction, ended.Session.Direction = 0, 0
	default:
		begun.Kind, ended.Kind = whose.EventOpen, whose.EventClose
	}
	return []whose.Event{begun, ended}
}

func endNamed(name string) whose.End {
	for e := whose.EndNone; e <= whose.EndError; e++ {
		if e.String() == name {
			return e
		}
	}
	return whose.EndNone
}

// ownersOf makes the owner that the truth names.
func (j *judge) ownersOf(p procID) []whose.Owner {
	facts := j.truth.procs[p]
	return []whose.Owner{{Process: &whose.Process{
		PID: p.pid, StartTime: j.start(p.start), Comm: facts.comm, Exe: facts.exe, Cmdline: facts.cmdline,
	}}}
}

// find returns the place of the event of a kind of a socket.
func find(events []whose.Event, cookie uint64, k whose.EventKind) int {
	return slices.IndexFunc(events, func(e whose.Event) bool { return e.Session.Cookie == cookie && e.Kind == k })
}

// changed plants an error in one event.
func changed(cookie uint64, k whose.EventKind, change func(j *judge, e *whose.Event)) func(*judge, []whose.Event) []whose.Event {
	return func(j *judge, events []whose.Event) []whose.Event {
		change(j, &events[find(events, cookie, k)])
		return events
	}
}

func without(cookie uint64, k whose.EventKind) func(*judge, []whose.Event) []whose.Event {
	return func(_ *judge, events []whose.Event) []whose.Event {
		i := find(events, cookie, k)
		return slices.Delete(events, i, i+1)
	}
}

func twice(cookie uint64, k whose.EventKind) func(*judge, []whose.Event) []whose.Event {
	return func(_ *judge, events []whose.Event) []whose.Event {
		return append(events, events[find(events, cookie, k)])
	}
}

// added plants a changed copy of an event.
func added(cookie uint64, k whose.EventKind, change func(e *whose.Event)) func(*judge, []whose.Event) []whose.Event {
	return func(_ *judge, events []whose.Event) []whose.Event {
		e := events[find(events, cookie, k)]
		change(&e)
		return append(events, e)
	}
}

func swapped(cookie uint64, a, b whose.EventKind) func(*judge, []whose.Event) []whose.Event {
	return func(_ *judge, events []whose.Event) []whose.Event {
		i, k := find(events, cookie, a), find(events, cookie, b)
		events[i], events[k] = events[k], events[i]
		return events
	}
}

func stranger(j *judge, e *whose.Event) { e.Session.Owners = j.ownersOf(procID{999, 5000}) }

func TestJudge(t *testing.T) {
	tests := []struct {
		name  string
		plant func(*judge, []whose.Event) []whose.Event
		want  charge
	}{
		{"nothing", func(_ *judge, e []whose.Event) []whose.Event { return e }, ""},
		{"open left out", without(3, whose.EventOpen), missing},
		{"close left out", without(3, whose.EventClose), missing},
		{"fail left out", without(5, whose.EventFail), missing},
		{"listen left out", without(1, whose.EventListen), missing},
		{"unlisten left out", without(1, whose.EventUnlisten), missing},
		{"unaccepted left out", without(unaccepted, whose.EventClose), missing},
		{"bind left out", without(10, whose.EventBind), missing},
		{"flow's open left out", without(11, whose.EventOpen), missing},
		{"flow's close left out", without(10, whose.EventClose), missing},
		{"open twice", twice(2, whose.EventOpen), doubled},
		{"close twice", twice(6, whose.EventClose), doubled},
		{"fail twice", twice(5, whose.EventFail), doubled},
		{"unlisten twice", twice(1, whose.EventUnlisten), doubled},
		{"bind twice", twice(10, whose.EventBind), doubled},
		{"flow's close twice", twice(11, whose.EventClose), doubled},
		{"a fail beside a session", added(2, whose.EventClose, func(e *whose.Event) { e.Kind = whose.EventFail }), spurious},
		{"a socket of nobody", added(2, whose.EventOpen, func(e *whose.Event) { e.Session.Cookie = 77 }), spurious},
		{"a flow of nobody", added(11, whose.EventOpen, func(e *whose.Event) {
			e.Session.Remote = netip.MustParseAddrPort("127.0.0.1:54")
		}), spurious},
		{"a close before its open", swapped(2, whose.EventOpen, whose.EventClose), disordered},
		{"connector is another", changed(2, whose.EventOpen, stranger), wrongOwner},
		{"acceptor is another", changed(3, whose.EventOpen, stranger), wrongOwner},
		{"closed by a stranger", changed(3, whose.EventClose, stranger), wrongOwner},
		{"unaccepted of a stranger", changed(unaccepted, whose.EventOpen, stranger), wrongOwner},
		{"listened by another", changed(1, whose.EventListen, stranger), wrongOwner},
		{"failed by another", changed(5, whose.EventFail, stranger), wrongOwner},
		{"bound by another", changed(10, whose.EventBind, stranger), wrongOwner},
		{"flow of another", changed(11, whose.EventOpen, stranger), wrongOwner},
		{"opened by nobody", changed(2, whose.EventOpen, func(_ *judge, e *whose.Event) { e.Session.Owners = nil }), wrongOwner},
		{"opened by the heir too", changed(3, whose.EventOpen, func(j *judge, e *whose.Event) {
			e.Session.Owners = append(j.ownersOf(procID{101, 5001}), j.ownersOf(procID{103, 5011})...)
		}), wrongOwner},
		{"queued and then owned", func(j *judge, all []whose.Event) []whose.Event {
			e := &all[find(all, 3, whose.EventOpen)]
			e.Session.Owners, e.Session.Reason = j.ownersOf(procID{100, 5000}), whose.ReasonAcceptQueue
			return all
		}, ""},
		{"queued and never owned", func(j *judge, all []whose.Event) []whose.Event {
			for i := range all {
				if e := &all[i]; e.Session.Cookie == 3 {
					e.Session.Owners, e.Session.Reason = j.ownersOf(procID{103, 5011}), whose.ReasonAcceptQueue
				}
			}
			return all
		}, wrongOwner},
		{"pid used again", changed(2, whose.EventOpen, func(j *judge, e *whose.Event) { e.Session.Owners = j.ownersOf(procID{200, 5011}) }), wrongOwner},
		{"closed by the heir", changed(3, whose.EventClose, func(j *judge, e *whose.Event) { e.Session.Owners = j.ownersOf(procID{103, 5011}) }), ""},
		{"short process without a name", changed(6, whose.EventOpen, func(j *judge, e *whose.Event) { e.Session.Owners[0].Cmdline = "" }), wrongName},
		{"a byte less sent", changed(2, whose.EventClose, func(_ *judge, e *whose.Event) { e.Sent.Bytes-- }), wrongBytes},
		{"a byte more received", changed(unaccepted, whose.EventClose, func(_ *judge, e *whose.Event) { e.Received.Bytes++ }), wrongBytes},
		{"session says otherwise", changed(2, whose.EventClose, func(_ *judge, e *whose.Event) { e.Session.TCP = &whose.TCPInfo{BytesSent: 1} }), wrongBytes},
		{"flow a datagram short", changed(10, whose.EventClose, func(_ *judge, e *whose.Event) { e.Received.Datagrams-- }), wrongBytes},
		{"blind flow a byte short", changed(12, whose.EventClose, func(_ *judge, e *whose.Event) { e.Received.Bytes-- }), wrongBytes},
		{"out is in", changed(2, whose.EventOpen, func(_ *judge, e *whose.Event) { e.Session.Direction = whose.In }), wrongDir},
		{"in is out", changed(3, whose.EventClose, func(_ *judge, e *whose.Event) { e.Session.Direction = whose.Out }), wrongDir},
		{"orderly is reset", changed(2, whose.EventClose, func(_ *judge, e *whose.Event) { e.End = whose.EndReset }), wrongEnd},
		{"refused is timed out", changed(5, whose.EventFail, func(_ *judge, e *whose.Event) { e.End = whose.EndTimedOut }), wrongEnd},
		{"closed flow is idle", changed(11, whose.EventClose, func(_ *judge, e *whose.Event) { e.End = whose.EndIdle }), wrongEnd},
		{"here is there", changed(2, whose.EventClose, func(_ *judge, e *whose.Event) { e.By = whose.There }), wrongSide},
		{"there is nobody", changed(3, whose.EventClose, func(_ *judge, e *whose.Event) { e.By = 0 }), wrongSide},
		{"nobody is here", changed(5, whose.EventClose, func(_ *judge, e *whose.Event) { e.By = whose.Here }), wrongSide},
		{"any is there", changed(6, whose.EventClose, func(_ *judge, e *whose.Event) { e.By = whose.There }), ""},
		{"no error number", changed(5, whose.EventFail, func(_ *judge, e *whose.Event) { e.Errno = 0 }), wrongErrno},
		{"another port", changed(2, whose.EventOpen, func(_ *judge, e *whose.Event) {
			e.Session.Local = netip.AddrPortFrom(e.Session.Local.Addr(), 1)
		}), wrongAddr},
		{"another remote", changed(5, whose.EventFail, func(_ *judge, e *whose.Event) { e.Session.Remote = netip.AddrPort{} }), wrongAddr},
		{"family of the address", changed(2, whose.EventClose, func(_ *judge, e *whose.Event) { e.Session.Family = whose.IPv4 }), wrongFamily},
		{"opened too late", changed(2, whose.EventOpen, func(_ *judge, e *whose.Event) { e.Time = e.Time.Add(time.Second) }), wrongTime},
		{"lasting too long", changed(2, whose.EventClose, func(_ *judge, e *whose.Event) { e.Duration += time.Second }), wrongTime},
		{"standing that is closed as new", changed(2, whose.EventOpen, func(_ *judge, e *whose.Event) { e.Kind = whose.EventStanding }), wrongTime},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			j := testJudge(smallTruth(t))
			j.judge(test.plant(j, perfect(j)))
			want := map[charge]int{}
			if test.want != "" {
				want[test.want] = 1
			}
			for c, n := range j.counts {
				if want[c] == 0 {
					t.Errorf("%s: %d, want none\n%s", c, n, j.verdict())
				}
			}
			if test.want != "" && j.counts[test.want] == 0 {
				t.Errorf("not found: %s", test.want)
			}
		})
	}
}
