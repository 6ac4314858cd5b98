package agent

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/export"
)

// How often what stands is reported, so that a receiver knows that it still does.
const (
	standingEvery  = 5 * time.Minute
	listenersEvery = time.Hour
	// exportTick is the time between two looks at what is due.
	exportTick = time.Second
)

// An Exporter writes what happens to a spool: the end of each session with its figures,
// failed connects, listeners that come and go, losses; and what stands, from time to
// time. An opened session is reported as it ends or as it stands.
type Exporter struct {
	Feed *Feed
	// After is the number of the event after which it begins.
	After uint64
	Spool *export.Spool
	// Host is the name of this host in each line.
	Host string
	// Began is the time since when sessions are followed.
	Began time.Time
	// NewEncoder makes an encoder for one goroutine.
	NewEncoder func() (Encoder, error)
	// Sessions are the sessions with another side and their traffic by now, Listeners
	// the others.
	Sessions, Listeners func(context.Context) iter.Seq[*whose.Session]
	// Report is called when the spool cannot be written, and when it can again (nil).
	Report func(error)

	mu      sync.Mutex
	failing bool
}

// An Encoder appends the line of an event, with its newline.
type Encoder func(dst []byte, e *whose.Event) ([]byte, error)

// Run writes all until the feed ends. Where ctx ends earlier, what came until then may
// be missing.
func (x *Exporter) Run(ctx context.Context) error {
	reader := x.Feed.Follow(x.After)
	encode, err := x.NewEncoder()
	if err != nil {
		return err
	}
	looks, ended := context.WithCancel(ctx)
	looking := make(chan error, 1)
	go func() { looking <- x.look(looks) }()
	err = x.follow(ctx, reader, encode)
	ended()
	return errors.Join(err, <-looking)
}

// exportBatch is the number of events read at once.
const exportBatch = 256

func (x *Exporter) follow(ctx context.Context, r *Reader, encode Encoder) error {
	items := make([]Item, exportBatch)
	var lines []byte
	for {
		n, err := r.Read(ctx, items)
		if err != nil {
			return nil // ctx or the feed ended, whose error the agent reports
		}
		count := 0
		lines = lines[:0]
		for i := range items[:n] {
			e := &items[i].Event
			if !exported(e.Kind) {
				continue
			}
			e.Seq = items[i].Seq
			if lines, err = x.line(lines, e, encode); err != nil {
				return err
			}
			count++
		}
		x.add(lines, count)
	}
}

// exported reports whether events of a kind are sent.
func exported(k whose.EventKind) bool {
	return k != whose.EventOpen && k != whose.EventOwned && k != whose.EventStanding
}

func (x *Exporter) line(dst []byte, e *whose.Event, encode Encoder) ([]byte, error) {
	e.Host = x.Host
	if e.FirstSeen = e.Opened; e.Opened.IsZero() && e.StoodBefore {
		e.FirstSeen = x.Began
	}
	return encode(dst, e)
}

func (x *Exporter) add(lines []byte, n int) {
	if n > 0 {
		x.note(x.Spool.Add(lines, n, time.Now()))
	}
}

// note reports when writing begins to fail, and when it works again.
func (x *Exporter) note(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if failing := err != nil; failing != x.failing {
		x.failing = failing
		x.Report(err)
	}
}

// look writes out what is due, and what stands, until ctx ends.
func (x *Exporter) look(ctx context.Context) error {
	encode, err := x.NewEncoder()
	if err != nil {
		return err
	}
	ticks := time.NewTicker(exportTick)
	defer ticks.Stop()
	began := time.Now() // with its monotonic clock
	var sessions, listeners time.Duration
	var dropped uint64
	for {
		since := time.Since(began)
		if since >= sessions {
			sessions = since + standingEvery
			err = x.stand(ctx, x.Sessions(ctx), encode)
		}
		if err == nil && since >= listeners {
			listeners = since + listenersEvery
			err = x.stand(ctx, x.Listeners(ctx), encode)
		}
		if err == nil {
			dropped, err = x.admit(dropped, encode)
		}
		if err != nil {
			return err
		}
		x.note(x.Spool.Tick(time.Now()))
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
		}
	}
}

// stand writes sessions that stand.
func (x *Exporter) stand(ctx context.Context, all iter.Seq[*whose.Session], encode Encoder) error {
	var lines []byte
	count := 0
	now := time.Now()
	flush := func() {
		x.add(lines, count)
		lines, count = lines[:0], 0
	}
	for s := range all {
		if ctx.Err() != nil {
			break
		}
		e := whose.Event{Time: now, Kind: whose.EventStanding, Session: *s}
		if s.Life != nil {
			e.Lifetime = *s.Life
			e.Session.Life = nil
		}
		e.StoodBefore = e.Opened.IsZero()
		var err error
		if lines, err = x.line(lines, &e, encode); err != nil {
			return err
		}
		if count++; count == exportBatch {
			flush()
		}
	}
	flush()
	return nil
}

// admit writes a loss for the lines that the spool dropped since the last look.
func (x *Exporter) admit(before uint64, encode Encoder) (uint64, error) {
	counts := x.Spool.Counts()
	now := counts.Dropped()
	if now == before {
		return now, nil
	}
	e := whose.Event{
		Time: time.Now(), Kind: whose.EventLost, Cause: whose.CauseLimit, Lost: now - before,
		Why: "dropped by the export of the agent",
	}
	line, err := x.line(nil, &e, encode)
	if err == nil {
		x.add(line, 1)
	}
	return now, err
}
