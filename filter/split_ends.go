package filter

import (
	"net/netip"
	"slices"
)

// This file finds the conditions of an expression on addresses and ports: a list of
// conditions of which one has to hold. An empty list cannot be met; a list
// with AnyEnds is met by every session.

// maxEnds is how many conditions a Query gets at most.
const maxEnds = 16

func everyEnd() []Endpoints { return []Endpoints{AnyEnds} }

// endsOf returns the conditions of an expression or, where positive is false,
// of its negation. They may hold for more sessions than it does.
func endsOf(e Expr, positive bool) []Endpoints {
	switch e := e.(type) {
	case *Not:
		return endsOf(e.X, !positive)
	case *And:
		return endsOfTerms(e.Terms, positive, positive)
	case *Or:
		return endsOfTerms(e.Terms, positive, !positive)
	case *Cond:
		return endsOfCond(e, positive != e.op.negative())
	}
	return everyEnd()
}

func endsOfTerms(terms []Expr, positive, all bool) []Endpoints {
	if all {
		joined := everyEnd()
		for _, t := range terms {
			joined = bothEnds(joined, endsOf(t, positive))
		}
		return joined
	}
	var joined []Endpoints
	for _, t := range terms {
		joined = addEnds(joined, endsOf(t, positive))
	}
	return joined
}

// endsOfCond returns the conditions of one on addresses or ports; positive is
// its own negation taken into account.
func endsOfCond(c *Cond, positive bool) []Endpoints {
	if len(c.values) == 0 {
		return everyEnd()
	}
	switch c.name {
	case "local_port", "remote_port", "port":
		return endsOfPorts(c, positive)
	case "local_addr", "remote_addr", "addr":
		if !positive {
			return everyEnd()
		}
	default:
		return everyEnd()
	}
	var ends []Endpoints
	for _, v := range c.values {
		ends = addEnds(ends, onSides(c.name, OnLocal(v.prefix, v.ports)))
	}
	return ends
}

func endsOfPorts(c *Cond, positive bool) []Endpoints {
	ranges := c.ports()
	if !positive {
		if c.name == "port" {
			return everyEnd()
		}
		ranges = otherPorts(ranges)
	}
	if n := len(ranges); n > maxEnds/2 {
		ranges = []PortRange{{First: ranges[0].First, Last: ranges[n-1].Last}}
	}
	var ends []Endpoints
	for _, r := range ranges {
		ends = addEnds(ends, onSides(c.name, OnLocal(netip.Prefix{}, r)))
	}
	return ends
}

// onSides returns a condition on the local end as one on the ends that name
// says: local, remote or either.
func onSides(name string, e Endpoints) []Endpoints {
	switch name {
	case "local_port", "local_addr":
		return []Endpoints{e}
	case "remote_port", "remote_addr":
		return []Endpoints{e.Swapped()}
	}
	return []Endpoints{e, e.Swapped()}
}

// otherPorts returns the ports that are in none of the ranges, which are in
// rising order and do not touch.
func otherPorts(ranges []PortRange) []PortRange {
	var others []PortRange
	next := 0
	for _, r := range ranges {
		if next < int(r.First) {
			others = append(others, PortRange{First: uint16(next), Last: r.First - 1})
		}
		next = int(r.Last) + 1
	}
	if next <= maxPort {
		others = append(others, PortRange{First: uint16(next), Last: maxPort})
	}
	return others
}

const maxPort = 1<<16 - 1

// addEnds returns the conditions of which one of a or of b has to hold,
// without those that others imply. Too many become none at all.
func addEnds(a, b []Endpoints) []Endpoints {
	for _, e := range b {
		if slices.ContainsFunc(a, func(have Endpoints) bool { return covers(&have, &e) }) {
			continue
		}
		a = slices.DeleteFunc(slices.Clone(a), func(have Endpoints) bool { return covers(&e, &have) })
		a = append(a, e)
	}
	if len(a) > maxEnds {
		return everyEnd()
	}
	return a
}

// bothEnds returns the conditions of which one of a and one of b have to hold
// together; where these are too many, the shorter list.
func bothEnds(a, b []Endpoints) []Endpoints {
	if len(a)*len(b) > 4*maxEnds {
		return shorter(a, b)
	}
	var all []Endpoints
	for _, x := range a {
		for _, y := range b {
			if e, ok := meet(x, y); ok && !slices.Contains(all, e) {
				all = append(all, e)
			}
		}
	}
	if len(all) > maxEnds {
		return shorter(a, b)
	}
	return addEnds(nil, all)
}

func shorter(a, b []Endpoints) []Endpoints {
	if len(a) <= len(b) {
		return a
	}
	return b
}

// meet returns the condition that holds where both hold; ok is false if that
// is nowhere.
func meet(a, b Endpoints) (e Endpoints, ok bool) {
	var okay [4]bool
	e.Local, okay[0] = meetPrefixes(a.Local, b.Local)
	e.Remote, okay[1] = meetPrefixes(a.Remote, b.Remote)
	e.LocalPorts, okay[2] = meetPorts(a.LocalPorts, b.LocalPorts)
	e.RemotePorts, okay[3] = meetPorts(a.RemotePorts, b.RemotePorts)
	return e, !slices.Contains(okay[:], false)
}

func meetPrefixes(a, b netip.Prefix) (netip.Prefix, bool) {
	switch {
	case !a.IsValid():
		return b, true
	case !b.IsValid():
		return a, true
	case !a.Overlaps(b):
		return netip.Prefix{}, false
	case a.Bits() >= b.Bits():
		return a, true
	}
	return b, true
}

func meetPorts(a, b PortRange) (PortRange, bool) {
	r := PortRange{First: max(a.First, b.First), Last: min(a.Last, b.Last)}
	return r, r.First <= r.Last
}

// covers reports whether a holds wherever b does.
func covers(a, b *Endpoints) bool {
	return coversPrefix(a.Local, b.Local) && coversPrefix(a.Remote, b.Remote) &&
		coversPorts(a.LocalPorts, b.LocalPorts) && coversPorts(a.RemotePorts, b.RemotePorts)
}

func coversPrefix(a, b netip.Prefix) bool {
	return !a.IsValid() || b.IsValid() && a.Bits() <= b.Bits() && a.Contains(b.Addr())
}

func coversPorts(a, b PortRange) bool { return a.First <= b.First && b.Last <= a.Last }
