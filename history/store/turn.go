package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// commit writes all that waits. Failures are reported, and tried again later.
func (w *Writer) commit(ctx context.Context) {
	now := w.opts.Now()
	if w.failing != nil && now.Sub(w.lastTry).Abs() < retry {
		return
	}
	w.noticeJump(now)
	if w.failing == nil && w.file != nil && now.Sub(w.lastTry).Abs() < heartbeat && !w.leaves(now) && w.idle() {
		return
	}
	w.lastTry = now
	err := w.write(ctx, now)
	if err != nil {
		w.mu.Lock()
		w.stats.Errors++
		w.mu.Unlock()
		if broken(err) && w.file != nil {
			err = errors.Join(err, w.replace(ctx, now, err))
		}
	}
	w.report(err)
	if err == nil {
		w.rollUp(ctx, now)
	}
	w.prune(now)
}

// write makes one commit, in the file of this day.
func (w *Writer) write(ctx context.Context, now time.Time) error {
	if w.file == nil || w.leaves(now) {
		if err := w.rotate(ctx, now); err != nil {
			return err
		}
	}
	l := w.take(now)
	if w.disk != nil {
		w.disk()
	}
	if err := w.file.commit(ctx, l); err != nil {
		w.putBack(l)
		return err
	}
	w.settle(l)
	return nil
}

// note keeps a gap for the next commit.
func (w *Writer) note(g gap) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gaps = append(w.gaps, g)
}

// leaves reports whether another file is to be begun.
func (w *Writer) leaves(now time.Time) bool {
	return w.file != nil && (!w.file.name.day.Equal(dayOf(now)) || w.file.bytes > w.limit/fileShare)
}

func dayOf(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// setLimit sets the bytes for all files.
func (w *Writer) setLimit() {
	w.limit = w.opts.Bytes
	if space := w.dir.space(); space > 0 {
		w.limit = min(w.limit, space/diskShare)
	}
}

// noticeJump notes a gap where the wall clock was set.
func (w *Writer) noticeJump(now time.Time) {
	if w.opts.Since == nil {
		return
	}
	by := now.Round(0).Sub(w.base.Add(w.opts.Since()))
	if by.Abs() < jump {
		return
	}
	w.noteClock()
	w.since = now
	before, after := now.Add(-by), now
	if by < 0 {
		before, after = after, before
	}
	w.note(gap{micros(before), micros(after), 0, whose.CauseChanged, fmt.Sprintf("%s by %v", whyClock, by.Round(time.Millisecond))})
}

// rotate leaves the file and begins another. Standing sessions go with it.
func (w *Writer) rotate(ctx context.Context, now time.Time) error {
	if w.file != nil {
		if err := w.file.leave(ctx, true, now); err != nil && !broken(err) {
			return err
		}
		w.roller.done = append(w.roller.done, w.file.name)
		w.file = nil
	}
	number, err := w.dir.next()
	if err != nil {
		return err
	}
	name := fileName{day: dayOf(now), number: number}
	f, err := w.beginFile(ctx, name, now)
	if err != nil {
		return err
	}
	w.file = f
	w.mu.Lock()
	defer w.mu.Unlock()
	w.live.anew()
	return nil
}

// replace sets a broken file aside and begins another.
func (w *Writer) replace(ctx context.Context, now time.Time, cause error) error {
	name, begin := w.file.name, w.file.begin
	_ = w.file.close() // it is broken
	w.file = nil
	if err := w.dir.setAside(name); err != nil {
		return err
	}
	w.note(gap{begin, micros(now), 0, whose.CauseFailed, name.String() + " was broken and set aside"})
	if err := w.rotate(ctx, now); err != nil {
		return err
	}
	return w.write(ctx, now)
}

// prune removes files that are too old or too many.
func (w *Writer) prune(now time.Time) {
	const every = time.Minute
	if now.Sub(w.pruned).Abs() < every {
		return
	}
	w.pruned = now
	w.setLimit()
	l := Limits{Days: w.opts.Days, RollupDays: w.opts.RollupDays, Bytes: w.limit}
	if now.Sub(w.since).Abs() < calm {
		l.Days, l.RollupDays = 0, 0
	}
	if _, err := w.dir.prune(now, l, w.roller.waits); err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.report(fmt.Errorf("remove old history: %w", err))
	}
}
