package tally

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
)

// A ListenerKey is shared by the sockets of one listener. An SO_REUSEPORT group
// of one program is one listener.
type ListenerKey struct {
	// NetNS is the inode of the network namespace.
	NetNS uint32
	Port  uint16
	// Proto is TCP for MPTCP, which takes plain TCP on the same ports.
	Proto whose.Proto
	// Addr is the local address with its zone, which is hostile input. It is
	// invalid, and Port 0, in the row of a program's many UDP ports.
	Addr netip.Addr
	// Ephemeral: nobody seems to have chosen the port.
	Ephemeral bool
	// Kernel: the kernel holds the socket.
	Kernel bool
	// By is the program whose process has held it longest. It has no unit and
	// container unless it is hidden: a process may move without becoming another
	// listener. If it is hidden and has neither, only the user of the socket is
	// known.
	By Program
}

// A Listener holds the counts of one listener.
type Listener struct {
	// Unit, Container and Names of the program.
	Unit, Container string
	Names           ContainerNames
	// Sockets of the group.
	Sockets int
	// Holders are the names of its current processes, in order, at most 8 of them.
	Holders []string
	// Established, CloseWait, SynRecv and TimeWait count connections accepted by
	// it.
	Established, CloseWait, SynRecv, TimeWait int
	// Queue is the number of connections waiting to be accepted, QueueLimit their
	// limit, and QueueUsed the used part in percent for the fullest socket. All are
	// 0 for UDP. The last two mean nothing with [Totals].LimitUnknown.
	Queue, QueueLimit uint64
	QueueUsed         float64
	// RemoteHosts counts the distinct remote addresses.
	RemoteHosts int

	program int32 // its place, -1 for none
	end     pair.End
}

// maxHolders bounds the names of the holders of one listener.
const maxHolders = 8

// addListener counts a listening socket of the program at this place.
func (h *Host) addListener(s *whose.Session, program int32) {
	ephemeral := h.isEphemeral(s)
	if ephemeral {
		h.totals.Ephemeral++
		if !h.opts.Ephemeral {
			return
		}
	}
	share := shareOfSession(s)
	if program >= 0 {
		share = h.programs.shares[program]
	}
	at := h.listeners.placeFor(h.gathered(h.listenerKey(s, program, ephemeral), share), share)
	if at < 0 {
		return
	}
	l := &h.listeners.all[at].Sum
	if l.Sockets == 0 {
		l.program, l.end = program, pair.Of(s)
	}
	l.Sockets++
	l.end.V6Only = l.end.V6Only && s.V6Only
	if program >= 0 {
		of := &h.programs.all[program].Key
		l.Unit, l.Container = least(l.Unit, of.Unit), least(l.Container, of.Container)
		l.Names.least(&of.Names)
	}
	for i := range s.Owners {
		l.heldBy(s.Owners[i].Comm)
	}
	if s.State == whose.Listen {
		l.Queue += uint64(s.RecvQueue)
		l.QueueLimit += uint64(s.SendQueue)
		h.totals.LimitUnknown = h.totals.LimitUnknown || s.Unknown.Has(whose.FactSendQueue)
		if s.SendQueue > 0 {
			l.QueueUsed = max(l.QueueUsed, 100*float64(s.RecvQueue)/float64(s.SendQueue))
		}
	}
}

// isEphemeral reports whether the socket is an unconnected UDP socket whose port
// nobody seems to have chosen.
func (h *Host) isEphemeral(s *whose.Session) bool {
	return !isStream(s.Proto) && s.State == whose.Unconn && s.Reason != whose.ReasonKernel &&
		h.opts.EphemeralPorts.Holds(s.Local.Port())
}

func (h *Host) listenerKey(s *whose.Session, program int32, ephemeral bool) ListenerKey {
	key := ListenerKey{
		NetNS: s.NetNS, Port: s.Local.Port(), Proto: plainProto(s.Proto), Addr: localAddr(s), Ephemeral: ephemeral,
	}
	switch {
	case program >= 0:
		key.By = h.programs.all[program].Key
		if !key.By.Hidden {
			key.By.Unit, key.By.Container, key.By.Names = "", "", ContainerNames{}
		}
	default:
		key.Kernel = s.Reason == whose.ReasonKernel
		key.By = Program{Hidden: !key.Kernel, User: s.User}
	}
	return key
}

// plainProto is the protocol in an administrator's terms.
func plainProto(p whose.Proto) whose.Proto {
	if isStream(p) {
		return whose.TCP
	}
	return p
}

// localAddr is the local address with its zone.
func localAddr(s *whose.Session) netip.Addr {
	addr := s.Local.Addr()
	if s.Scope != "" && addr.Is6() {
		return addr.WithZone(s.Scope)
	}
	return addr
}

// heldBy notes the name of a process holding the listener.
func (l *Listener) heldBy(name string) {
	at, known := slices.BinarySearch(l.Holders, name)
	if !known && len(l.Holders) < maxHolders {
		l.Holders = slices.Insert(l.Holders, at, name)
	}
}

// less orders listeners at one port, for a stable choice.
func (k *ListenerKey) less(other *ListenerKey) bool {
	a, b := &k.By, &other.By
	return cmp.Or(
		cmp.Compare(k.NetNS, other.NetNS),
		cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.User, b.User),
		cmp.Compare(a.Unit, b.Unit),
		cmp.Compare(a.Container, b.Container),
	) < 0
}
