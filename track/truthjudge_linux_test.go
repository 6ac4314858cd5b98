// The judge: it compares what a tracker told with what a load did, event by
// event. TestJudge shows that it finds what is wrong.

package track_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// A charge is a kind of fault.
type charge string

const (
	missing     charge = "missing"
	doubled     charge = "doubled"
	spurious    charge = "spurious"
	disordered  charge = "out of order"
	wrongOwner  charge = "wrong owner"
	wrongName   charge = "wrong name of a process"
	wrongBytes  charge = "wrong bytes"
	wrongDir    charge = "wrong direction"
	wrongEnd    charge = "wrong end"
	wrongSide   charge = "wrong side"
	wrongErrno  charge = "wrong error number"
	wrongAddr   charge = "wrong address"
	wrongNetNS  charge = "wrong namespace"
	wrongFamily charge = "wrong family"
	wrongTime   charge = "wrong time"
)

// slack is how far the wall clock of two readings may be apart: they are
// related once a minute.
const slack = 50 * time.Millisecond

// A told is an event of the tracker with its place in the stream.
type told struct {
	whose.Event
	place int
}

// A judge compares.
type judge struct {
	truth *truth
	// start converts a start time, boot is the wall time of boot.
	start func(ticks uint64) time.Time
	boot  time.Time
	// from and ready are when the tracker was started and when it stood, by
	// the boot clock: what closed before ready may have been missed.
	from, ready int64
	// lossy tells that records were lost, and who called connect or accept with them.
	lossy bool
	// noFlows tells that this kernel cannot tell of UDP flows, and that the
	// tracker says so.
	noFlows bool

	counts   map[charge]int
	examples map[charge][]string
	// lacking counts the events that were missing, by socket.
	lacking map[uint64]int
	// queued counts the sessions that were told with the owners of their
	// listener first.
	queued int
}

// judge compares the events with the truth, and keeps what is wrong.
func (j *judge) judge(events []whose.Event) {
	j.queued = 0
	j.counts, j.examples, j.lacking = make(map[charge]int), make(map[charge][]string), make(map[uint64]int)
	netns := j.namespaces()
	tcp, udp := make(map[uint64][]told), make(map[uint64][]told)
	for i, e := range events {
		switch {
		case e.Kind == whose.EventLost || !netns[e.Session.NetNS]:
		case e.Session.Proto == whose.TCP:
			tcp[e.Session.Cookie] = append(tcp[e.Session.Cookie], told{e, i})
		default:
			udp[e.Session.Cookie] = append(udp[e.Session.Cookie], told{e, i})
		}
	}
	j.tcp(tcp)
	j.udp(udp)
}

func (j *judge) namespaces() map[uint32]bool {
	all := make(map[uint32]bool)
	for i := range j.truth.ends {
		all[j.truth.ends[i].netns] = true
	}
	for _, f := range j.truth.flows {
		all[f.netns] = true
	}
	return all
}

// foreign counts the events of other namespaces than the load's.
func (j *judge) foreign(events []whose.Event) (n int) {
	own := j.namespaces()
	for i := range events {
		if e := &events[i]; e.Kind != whose.EventLost && e.Kind != whose.EventStanding && !own[e.Session.NetNS] {
			n++
		}
	}
	return n
}

// accuse notes a fault.
func (j *judge) accuse(c charge, cookie uint64, format string, args ...any) {
	if c == missing {
		j.lacking[cookie]++
	}
	j.counts[c]++
	if len(j.examples[c]) < 6 {
		j.examples[c] = append(j.examples[c], fmt.Sprintf("cookie %d: ", cookie)+fmt.Sprintf(format, args...))
	}
}

// verdict returns what is wrong, with examples; empty for nothing.
func (j *judge) verdict() string {
	var b strings.Builder
	for _, c := range slices.Sorted(mapKeys(j.counts)) {
		fmt.Fprintf(&b, "%s: %d\n", c, j.counts[c])
		for _, e := range j.examples[c] {
			fmt.Fprintf(&b, "\t%s\n", e)
		}
	}
	return b.String()
}

func mapKeys(m map[charge]int) func(func(charge) bool) {
	return func(yield func(charge) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// wall converts the boot clock to wall time.
func (j *judge) wall(boot int64) time.Time { return j.boot.Add(time.Duration(boot)) }

// tcp judges all that was told of TCP.
func (j *judge) tcp(events map[uint64][]told) {
	truths := j.truth.byCookie()
	j.identify(events, truths)
	for cookie, ends := range truths {
		j.socket(cookie, ends, events[cookie])
		delete(events, cookie)
	}
	for cookie, es := range events {
		j.accuse(spurious, cookie, "%s", describe(&es[0]))
	}
}

// A tuple is what is known of a connection that nobody accepted.
type tuple struct {
	netns         uint32
	local, remote netip.AddrPort
}

// identify finds the cookies of connections that nobody accepted, and adds
// them to the truths. One that was not told gets a cookie that no socket has.
func (j *judge) identify(events map[uint64][]told, truths map[uint64][]*trueEnd) {
	nameless := make(map[tuple][]*trueEnd)
	for i := range j.truth.ends {
		if e := &j.truth.ends[i]; e.cookie == 0 {
			k := tuple{e.netns, e.local, e.remote}
			nameless[k] = append(nameless[k], e)
		}
	}
	for cookie, es := range events {
		s := &es[0].Session
		k := tuple{s.NetNS, s.Local, s.Remote}
		if _, known := truths[cookie]; !known && len(nameless[k]) > 0 {
			truths[cookie] = nameless[k][:1]
			nameless[k] = nameless[k][1:]
		}
	}
	none := ^uint64(0)
	for _, ends := range nameless {
		for _, e := range ends {
			truths[none] = []*trueEnd{e}
			none--
		}
	}
}

// socket judges one socket: its truths, in order, and all that was told of it.
func (j *judge) socket(cookie uint64, truths []*trueEnd, events []told) {
	by := make(map[whose.EventKind][]told)
	session := slices.ContainsFunc(truths, func(t *trueEnd) bool { return t.kind == "session" })
	for _, e := range events {
		k := e.Kind
		if k == whose.EventStanding && session {
			k = whose.EventOpen // either, but one of them
		} else if k == whose.EventStanding && truths[0].kind == "listen" {
			k = whose.EventListen
		}
		by[k] = append(by[k], e)
	}
	want := make(map[whose.EventKind][]*trueEnd)
	for _, t := range truths {
		for _, k := range kindsOf(t) {
			want[k] = append(want[k], t)
		}
	}
	for k, ts := range want {
		j.number(cookie, k, ts, by[k])
	}
	for k, es := range by {
		if len(want[k]) == 0 && k != whose.EventOwned {
			j.accuse(spurious, cookie, "%s of %s", describe(&es[0]), truths[0])
		}
	}
	if opens, closes := by[whose.EventOpen], by[whose.EventClose]; len(opens) == len(closes) {
		for i := range opens {
			j.pair(cookie, &opens[i], &closes[i])
		}
	}
	j.queue(cookie, truths, by[whose.EventOpen], events)
	for i := range by[whose.EventOwned] {
		j.owners(cookie, &by[whose.EventOwned][i], truths[0], false)
	}
}

// queue wants each session that was told while it waited for accept, and was
// accepted, to be told later with its owner.
func (j *judge) queue(cookie uint64, truths []*trueEnd, opens, events []told) {
	for i := range min(len(opens), len(truths)) {
		e, t := &opens[i], truths[i]
		if e.Kind != whose.EventOpen || t.late || e.Session.Reason != whose.ReasonAcceptQueue {
			continue
		}
		j.queued++
		if !slices.ContainsFunc(events, func(later told) bool {
			return later.place > e.place && slices.ContainsFunc(later.Session.Owners, func(o whose.Owner) bool { return j.is(&o, t.owner) })
		}) {
			j.accuse(wrongOwner, cookie, "%s: %d, which accepted it, is never named: %s", describe(e), t.owner.pid, t)
		}
	}
}

// kindsOf returns the events that an end makes.
func kindsOf(t *trueEnd) []whose.EventKind {
	switch t.kind {
	case "session":
		return []whose.EventKind{whose.EventOpen, whose.EventClose}
	case "fail":
		return []whose.EventKind{whose.EventFail}
	}
	return []whose.EventKind{whose.EventListen, whose.EventUnlisten}
}

// number judges how many events of a kind there are, and each by its truth.
func (j *judge) number(cookie uint64, k whose.EventKind, truths []*trueEnd, events []told) {
	needed := 0
	for _, t := range truths {
		if t.end >= j.ready {
			needed++
		}
	}
	switch {
	case len(events) < needed:
		for range needed - len(events) {
			j.accuse(missing, cookie, "%v of %s", k, truths[len(truths)-1])
		}
	case len(events) > len(truths):
		for _, e := range events[len(truths):] {
			j.accuse(doubled, cookie, "%s of %s", describe(&e), truths[len(truths)-1])
		}
		events = events[:len(truths)]
	}
	if len(events) != len(truths) && len(truths) > 1 {
		return // nobody can say which is which
	}
	for i := range events {
		j.one(cookie, &events[i], truths[i])
	}
}

// one judges an event by its truth.
func (j *judge) one(cookie uint64, e *told, t *trueEnd) {
	s := &e.Session
	if s.NetNS != t.netns {
		j.accuse(wrongNetNS, cookie, "%d, not %d: %s", s.NetNS, t.netns, t)
	}
	if s.Family != t.family {
		j.accuse(wrongFamily, cookie, "%v, not %v: %s", s.Family, t.family, t)
	}
	j.addresses(cookie, e, t)
	j.direction(cookie, e, t)
	j.owners(cookie, e, t, true)
	j.time(cookie, e, t)
	switch e.Kind {
	case whose.EventClose:
		j.close(cookie, e, t)
	case whose.EventFail:
		j.ending(cookie, e, t)
		if e.Errno != t.errno {
			j.accuse(wrongErrno, cookie, "%d, not %d: %s", e.Errno, t.errno, t)
		}
	}
}

func (j *judge) addresses(cookie uint64, e *told, t *trueEnd) {
	s := &e.Session
	if t.kind != "listen" && s.Remote != t.remote {
		j.accuse(wrongAddr, cookie, "%s: remote is not that of %s", describe(e), t)
	}
	if t.local.Port() != 0 && s.Local != t.local {
		j.accuse(wrongAddr, cookie, "%s: local is not that of %s", describe(e), t)
	}
}

func (j *judge) direction(cookie uint64, e *told, t *trueEnd) {
	want := whose.In
	switch {
	case t.kind == "listen":
		want = 0
	case t.out:
		want = whose.Out
	}
	if e.Session.Reason == whose.ReasonRaced && (j.lossy || t.begin < j.ready && t.end < j.ready+int64(time.Second)) {
		return // met first by its end: the direction is told from who listens, if that is known
	}
	if e.Session.Direction != want {
		j.accuse(wrongDir, cookie, "%s, not %v: %s", describe(e), want, t)
	}
}

// owners judges who is named. An event that begins something, or fails, names
// exactly who did it; another names no stranger.
func (j *judge) owners(cookie uint64, e *told, t *trueEnd, strict bool) {
	named := e.Session.Owners
	begins := e.Kind == whose.EventOpen || e.Kind == whose.EventFail || e.Kind == whose.EventListen
	if (t.late || j.lossy) && len(named) == 0 {
		return
	}
	if e.Kind != whose.EventFail && len(named) == 0 && t.begin < j.ready && (t.end < j.ready || e.Session.Reason == whose.ReasonOrphan) {
		return // it was closed, or about to be, when the snapshot met it
	}
	if e.Session.Reason == whose.ReasonAcceptQueue && (t.late || e.Kind == whose.EventStanding || e.Kind == whose.EventOpen) {
		return // those of its listener are named; queued looks for who accepted it
	}
	right := len(named) > 0 || e.Kind == whose.EventOwned
	if strict && begins && len(named) != 1 {
		right = false
	}
	for i := range named {
		if !j.is(&named[i], t.owner) && (begins || !j.forked(named, i, t) && !slices.ContainsFunc(t.then, func(p procID) bool { return j.is(&named[i], p) })) {
			right = false
		}
		j.name(cookie, &named[i], t.begin < j.ready)
	}
	if !right {
		j.accuse(wrongOwner, cookie, "%s: want %d then %v: %s", describe(e), t.owner.pid, t.then, t)
	}
}

// forked reports whether an owner may be a child of the one that is wanted, met
// by a snapshot between fork and exec: until then it has all its descriptors.
func (j *judge) forked(named []whose.Owner, i int, t *trueEnd) bool {
	at := slices.IndexFunc(named, func(o whose.Owner) bool { return j.is(&o, t.owner) })
	return at >= 0 && named[at].Comm == named[i].Comm && !named[i].StartTime.Before(named[at].StartTime)
}

func (j *judge) is(o *whose.Owner, p procID) bool {
	return o.Process != nil && o.PID == p.pid && o.StartTime.Equal(j.start(p.start))
}

// name judges what an owner is called, where it said so itself. Of one whose
// session began while the tracker started, and which was met when its memory was
// gone (exiting, before the snapshot came to it), the kernel has a name only.
func (j *judge) name(cookie uint64, o *whose.Owner, starting bool) {
	for _, id := range j.truthOf(o.PID) {
		want := j.truth.procs[id]
		if !j.is(o, id) || j.lossy && o.Comm == "" {
			continue
		}
		if starting && o.Comm == want.comm && o.Cmdline == "" && o.Exe == "" {
			continue
		}
		if o.Comm != want.comm || o.Cmdline != want.cmdline || o.Exe != want.exe {
			j.accuse(wrongName, cookie, "process %d is %q %q %q, not %q %q %q", o.PID, o.Comm, o.Exe, o.Cmdline, want.comm, want.exe, want.cmdline)
		}
	}
}

// truthOf returns the processes with a pid that said what they are called.
func (j *judge) truthOf(pid uint32) []procID {
	return j.truth.byPID()[pid]
}

// time judges when it was.
func (j *judge) time(cookie uint64, e *told, t *trueEnd) {
	begin, open, end := j.wall(t.begin).Add(-slack), j.wall(t.open).Add(slack), j.wall(t.end).Add(-slack)
	wrong := false
	switch e.Kind {
	case whose.EventOpen:
		wrong = t.begin != 0 && e.Time.Before(begin) || !t.late && e.Time.After(open)
	case whose.EventClose:
		// A reset from there may come long before this end is closed.
		here := t.by == "here" || t.how == "orderly"
		wrong = here && e.Time.Before(end) || e.Time.Before(j.wall(t.begin).Add(-slack))
	case whose.EventFail:
		wrong = e.Time.Before(begin) || e.Duration < 0 || e.Duration > time.Duration(t.end-t.begin)+slack
	}
	if wrong {
		j.accuse(wrongTime, cookie, "%s at boot %v lasting %v: %s", describe(e), e.Time.Sub(j.boot), e.Duration, t)
	}
}

// pair judges what can only be said of both events of a session.
func (j *judge) pair(cookie uint64, opened, closed *told) {
	if opened.place > closed.place {
		j.accuse(disordered, cookie, "%s after %s", describe(opened), describe(closed))
	}
	if opened.Kind == whose.EventStanding {
		if !closed.StoodBefore {
			j.accuse(wrongTime, cookie, "%s stood before, which is not told", describe(closed))
		}
		return
	}
	if d := closed.Time.Sub(opened.Time) - closed.Duration; d < -slack || d > slack {
		j.accuse(wrongTime, cookie, "%s: duration %v, but %v lie between open and close", describe(closed), closed.Duration, closed.Time.Sub(opened.Time))
	}
}

func (j *judge) close(cookie uint64, e *told, t *trueEnd) {
	if e.Sent.Bytes != t.sent || e.Received.Bytes != t.received {
		j.accuse(wrongBytes, cookie, "sent %d received %d: %s", e.Sent.Bytes, e.Received.Bytes, t)
	}
	if info := e.Session.TCP; info != nil && (info.BytesSent != t.sent || info.BytesReceived != t.received) {
		j.accuse(wrongBytes, cookie, "the session sent %d received %d: %s", info.BytesSent, info.BytesReceived, t)
	}
	j.ending(cookie, e, t)
	if by := e.By.String(); t.by != "any" && by != strings.Replace(t.by, "nobody", "", 1) {
		j.accuse(wrongSide, cookie, "%q: %s", by, t)
	}
}

func (j *judge) ending(cookie uint64, e *told, t *trueEnd) {
	if e.End.String() != t.how {
		j.accuse(wrongEnd, cookie, "%q: %s", e.End, t)
	}
}

// describe tells an event in short.
func describe(e *told) string {
	s := &e.Session
	var owners []string
	for _, o := range s.Owners {
		owners = append(owners, fmt.Sprintf("%s/%d", o.Comm, o.PID))
	}
	return fmt.Sprintf("%v %v %v %v>%v by %v (%v)", e.Kind, s.Direction, s.Proto, s.Local, s.Remote, owners, s.Reason)
}

func (t *trueEnd) String() string {
	dir := "in"
	if t.out {
		dir = "out"
	}
	return fmt.Sprintf("%s %s %v>%v of %d, sent %d received %d, %s by %s, begin %d open %d end %d", t.kind, dir, t.local, t.remote,
		t.owner.pid, t.sent, t.received, t.how, t.by, t.begin, t.open, t.end)
}
