package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/render"
	"github.com/seed-44df2ae6/whose/internal/tally"
)

// Names for whose watch are bounded in every direction: in what is asked for at
// once, in what waits to be asked for, in what is remembered, and for how long.
const (
	laterWorkers = 16
	// laterWaiting addresses wait for a worker; more are asked for with their
	// next line.
	laterWaiting = 256
	// laterKept is half of how many addresses are remembered.
	laterKept = 8192
	// nameAge is how long an answer holds, that there is no name too; failureAge
	// is when it is tried again where no answer came.
	nameAge, failureAge = time.Hour, time.Minute
)

// laterNames knows names of hosts and asks for them in the background: who
// needs one takes what is known and never waits longer than it wants. It is safe
// for concurrent use.
type laterNames struct {
	resolver *resolver
	// life ends with close: it is that of the questions.
	life  context.Context
	close func()

	mu sync.Mutex
	// young and old remember what was asked for. When young is full it becomes
	// the old one, so that what nobody needs is forgotten first.
	young, old map[netip.Addr]*laterName
	waiting    []netip.Addr
	workers    int
}

// A laterName is what is known of the name of one address.
type laterName struct {
	name string
	// asking is true from the question to the answer, which holds until expires.
	asking  bool
	expires time.Time
	// answered is closed by the first answer.
	answered chan struct{}
}

func newLaterNames(r *resolver) *laterNames {
	n := &laterNames{resolver: r, young: make(map[netip.Addr]*laterName)}
	n.life, n.close = context.WithCancel(context.Background())
	return n
}

// host returns the name of an address, "" where none is known yet.
func (n *laterNames) host(a netip.Addr) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if known := n.find(a); known != nil {
		return known.name
	}
	return ""
}

// find returns what is known of an address, nil for nothing. The lock is held.
func (n *laterNames) find(a netip.Addr) *laterName {
	if known := n.young[a]; known != nil {
		return known
	}
	known := n.old[a]
	if known != nil {
		n.remember(a, known)
	}
	return known
}

// remember keeps what is known of an address. The lock is held.
func (n *laterNames) remember(a netip.Addr, known *laterName) {
	if len(n.young) >= laterKept {
		n.young, n.old = make(map[netip.Addr]*laterName), n.young
	}
	n.young[a] = known
}

// ask sees to it that the name of an address becomes known, unless too many
// wait already. What is known is asked for anew when it is old, but not for
// our own sessions: each question opens one, which would never end.
func (n *laterNames) ask(a netip.Addr, own bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) < laterWaiting {
		n.want(a, own)
	}
}

// want puts an address into the queue, and sees to it that somebody works. The
// lock is held.
func (n *laterNames) want(a netip.Addr, own bool) {
	known := n.find(a)
	switch {
	case known == nil:
		known = &laterName{answered: make(chan struct{})}
		n.remember(a, known)
	case known.asking || own || time.Now().Before(known.expires):
		return
	}
	known.asking = true
	n.waiting = append(n.waiting, a)
	if n.workers < laterWorkers {
		n.workers++
		go n.work()
	}
}

// work asks until nothing waits.
func (n *laterNames) work() {
	for {
		n.mu.Lock()
		if len(n.waiting) == 0 || n.life.Err() != nil {
			n.workers--
			n.mu.Unlock()
			return
		}
		a := n.waiting[0]
		n.waiting = n.waiting[1:]
		n.mu.Unlock()
		ctx, cancel := context.WithTimeout(n.life, n.resolver.within)
		name, err := n.resolver.nameOf(ctx, a)
		cancel()
		n.answer(a, name, err)
	}
}

// answer remembers an answer. One that did not come changes nothing but when it
// is asked for again.
func (n *laterNames) answer(a netip.Addr, name string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	known := n.find(a)
	if known == nil {
		return // forgotten meanwhile
	}
	var dns *net.DNSError
	if err == nil || errors.As(err, &dns) && dns.IsNotFound {
		known.name, known.expires = name, time.Now().Add(nameAge)
	} else {
		known.expires = time.Now().Add(failureAge)
	}
	known.asking = false
	select {
	case <-known.answered:
	default:
		close(known.answered)
	}
}

// answered is closed once there was an answer for the address; nil is returned
// where there is nothing to wait for.
func (n *laterNames) answered(a netip.Addr) <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if known := n.find(a); known != nil && known.asking && known.name == "" {
		return known.answered
	}
	return nil
}

// learn asks for names and returns when all are known, the time is up or ctx ends.
func (n *laterNames) learn(ctx context.Context, wanted []netip.Addr) {
	n.mu.Lock()
	for _, a := range wanted {
		n.want(a, false)
	}
	n.mu.Unlock()
	up := time.After(n.resolver.within)
	for _, a := range wanted {
		c := n.answered(a)
		if c == nil {
			continue
		}
		select {
		case <-c:
		case <-up:
			return
		case <-ctx.Done():
			return
		}
	}
}

// settleNames makes what --resolve needs.
func (w *watch) settleNames() error {
	if !w.resolve {
		return nil
	}
	if w.format != render.Text {
		return refuseNames(w.format, render.Text)
	}
	r := newResolver(w.within)
	w.names = newLaterNames(r)
	w.shape.HostName = w.names.host
	w.shape.ServiceName = func(port uint16, p whose.Proto) string { return r.service(p, port) }
	return nil
}

// learnNames asks for the names that a summary shows. Who waits for it is told why.
func (w *watch) learnNames(ctx context.Context, s *tally.Summary) {
	slow := time.AfterFunc(patience, func() {
		w.sh.remark("asking for names, %v at most; Ctrl-C ends it", w.within)
	})
	defer slow.Stop()
	w.names.learn(ctx, summaryHosts(s))
}

// summaryHosts are the addresses that the lists of a summary show.
func summaryHosts(s *tally.Summary) []netip.Addr {
	var all []netip.Addr
	for i := range s.Remotes {
		all = append(all, s.Remotes[i].Key)
	}
	for i := range s.Failures {
		all = append(all, s.Failures[i].Key.Remote.Addr())
	}
	for i := range s.Busiest {
		all = append(all, s.Busiest[i].Remote.Addr())
	}
	return slices.DeleteFunc(all, func(a netip.Addr) bool { return !hasName(a) })
}

// hasName reports whether an address may have a name.
func hasName(a netip.Addr) bool { return a.IsValid() && !a.IsUnspecified() }
