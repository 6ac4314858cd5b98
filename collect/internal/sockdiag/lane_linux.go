package sockdiag

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/netlink"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// attempts is how often an interrupted dump is made.
const attempts = 3

// do reads one lane of one namespace.
func (w *worker) do(p *pass, j *job) {
	l := lane{w: w, p: p, job: j, c: j.n.conns[j.lane]}
	if p.everything && w != &p.s.workers[0] { // which has room for all
		w.out.sockets = withRoom(w.out.sockets, j.weight)
	}
	if j.lane == laneUDP {
		l.udp(whose.UDP, netlink.ProtoUDP)
		l.udp(whose.UDPLite, netlink.ProtoUDPLite)
	} else {
		l.tcp()
	}
	if !l.failed {
		p.succeeded() // also where there was nothing to ask for
	}
}

// A lane is a worker at one job.
type lane struct {
	w *worker
	p *pass
	*job
	c *conn
	// failed: a dump of this lane has failed.
	failed bool
}

// udp reads the sockets of UDP or UDP-Lite.
func (l *lane) udp(proto whose.Proto, number uint32) {
	q := l.p.q
	states := kernelUDPStates(q.States)
	if states == 0 || !q.Protos.Has(proto) {
		return
	}
	l.eachFamily(proto, q.Families, func(family uint8) bool {
		r := request{proto: number, family: family, states: states, bytecode: l.p.bytecode}
		d := dump{proto: proto, families: q.Families, states: q.States}
		return l.report(l.ask(&r, &d, &l.w.out), &d)
	})
}

// eachFamily calls fn for each wanted family of which there may be sockets,
// until it returns false.
func (l *lane) eachFamily(proto whose.Proto, wanted whose.Set[whose.Family], fn func(family uint8) bool) {
	for _, f := range [...]struct {
		model  whose.Family
		kernel uint8
	}{{whose.IPv4, netlink.FamilyIPv4}, {whose.IPv6, netlink.FamilyIPv6}} {
		if wanted.Has(f.model) && !l.census.none(proto, f.model) && !fn(f.kernel) {
			return
		}
	}
}

// ask makes one dump, again if it was interrupted. An errno in the answer is an
// error too.
func (l *lane) ask(r *request, d *dump, out *rows) error {
	d.netns = l.n.inode
	begin, fresh := out.mark(), *d
	for attempt := 1; ; attempt++ {
		*d = fresh
		l.w.dumps++
		err := l.c.run(l.p.ctx, r, d, l.w.buf, out)
		if err != nil {
			l.n.broken.Store(true)
			if l.p.ctx.Err() == nil {
				out.truncate(begin)
			}
			return err
		}
		if d.errno != 0 {
			out.truncate(begin)
			return fmt.Errorf("%s: %w", d, unix.Errno(d.errno))
		}
		if !d.interrupted {
			return nil
		}
		if attempt == attempts {
			l.w.gaps.Add(whose.Gap{Kind: whose.GapTables, Cause: whose.CauseChanged, Count: 1,
				Detail: d.proto.String() + " sockets changed under every attempt to list them"})
			return nil
		}
		out.truncate(begin)
	}
}

// report adds the gaps of a dump. It returns false if another family would fare
// no better.
func (l *lane) report(err error, d *dump) bool {
	if d.malformed > 0 {
		l.w.gaps.Add(whose.Gap{Kind: whose.GapSockets, Cause: whose.CauseFailed, Count: d.malformed,
			Detail: "netlink records that make no sense"})
	}
	switch {
	case err == nil:
		l.p.succeeded()
		return true
	case l.p.ctx.Err() != nil:
		l.failed = true
		return false
	case errors.Is(err, unix.ENOENT) && !l.exists(d.proto):
		return false
	}
	l.failed = true
	l.p.failed(err, dumpGap(err, d.proto))
	return false
}

func (p *pass) succeeded() {
	p.mu.Lock()
	p.dumped = true
	p.mu.Unlock()
}

// exists reports whether the kernel has a protocol at all. Without it there is
// no dump either: the newest kernels have no UDP-Lite.
func (l *lane) exists(proto whose.Proto) bool {
	typ, number := unix.SOCK_DGRAM, netlink.ProtoUDPLite
	switch proto {
	case whose.UDPLite:
		if l.census.known {
			return l.census.hasUDPLite
		}
	case whose.MPTCP:
		if l.census.known {
			return l.census.hasMPTCP
		}
		typ, number = unix.SOCK_STREAM, netlink.ProtoMPTCP
	default:
		return true
	}
	fd, err := unix.Socket(unix.AF_INET, typ|unix.SOCK_CLOEXEC, number)
	if err == nil {
		unix.Close(fd)
	}
	return err != unix.EPROTONOSUPPORT
}

// dumpGap returns the gap of a failed dump.
func dumpGap(err error, proto whose.Proto) whose.Gap {
	if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EOPNOTSUPP) {
		return source.GapOf(whose.GapSockets, 0, fmt.Errorf("%s sockets: %w", proto, err))
	}
	module := proto.String() + "_diag"
	if proto == whose.UDPLite {
		module = "udp_diag"
	}
	missing := &whose.UnsupportedError{What: "sock_diag for " + proto.String()}
	return source.GapOf(whose.GapSockets, 0, whose.WithHint(missing, "load the kernel module %s, or use the source procfs", module))
}
