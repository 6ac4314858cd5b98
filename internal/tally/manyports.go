package tally

import (
	"net/netip"

	"github.com/seed-44df2ae6/whose"
)

// MaxPorts is the number of UDP ports on which a program has rows of its own. A
// program with more has one row for all of them, without an address and a port.
const MaxPorts = 32

// A portsKey is shared by the unconnected UDP sockets of a program.
type portsKey struct {
	netns     uint32
	proto     whose.Proto
	ephemeral bool
	by        Program
}

// ports are the ports of such sockets, nil for more than MaxPorts.
type ports map[uint16]bool

func portsKeyOf(k *ListenerKey) portsKey { return portsKey{k.NetNS, k.Proto, k.Ephemeral, k.By} }

// ofMany returns the key of all UDP sockets of a program.
func (k *ListenerKey) ofMany() ListenerKey {
	many := *k
	many.Port, many.Addr = 0, netip.Addr{}
	return many
}

// Many reports whether the row stands for many ports.
func (k *ListenerKey) Many() bool { return !k.Addr.IsValid() }

// gathered returns the key under which a listener is counted. Hidden processes of
// the system are many programs, of which nothing but the user is known.
func (h *Host) gathered(k ListenerKey, share Share) ListenerKey {
	if isStream(k.Proto) || k.Kernel || k.By.Hidden && share.System() {
		return k
	}
	of := portsKeyOf(&k)
	met, known := h.ports[of]
	switch {
	case known && met == nil:
		return k.ofMany()
	case !known:
		met = make(ports, 1)
	}
	if met[k.Port] = true; len(met) > MaxPorts {
		met = nil
	}
	h.ports[of] = met
	if met == nil {
		return k.ofMany()
	}
	return k
}

// fold adds the rows of single ports to those of many, where these came later.
func (h *Host) fold() {
	kept := 0
	for i := range h.listeners.all {
		l := &h.listeners.all[i]
		if met, known := h.ports[portsKeyOf(&l.Key)]; known && met == nil && !l.Key.Many() && !isStream(l.Key.Proto) {
			if many, ok := h.listeners.places[l.Key.ofMany()]; ok {
				h.listeners.all[many].Sum.add(&l.Sum)
				continue
			}
		}
		h.listeners.all[kept], h.listeners.shares[kept] = *l, h.listeners.shares[i]
		if l.Key.Many() {
			h.listeners.places[l.Key] = int32(kept)
		}
		kept++
	}
	h.listeners.all, h.listeners.shares = h.listeners.all[:kept], h.listeners.shares[:kept]
}

// add adds the sockets of another listener.
func (l *Listener) add(o *Listener) {
	l.Sockets += o.Sockets
	l.Unit, l.Container = least(l.Unit, o.Unit), least(l.Container, o.Container)
	l.Names.least(&o.Names)
	for _, name := range o.Holders {
		l.heldBy(name)
	}
}
