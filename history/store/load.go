package store

import (
	"time"

	"github.com/seed-44df2ae6/whose"
)

// A load is all that one commit writes. The commit owns it: what comes meanwhile
// waits for the next one.
type load struct {
	now     time.Time
	entries []entry
	gaps    []gap
	// dropped and beyond are those of the writer. The last of gaps count them.
	dropped, beyond uint64
	deleted         []int64
	rows            []row
}

// A row is the row of a session in the table live.
type row struct {
	*standing
	live  *live
	id    int64
	first bool // the session had none before
}

// take takes all that waits.
func (w *Writer) take(now time.Time) *load {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := &load{now: now, entries: w.fresh, gaps: w.gaps, dropped: w.dropped, beyond: w.beyond}
	w.fresh, w.gaps, w.dropped, w.beyond, w.spare = w.spare, nil, 0, 0, nil
	if l.dropped > 0 {
		l.gaps = append(l.gaps, gap{w.file.seen, micros(now), l.dropped, whose.CauseLimit, whyFull})
	}
	if l.beyond > 0 {
		l.gaps = append(l.gaps, gap{w.file.seen, micros(now), l.beyond, whose.CauseLimit, whyRoom})
	}
	l.deleted, l.rows = w.live.take(micros(now), w.closing)
	return l
}

// putBack lets a load wait again that could not be written.
func (w *Writer) putBack(l *load) {
	w.mu.Lock()
	defer w.mu.Unlock()
	more := w.fresh
	w.fresh, w.spare = l.entries, more[:0]
	for i := range more {
		w.keep(more[i])
	}
	clear(more)
	for _, n := range []uint64{l.dropped, l.beyond} {
		if n > 0 { // it is counted anew
			l.gaps = l.gaps[:len(l.gaps)-1]
		}
	}
	w.dropped += l.dropped
	w.beyond += l.beyond
	w.gaps = append(l.gaps, w.gaps...)
	w.live.putBack(l)
}

// settle forgets a load that was written.
func (w *Writer) settle(l *load) {
	const most = 2 * batch // a flood's memory is given back
	if clear(l.entries); cap(l.entries) <= most {
		w.spare = l.entries[:0]
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.Entries += uint64(len(l.entries))
}

// idle reports whether a commit has nothing to write.
func (w *Writer) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.fresh) == 0 && len(w.gaps) == 0 && w.dropped == 0 && w.beyond == 0 && len(w.live.deleted) == 0 && len(w.live.changed) == 0
}

// mostRows bounds the rows of a commit, a tenth of a second of writing: what ends
// meanwhile waits, and there is room for so much of it.
const mostRows = 4096

// take takes the changes of the rows, but for those of young sessions. Beyond mostRows
// they wait for the next commit, unless all are wanted. A file's first rows are one
// commit: with them it stands by itself.
func (t *table) take(now int64, all bool) (deleted []int64, rows []row) {
	all = all || t.bare
	t.bare = false
	deleted, t.deleted = t.deleted, nil
	waiting := t.changed[:0]
	for _, l := range t.changed {
		switch {
		case l.ended:
		case l.young(now) || !all && len(rows) == mostRows:
			waiting = append(waiting, l)
		default:
			r := row{standing: l.standing, live: l, id: l.id, first: l.id == 0}
			if r.first {
				l.id, r.id = t.nextID, t.nextID
				t.nextID++
			}
			l.dirty = false
			rows = append(rows, r)
		}
	}
	clear(t.changed[len(waiting):])
	t.changed = waiting
	return deleted, rows
}

// putBack lets changes wait again.
func (t *table) putBack(l *load) {
	t.bare = t.bare || len(l.rows) > mostRows
	t.deleted = append(l.deleted, t.deleted...)
	for _, r := range l.rows {
		switch {
		case r.live.ended:
		case r.first:
			r.live.id = 0
			fallthrough
		default:
			t.touch(r.live)
		}
	}
}
