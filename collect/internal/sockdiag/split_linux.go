package sockdiag

import (
	"sync"

	"github.com/seed-44df2ae6/whose/filter"
)

// splitFrom is from how many TCP sockets of a namespace on its table is listed
// in two halves at the same time. Each half walks the whole table, so that both
// together cost about a fifth more than one dump of all.
const splitFrom = 8192

// The halves go by the ports, which a socket keeps as long as it is connected:
// by the remote one where that looks like a client's, else by the local one. So
// both ends of connections within the host, servers and clients each fall into
// two halves of about the same size. firstClient and middle are those of the
// kernel's own default, ip_local_port_range of 32768 to 60999.
const (
	firstClient = 32768
	middle      = 46884
	lastPort    = 65535
)

// halves returns the programs that part all sockets in two.
func halves() (lower, upper []byte) {
	servers := filter.PortRange{Last: firstClient - 1}
	lower = compile([]filter.Endpoints{
		{RemotePorts: filter.PortRange{First: firstClient, Last: middle - 1}, LocalPorts: filter.AnyPort},
		{RemotePorts: servers, LocalPorts: filter.PortRange{Last: middle - 1}},
	}, false)
	upper = compile([]filter.Endpoints{
		{RemotePorts: filter.PortRange{First: middle, Last: lastPort}, LocalPorts: filter.AnyPort},
		{RemotePorts: servers, LocalPorts: filter.PortRange{First: middle, Last: lastPort}},
	}, false)
	return lower, upper
}

// splits reports whether a dump is worth splitting and may be. A socket that is
// only bound gets its remote port when it connects, and so could change from
// one half to the other unseen; where those are asked for, one dump does it.
// Before Linux 6.9 the kernel lets one dump of a protocol wait for the other.
func (l *lane) splits(r *request) bool {
	return l.p.s.threads() > 1 && l.p.s.kernel.dumpsAtOnce &&
		l.census.known && l.census.tcpTotal() >= l.p.s.splitFrom &&
		r.family == familyUnspec && len(r.bytecode) == 0 &&
		r.states&(1<<stateEstablished) != 0 && r.states&uncounted == 0
}

// askSplit makes the dump in two halves. It reports false where that was not
// possible, and then has left nothing behind.
func (l *lane) askSplit(r *request, d *dump, out *rows) (sum tally, done bool) {
	s := l.p.s
	if !s.second.busy.TryLock() {
		return tally{}, false
	}
	defer s.second.busy.Unlock()
	w := &s.second.worker
	w.begin()
	w.out.sockets = reserved(w.out.sockets, l.census.tcpTotal()*5/8)
	other := lane{w: w, p: l.p, n: l.n, c: l.n.conns[laneHalf], census: l.census}
	upper, lower := *r, *r
	lower.bytecode, upper.bytecode = halves()
	first, second := *d, *d
	begin := out.place()
	var secondErr error
	var both sync.WaitGroup
	both.Go(func() { secondErr = other.ask(&upper, &second, &w.out) })
	err := l.ask(&lower, &first, out)
	both.Wait()
	l.w.dumps += w.dumps
	if (err != nil || secondErr != nil) && l.p.ctx.Err() == nil {
		out.truncate(begin)
		return tally{}, false
	}
	l.w.gaps = append(l.w.gaps, w.gaps...)
	out.adopt(&w.out)
	for device := range w.out.devices {
		out.device(device)
	}
	d.malformed = first.malformed + second.malformed
	l.report(l.p.ctx.Err(), d)
	return tally{first.seen + second.seen, first.cookies + second.cookies}, true
}

// reserved returns the empty slice s with room for n elements.
func reserved[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, 0, n)
	}
	return s[:0]
}
