package hostname

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// All asking is bounded: the open questions, the waiting addresses, the
// remembered addresses, and the lifetime of an answer.
const (
	maxWorkers = 32
	// maxWaiting addresses wait by [Resolver.Ask], and maxLearning by
	// [Resolver.Learn]. A later call with the address asks again for those above.
	maxWaiting, maxLearning = 256, 4096
	// maxKept is half of the number of remembered addresses.
	maxKept = 8192
	// answerAge is the lifetime of an answer, a missing name included. failureAge
	// is the pause after a question without an answer.
	answerAge, failureAge = time.Hour, time.Minute
	// maxName is the length of the longest name of a host (RFC 1035).
	maxName = 255
)

// A Resolver asks for the names of remote addresses in the background and
// remembers them. It is safe for concurrent use, and ends with Close.
type Resolver struct {
	within time.Duration
	lookup Lookup
	// life is the context of the questions. It ends with Close.
	life context.Context
	end  context.CancelFunc

	mu sync.Mutex
	// young and old remember addresses. When young is full it becomes the old one,
	// so unneeded addresses are forgotten first.
	young, old map[netip.Addr]*entry
	waiting    []netip.Addr
	workers    int
}

// An entry is the knowledge of the name of one address, until it expires.
type entry struct {
	name    string
	expires time.Time
	// answered is closed with the answer. Nil: no question is out.
	answered chan struct{}
}

// A Lookup returns the names of an address, like [net.Resolver.LookupAddr].
type Lookup func(ctx context.Context, addr string) ([]string, error)

// New returns a resolver. It waits for the answer to a question no longer than
// within. Nil for lookup is the resolver of this host.
func New(within time.Duration, lookup Lookup) *Resolver {
	if lookup == nil {
		// The pure Go resolver obeys the deadline; libc's does not.
		lookup = (&net.Resolver{PreferGo: true}).LookupAddr
	}
	r := &Resolver{within: within, lookup: lookup, young: make(map[netip.Addr]*entry)}
	r.life, r.end = context.WithCancel(context.Background())
	return r
}

// Close ends the open questions. Known names stay known.
func (r *Resolver) Close() { r.end() }

// Name returns the name of an address, "" for an unknown one.
func (r *Resolver) Name(a netip.Addr) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.find(a); e != nil {
		return e.name
	}
	return ""
}

// Awaits reports whether the first answer for an address is still to come.
func (r *Resolver) Awaits(a netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.find(a)
	return e != nil && e.awaited() != nil
}

// Ask asks for the name of an address, unless it is known or too many wait. With
// again it also renews an old name.
func (r *Resolver) Ask(a netip.Addr, again bool) {
	if !hasName(a) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) < maxWaiting {
		r.want(a, again)
	}
}

// Learn asks for the names of addresses. It returns when all are known, after
// the time of one question, or when ctx ends.
func (r *Resolver) Learn(ctx context.Context, addrs []netip.Addr) {
	ctx, cancel := context.WithTimeout(ctx, r.within)
	defer cancel()
	for _, answered := range r.wantAll(addrs) {
		select {
		case <-answered:
		case <-ctx.Done():
			return
		}
	}
}

// wantAll queues addresses and returns the channels of the first answers still
// to come.
func (r *Resolver) wantAll(addrs []netip.Addr) (answers []<-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range addrs {
		if !hasName(a) || len(r.waiting) >= maxLearning {
			continue
		}
		if c := r.want(a, true).awaited(); c != nil {
			answers = append(answers, c)
		}
	}
	return answers
}

// hasName reports whether an address may have a name.
func hasName(a netip.Addr) bool { return a.IsValid() && !a.IsUnspecified() }

// awaited is closed by the first answer, nil if none will come.
func (e *entry) awaited() <-chan struct{} {
	if e.name != "" {
		return nil
	}
	return e.answered
}

// find returns the entry of an address, nil for none. The lock is held.
func (r *Resolver) find(a netip.Addr) *entry {
	if e := r.young[a]; e != nil {
		return e
	}
	e := r.old[a]
	if e != nil {
		r.keep(a, e)
	}
	return e
}

// keep stores the entry of an address. The lock is held.
func (r *Resolver) keep(a netip.Addr, e *entry) {
	if len(r.young) >= maxKept {
		r.young, r.old = make(map[netip.Addr]*entry), r.young
	}
	r.young[a] = e
}

// want queues an address, unless it is known, and starts a worker if needed. The
// lock is held.
func (r *Resolver) want(a netip.Addr, again bool) *entry {
	e := r.find(a)
	switch {
	case e == nil:
		e = &entry{}
		r.keep(a, e)
	case e.answered != nil || !again || time.Now().Before(e.expires):
		return e
	}
	e.answered = make(chan struct{})
	r.waiting = append(r.waiting, a)
	if r.workers < maxWorkers {
		r.workers++
		go r.work()
	}
	return e
}

// work asks until no address waits.
func (r *Resolver) work() {
	for {
		a, ok := r.next()
		if !ok {
			return
		}
		ctx, cancel := context.WithTimeout(r.life, r.within)
		name, err := r.ask(ctx, a)
		cancel()
		r.answer(a, name, err)
	}
}

// next takes an address from the queue, or ends the worker.
func (r *Resolver) next() (a netip.Addr, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) == 0 || r.life.Err() != nil {
		r.workers--
		return a, false
	}
	a, r.waiting = r.waiting[0], r.waiting[1:]
	return a, true
}

// ask returns the first name of an address, "" if it has none, and the error of
// the look-up. A name in the form of an address does not count: a reader would
// mistake it for the address.
func (r *Resolver) ask(ctx context.Context, a netip.Addr) (string, error) {
	names, err := r.lookup(ctx, a.String())
	if len(names) == 0 {
		return "", err
	}
	name := strings.TrimSuffix(names[0], ".") // good names come with an error too, if there are bad ones
	if _, bad := netip.ParseAddr(name); len(name) > maxName || bad == nil {
		return "", nil
	}
	return name, nil
}

// answer remembers an answer. A failed question changes only the time of the
// next one.
func (r *Resolver) answer(a netip.Addr, name string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.find(a)
	if e == nil || e.answered == nil {
		return // forgotten meanwhile
	}
	var dns *net.DNSError
	if err == nil || errors.As(err, &dns) && dns.IsNotFound {
		e.name, e.expires = name, time.Now().Add(answerAge)
	} else {
		e.expires = time.Now().Add(failureAge)
	}
	close(e.answered)
	e.answered = nil
}
