package store

import (
	"iter"

	"github.com/seed-44df2ae6/whose"
)

// lookSize is the number of sessions that a look compares at once. Events wait for
// no more.
const lookSize = 256

// Reconcile compares the writer's table with all standing sessions. A
// session that two looks in a row do not find has ended without an event, and one
// that two find without one stood before. Call it every some seconds: no event
// reports the end of a UDP socket that is bound and not connected.
func (w *Writer) Reconcile(all iter.Seq[whose.Session]) {
	now := micros(w.opts.Now())
	w.mu.Lock()
	w.live.pass++
	w.mu.Unlock()
	some := make([]whose.Session, 0, lookSize)
	for s := range all {
		if some = append(some, s); len(some) == lookSize {
			w.look(some, now)
			some = some[:0]
		}
	}
	w.look(some, now)
	w.missing(now)
}

// look compares some standing sessions.
func (w *Writer) look(some []whose.Session, now int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := &w.live
	for i := range some {
		f := factsOf(&some[i])
		if l := t.find(&f); l != nil {
			l.pass, l.missed, l.unsure = t.pass, 0, false
			continue
		}
		k := idOf(&f)
		if seen, ok := t.strangers[k]; !ok || seen != t.pass-1 {
			if len(t.strangers) < maxPending {
				t.strangers[k] = t.pass
			}
			continue
		}
		delete(t.strangers, k)
		switch {
		case !w.opts.Keep.Match(&some[i]):
		case t.all.Len() >= w.opts.MaxLive:
			w.beyond++
		default:
			t.put(t.newLive(&f, now))
		}
	}
}

// missing notes which sessions the look did not find.
func (w *Writer) missing(now int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := &w.live
	for k, pass := range t.strangers {
		if pass != t.pass {
			delete(t.strangers, k)
		}
	}
	for _, l := range t.all.All() {
		if l.pass != t.pass {
			w.miss(l, now)
		}
	}
}

// miss notes that a look did not find a session.
func (w *Writer) miss(l *live, now int64) {
	if l.missed++; l.missed == 1 && !l.unsure {
		l.missedAt = now
	}
	if l.missed >= 2 {
		w.vanish(l, l.missedAt)
	}
}

// vanish ends a session whose end nobody saw, seen last at a time.
func (w *Writer) vanish(l *live, at int64) {
	e := entry{facts: l.facts(), from: l.from, at: max(at, l.from)}
	e.kind = gone
	w.live.drop(l)
	w.keep(e)
}
