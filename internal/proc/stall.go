package proc

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// This file makes calls that may never return. Reading the command line of a
// process reads its memory, and waits for it: for its lock, held as long as the
// process waits for a dead file system, or for the file system itself.
//
// A goroutine cannot leave such a call. So calls are made by hands, goroutines
// beside the caller's. The caller waits for a pass of many calls as a whole, and
// looks at a clock now and then: a call without an end for [crew.patience] is
// given up, together with its hand. No call costs a goroutine or a timer of its
// own.

// defaultPatience is the time after which a call is given up, far above what a
// loaded host needs for one.
const defaultPatience = 500 * time.Millisecond

const (
	// maxHands bounds the hands of a pass after a call was given up: the next may
	// be as slow.
	maxHands = 16
	// maxLost bounds the given up calls at one time. Each holds a thread.
	maxLost = 64
	// lastWait is the time for the calls under way when the context ends.
	lastWait = 20 * time.Millisecond
)

// A crew are the hands of an FS. The zero value works. It is safe for
// concurrent use.
type crew struct {
	// patience is the time after which a call is given up; zero means the
	// default.
	patience time.Duration

	mu     sync.Mutex
	idle   []*hand
	timers []*time.Timer
	lost   int // given up, and not back yet
	closed bool
}

// A hand is a goroutine that makes the calls of one pass after another.
type hand struct {
	jobs chan func(*hand) (stays bool)
}

// maxIdleHands bounds the hands, and the timers, that wait for the next pass.
const maxIdleHands = 2

// hire returns an idle hand, or a new one.
func (c *crew) hire() *hand {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.idle); n > 0 {
		h := c.idle[n-1]
		c.idle = c.idle[:n-1]
		return h
	}
	h := &hand{jobs: make(chan func(*hand) bool, 1)} // whoever hires it does not wait for it
	go func() {
		for job := range h.jobs {
			if !job(h) {
				return
			}
		}
	}()
	return h
}

// rest lets a hand wait for the next pass, or ends it.
func (c *crew) rest(h *hand) (stays bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.idle) >= maxIdleHands {
		return false
	}
	c.idle = append(c.idle, h)
	return true
}

// close ends the idle hands. Those of a given up call end when it returns.
func (c *crew) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, h := range c.idle {
		close(h.jobs)
	}
	c.idle, c.timers = nil, nil
}

// interval, with the lock held, is the time between two looks at a pass: a call that neither of two
// looks finds to have moved is given up. The more were given up, the shorter is
// the wait for others: whoever makes many such processes does not stop us.
func (c *crew) interval() time.Duration {
	patience := c.patience
	if patience == 0 {
		patience = defaultPatience
	}
	return patience / time.Duration(2+c.lost/2)
}

func (c *crew) pause() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.interval()
}

// timer returns a running timer.
func (c *crew) timer() *time.Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.timers)
	if n == 0 {
		return time.NewTimer(c.interval())
	}
	t := c.timers[n-1]
	c.timers = c.timers[:n-1]
	t.Reset(c.interval())
	return t
}

// keep stops a timer and keeps it for the next pass.
func (c *crew) keep(t *time.Timer) {
	t.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed && len(c.timers) < maxIdleHands {
		c.timers = append(c.timers, t)
	}
}

// room returns how many more calls may be given up.
func (c *crew) room() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maxLost - c.lost
}

func (c *crew) lose(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost += n
}

// An end is how a call ended.
type end uint8

const (
	notMade end = iota // the context ended before, or too many calls are given up
	made               // it returned
	givenUp            // it has not returned
)

// A result is what a call came to. Of a call that was given up, value is what it
// had noted.
type result[T any] struct {
	value T
	end   end
}

// calls are a pass of calls, by number.
type calls[T any] struct {
	n int
	// do makes call i. It may note parts of its value before it goes on to what
	// may not return. It runs beside everything else, and on after it was given
	// up: it touches nothing that others write.
	do func(i int, note func(T)) T
	// back, if not nil, is called when a given up call returns after all.
	back func(i int)
}

// A pass is a pass of calls under way.
type pass[T any] struct {
	*calls[T]
	crew *crew

	mu      sync.Mutex
	results []result[T]
	next    int // the next call to make
	over    bool
	at      []*place // of the hands at work
	done    chan struct{}
}

// A place is where a hand is in its pass.
type place struct {
	call  int
	made  int // calls made
	seen  int // as of the last look
	still int // looks without progress
	lost  bool
}

// makeCalls makes the calls and returns what each came to, in their order. It
// waits for calls that do not return for the crew's patience, and not much
// longer than ctx.
func makeCalls[T any](ctx context.Context, c *crew, work *calls[T]) []result[T] {
	p := &pass[T]{calls: work, crew: c, results: make([]result[T], work.n), done: make(chan struct{})}
	if work.n == 0 || ctx.Err() != nil || c.room() <= 0 {
		return p.results
	}
	p.start()
	p.wait(ctx)
	return p.results
}

// start sets another hand to work.
func (p *pass[T]) start() {
	at := &place{call: -1}
	p.mu.Lock()
	p.at = append(p.at, at)
	p.mu.Unlock()
	p.crew.hire().jobs <- func(h *hand) bool { return p.work(h, at) }
}

// work makes calls until none is left, or its own was given up.
func (p *pass[T]) work(h *hand, at *place) (stays bool) {
	note := func(v T) { p.note(at, v) }
	for p.take(at) {
		if p.finish(at, p.do(at.call, note)) {
			continue
		}
		if p.back != nil {
			p.back(at.call)
		}
	}
	return p.leave(h, at)
}

// take gives the hand its next call, if there is one for it.
func (p *pass[T]) take(at *place) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.lost || p.over || p.next >= p.n {
		return false
	}
	at.call = p.next
	p.next++
	return true
}

// note keeps the value of a call as far as it has come.
func (p *pass[T]) note(at *place, v T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !at.lost {
		p.results[at.call].value = v
	}
}

// finish keeps the value of a call that has returned, unless it was given up.
func (p *pass[T]) finish(at *place, v T) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.lost {
		return false
	}
	p.results[at.call] = result[T]{v, made}
	at.made++
	return true
}

// leave ends the hand's part, and the pass with the last of them.
func (p *pass[T]) leave(h *hand, at *place) (stays bool) {
	p.mu.Lock()
	lost := at.lost
	if !lost {
		p.remove(at)
	}
	p.mu.Unlock()
	if lost {
		p.crew.lose(-1)
		return false
	}
	return p.crew.rest(h)
}

// remove takes a hand off the pass, which ends with the last of them. p.mu is
// held.
func (p *pass[T]) remove(at *place) {
	p.at = slices.DeleteFunc(p.at, func(other *place) bool { return other == at })
	if len(p.at) == 0 && (p.over || p.next >= p.n) {
		close(p.done)
	}
}

// wait waits for the end of the pass and gives up calls without an end.
func (p *pass[T]) wait(ctx context.Context) {
	timer := p.crew.timer()
	defer p.crew.keep(timer)
	ended := ctx.Done()
	for {
		select {
		case <-p.done:
			return
		case <-ended:
			ended = nil
			p.stop()
			timer.Reset(lastWait)
		case <-timer.C:
			for range p.look(ctx.Err() != nil) {
				p.start()
			}
			timer.Reset(p.crew.pause())
		}
	}
}

// stop lets no further call be made.
func (p *pass[T]) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
}

// look gives up the calls that have not moved since the look before the last,
// or all at once. It returns the number of hands to set to work instead: more
// than were lost, since the next calls may be as slow.
func (p *pass[T]) look(all bool) (more int) {
	room := p.crew.room()
	p.mu.Lock()
	defer p.mu.Unlock()
	lost := 0
	for _, at := range slices.Clone(p.at) {
		if at.made != at.seen || at.call < 0 { // on the way, or about to begin
			at.seen, at.still = at.made, 0
		} else {
			at.still++
		}
		if !all && at.still < 2 {
			continue
		}
		at.lost = true
		if at.call >= 0 && p.results[at.call].end == notMade {
			p.results[at.call].end = givenUp
		}
		lost++
		p.crew.lose(1)
		p.over = p.over || lost >= room
		p.remove(at)
	}
	if p.over || lost == 0 {
		return 0
	}
	return min(2*lost, maxHands, p.n-p.next, room-lost)
}

// Await runs fn on a goroutine beside the caller's and returns true when fn has
// returned. It returns false if fn has not returned within a second after ctx
// ended: fn is then left to itself, however long it takes. Use it for work that
// ends with ctx unless a file system does not answer. A panic of fn is the
// caller's.
func Await(ctx context.Context, fn func()) bool {
	done := make(chan any, 1)
	go func() {
		var fault any = errNoReturn
		defer func() {
			if r := recover(); r != nil {
				fault = fmt.Sprintf("%v\n\n%s", r, debug.Stack())
			}
			done <- fault
		}()
		fn()
		fault = nil
	}()
	var fault any
	select {
	case fault = <-done:
	case <-ctx.Done():
		select {
		case fault = <-done:
		case <-time.After(awaitGrace):
			return false
		}
	}
	if fault != nil {
		panic(fault)
	}
	return true
}

// awaitGrace is the time for work to end by itself after its context.
const awaitGrace = time.Second

// openWait is the time for opening a root: a file system that answers later is
// as good as dead.
const openWait = 3 * time.Second

// OpenWithin opens the procfs at root as [Open] does, or [OpenCaptured], but
// waits no longer than ctx, nor than some seconds, for a root other than /proc: it
// may lie on a file system that does not answer ([ErrStuck]).
func OpenWithin(ctx context.Context, root string, captured bool) (f *FS, err error) {
	open := Open
	if captured {
		open = OpenCaptured
	}
	if root == "" || root == "/proc" {
		return open(root)
	}
	ctx, cancel := context.WithTimeout(ctx, openWait)
	defer cancel()
	type opened struct {
		fs  *FS
		err error
	}
	late := make(chan opened, 1)
	if !Await(ctx, func() {
		f, err := open(root)
		late <- opened{f, err}
	}) {
		return nil, whose.WithHint(fmt.Errorf("open procfs: open %s: %w", root, ErrStuck), "is its file system dead (NFS, FUSE)?")
	}
	o := <-late
	return o.fs, o.err
}

var errNoReturn = errors.New("the function ended its goroutine")
