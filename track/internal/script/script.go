// Package script has what tests over records and events are written in: records
// and sessions of which only what matters is said, and events as lines.
package script

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// Began is the boot clock when following begins, in milliseconds.
const Began = 1_000_000

// EventLine writes an event as a line: time in ms, kind, session, and what else
// is set.
func EventLine(e *whose.Event) string {
	var b strings.Builder
	if e.Kind != whose.EventStanding {
		fmt.Fprintf(&b, "%d ", e.Time.UnixMilli())
	}
	b.WriteString(e.Kind.String())
	if e.Kind == whose.EventLost {
		return fmt.Sprintf("%s %d %s", &b, e.Lost, e.Why)
	}
	b.WriteString(" " + SessionLine(&e.Session))
	for _, word := range []string{e.End.String(), e.By.String()} {
		if word != "" {
			b.WriteString(" " + word)
		}
	}
	if e.Errno != 0 {
		fmt.Fprintf(&b, " errno=%d", e.Errno)
	}
	if e.Duration != 0 {
		fmt.Fprintf(&b, " %v", e.Duration)
	}
	if e.StoodBefore {
		b.WriteString(" since")
	}
	if (e.Sent != whose.Traffic{} || e.Received != whose.Traffic{}) {
		fmt.Fprintf(&b, " %d/%d %d/%d", e.Sent.Bytes, e.Sent.Datagrams, e.Received.Bytes, e.Received.Datagrams)
	}
	return b.String()
}

// SessionLine writes a session as a line: direction, protocol, ends, owners and
// reason.
func SessionLine(s *whose.Session) string {
	var who []string
	for _, o := range s.Owners {
		who = append(who, fmt.Sprintf("%s/%d", o.Comm, o.PID))
	}
	words := []string{s.Direction.String(), s.Proto.String(), s.Local.String() + ">" + s.Remote.String(), strings.Join(who, ","), s.Reason.String()}
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}

// A Fact is what matters of a record. Times are milliseconds after following
// began; a record without Opened is of a session whose opening nobody saw.
type Fact func(*bpfevent.Record)

// Record makes a record of namespace 1: of a TCP connection from 10.0.0.1 to
// 10.0.0.2:80, unless facts say otherwise.
func Record(kind bpfevent.Kind, at int, cookie uint64, more ...Fact) bpfevent.Record {
	r := bpfevent.Record{
		Kind: kind, Time: uint64(Began+at) * 1e6, Cookie: cookie, Proto: uint8(whose.TCP), Family: uint8(whose.IPv4),
		NetNS: 1, Local: Addr("10.0.0.1"), Remote: Addr("10.0.0.2"), LocalPort: uint16(1000 + cookie), RemotePort: 80,
	}
	for _, m := range more {
		m(&r)
	}
	return r
}

// Out: the session connected.
func Out(r *bpfevent.Record) { r.Out, r.Origin = true, pair.Connected }

// Accepted: a process had accepted it.
func Accepted(r *bpfevent.Record) {
	r.Accepted = true
}

// Opened says when it opened.
func Opened(at int) Fact { return func(r *bpfevent.Record) { r.Opened = uint64(Began+at) * 1e6 } }

// From says in which state it was.
func From(s whose.State) Fact {
	return func(r *bpfevent.Record) { r.OldState = uint8(s) }
}

// Failed says with which error.
func Failed(errno uint32) Fact { return func(r *bpfevent.Record) { r.Err = errno } }

// By names the process.
func By(comm string, pid uint32) Fact {
	return func(r *bpfevent.Record) {
		r.Task = bpfevent.Task{PID: pid, Start: uint64(pid) * 10}
		copy(r.Task.Comm[:], comm)
	}
}

// Bytes says how many bytes went each way.
func Bytes(sent, received uint64) Fact {
	return func(r *bpfevent.Record) { r.BytesSent, r.BytesReceived = sent, received }
}

// Datagrams says how many datagrams went each way.
func Datagrams(sent, received uint64) Fact {
	return func(r *bpfevent.Record) { r.DatagramsSent, r.DatagramsReceived = sent, received }
}

// UDP: it is of UDP.
func UDP(r *bpfevent.Record) { r.Proto = uint8(whose.UDP) }

// To names the remote end.
func To(remote string) Fact {
	return func(r *bpfevent.Record) {
		ap := netip.MustParseAddrPort(remote)
		r.Remote, r.RemotePort = ap.Addr().As16(), ap.Port()
	}
}

// At names the local end.
func At(local string) Fact {
	return func(r *bpfevent.Record) {
		ap := netip.MustParseAddrPort(local)
		r.Local, r.LocalPort = ap.Addr().As16(), ap.Port()
	}
}

// Bound names the local end; there is no remote one.
func Bound(local string) Fact {
	return func(r *bpfevent.Record) {
		At(local)(r)
		To("0.0.0.0:0")(r)
	}
}

// Addr returns an address as records have it.
func Addr(s string) [16]byte { return netip.MustParseAddr(s).As16() }

// Stood is a session of a snapshot.
func Stood(cookie uint64, state whose.State, owners ...whose.Owner) whose.Session {
	s := whose.Session{
		Local: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(1000+cookie)), Remote: netip.MustParseAddrPort("10.0.0.2:80"),
		Cookie: cookie, Inode: cookie + 5000, NetNS: 1, Proto: whose.TCP, Family: whose.IPv4, State: state,
		Direction: whose.Out, Owners: owners,
	}
	if s.IsListener() {
		s.Remote, s.Direction = netip.MustParseAddrPort("0.0.0.0:0"), 0
	}
	if len(owners) == 0 {
		s.Reason = whose.ReasonUnheld
	}
	return s
}

// Owner is the process that By names.
func Owner(comm string, pid uint32) whose.Owner {
	return whose.Owner{Process: &whose.Process{Comm: comm, PID: pid, StartTime: time.Unix(0, 0).Add(time.Duration(pid) * 100 * time.Millisecond)}}
}

// Queued: it ended with its listener, in whose queue it was.
func Queued(r *bpfevent.Record) { r.Queued = true }
