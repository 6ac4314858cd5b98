package ledger

import (
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
)

// A Question is a filter expression made ready for the live table. It checks
// the numbers of an entry first; it builds a session only for the rest.
type Question struct {
	g *Engine
	// plan is the part for entries, without allocation.
	plan filter.Plan
	// rest is the remainder, nil for nothing.
	rest *filter.Matcher
	// names and peers: the rest asks for names of numbers and for the owners of
	// peers.
	names, peers bool
	// ages: the ages of sessions are wanted, as of now by the boot clock.
	ages bool
	now  uint64
	life whose.Lifetime
	// labels are the labels of the session checked last, key the facts they
	// depend on.
	labels labels
	key    labelKey
	// process checks the owners, once for each set: the answer is kept.
	process func(pid uint32, comm string) bool
	sets    map[setID]bool
}

// Ask makes a question of an expression. The engine must not change before it
// is answered. now is the moment by the boot clock, for the ages of sessions; 0: none
// are asked for.
func (g *Engine) Ask(where filter.Expr, env filter.Env, now uint64) *Question {
	split := filter.Split(where, env)
	q := &Question{g: g, plan: split, now: now}
	q.ages = now != 0 && (g.want.Needs|filter.Needs(where))&ofLife != 0
	if split.Rest != nil {
		q.rest = filter.Compile(split.Rest, env)
		q.names = filter.Needs(split.Rest)&(whose.NeedUser|whose.NeedNetNSName|whose.NeedCgroup) != 0
		q.peers = filter.Needs(split.Rest).Has(whose.NeedPeer)
	}
	if split.Process != nil {
		q.process, q.sets = split.Process, make(map[setID]bool)
	}
	return q
}

// ofLife are the needs of the fields that know the beginning of a session.
const ofLife = whose.NeedLife | whose.NeedTCPInfo

// lifeOf fills in the life of a session, as far as the table knows it.
func (q *Question) lifeOf(e *entry, l *whose.Lifetime) {
	*l = whose.Lifetime{StoodBefore: e.is(since)}
	if !l.StoodBefore && e.opened != 0 && e.opened <= q.now {
		l.Duration = time.Duration(q.now - e.opened)
		l.Opened = time.Unix(0, q.g.Base+int64(e.opened))
	}
}

// Slabs returns the number of slabs in the table.
func (g *Engine) Slabs() int { return len(g.table.slabs) }

// bySets reports whether the table's counters answer the question.
func (q *Question) bySets() bool { return q.rest == nil && len(q.plan.Any) == 0 }

// admits reports whether an entry may meet the question. A refused entry does
// not meet it.
func (q *Question) admits(e *entry) bool {
	if !e.is(wanted) || !q.plan.Protos.Has(e.Proto) ||
		!q.plan.Families.Has(e.Family) || !q.plan.States.Has(e.State) {
		return false
	}
	if len(q.plan.Any) > 0 && !q.endsMeet(e) {
		return false
	}
	return q.process == nil || q.setMeets(e)
}

func (q *Question) endsMeet(e *entry) bool {
	for i := range q.plan.Any {
		c := &q.plan.Any[i]
		if c.LocalPorts.Holds(e.LocalPort) && c.RemotePorts.Holds(e.RemotePort) &&
			prefixHolds(c.Local, &e.Local) && prefixHolds(c.Remote, &e.Remote) {
			return true
		}
	}
	return false
}

func prefixHolds(p netip.Prefix, a *[16]byte) bool {
	return !p.IsValid() || p.Contains(netip.AddrFrom16(*a).Unmap())
}

// setMeets checks the owners of an entry.
func (q *Question) setMeets(e *entry) bool {
	if e.owners == 0 { // the owners shown may belong to several listeners
		return q.oneMeets(q.g.owners(e))
	}
	answer, known := q.sets[e.owners]
	if !known {
		answer = q.oneMeets(q.g.processes.owners(e.owners))
		q.sets[e.owners] = answer
	}
	return answer
}

func (q *Question) oneMeets(owners []whose.Owner) bool {
	return slices.ContainsFunc(owners, func(o whose.Owner) bool { return q.process(o.PID, o.Comm) })
}

// restMeets checks the rest of the question on an entry. s is overwritten.
func (q *Question) restMeets(e *entry, s *whose.Session) bool {
	q.g.facts(e, s)
	q.names = q.names || e.Device != 0 // then the next one has to be cleared
	if q.names {
		if key := keyOf(e); key != q.key || key == (labelKey{}) {
			q.labels, q.key = q.g.names.label(e), key
		}
		q.labels.write(e, s)
	}
	if q.peers {
		s.Peer = q.g.peers.of(e)
	}
	if q.ages {
		q.lifeOf(e, &q.life)
		s.Life = &q.life
	}
	return q.rest.Match(s)
}

// Count counts the sessions that meet the question.
func (q *Question) Count() int {
	t := q.g.table
	if q.bySets() {
		return t.sumOf(q.plan.Protos, q.plan.Families, q.plan.States)
	}
	hands := min(runtime.GOMAXPROCS(0), len(t.slabs)/slabsPerHand+1, maxHands)
	if hands == 1 {
		return q.countSlabs(0, 1)
	}
	var total atomic.Int64
	var working sync.WaitGroup
	for first := range hands {
		own := *q
		own.sets = maps.Clone(q.sets) // workers do not share their answers
		working.Go(func() { total.Add(int64(own.countSlabs(first, hands))) })
	}
	working.Wait()
	return int(total.Load())
}

const (
	// slabsPerHand is the number of slabs worth a goroutine of their own.
	slabsPerHand = 16
	// maxHands bounds the processors used by a question.
	maxHands = 8
)

// countSlabs counts in every step-th slab from the first on.
func (q *Question) countSlabs(first, step int) int {
	n := 0
	var s whose.Session
	for i := first; i < len(q.g.table.slabs); i += step {
		entries := q.g.table.slab(i)
		for k := range entries {
			if e := &entries[k]; q.admits(e) && (q.rest == nil || q.restMeets(e, &s)) {
				n++
			}
		}
	}
	return n
}

// AppendSlab appends the sessions of slab i that meet the question.
func (q *Question) AppendSlab(dst []whose.Session, i int) []whose.Session {
	q.visitSlab(i, true, func(s *whose.Session) {
		dst = append(dst, *s)
		if s.Life != nil {
			life := *s.Life
			dst[len(dst)-1].Life = &life
		}
	})
	return dst
}

// Visit calls fn with the sessions that meet the question. The next one overwrites the
// one before, but not its lists. Without peers they lack the owners of their other ends.
func (q *Question) Visit(peers bool, fn func(*whose.Session)) {
	for i := range q.g.table.slabs {
		q.visitSlab(i, peers, fn)
	}
}

// visitSlab is Visit for slab i.
func (q *Question) visitSlab(i int, peers bool, fn func(*whose.Session)) {
	var s whose.Session
	entries := q.g.table.slab(i)
	for k := range entries {
		e := &entries[k]
		if !q.admits(e) || q.rest != nil && !q.restMeets(e, &s) {
			continue
		}
		s = whose.Session{}
		q.g.facts(e, &s)
		if key := keyOf(e); key != q.key || key == (labelKey{}) {
			q.labels, q.key = q.g.names.label(e), key
		}
		q.labels.write(e, &s)
		if peers {
			s.Peer = q.g.peers.of(e)
		}
		if q.ages {
			q.lifeOf(e, &q.life)
			s.Life = &q.life
		}
		fn(&s)
	}
}

// AppendAll appends all sessions that meet the question.
func (q *Question) AppendAll(dst []whose.Session) []whose.Session {
	for i := range q.g.table.slabs {
		dst = q.AppendSlab(dst, i)
	}
	return dst
}
