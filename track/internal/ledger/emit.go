package ledger

import (
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// tells reports whether an event of the session is wanted.
func (o *outbox) tells(kind whose.EventKind, e *entry) bool {
	return e.is(wanted) && o.want.Kinds.Has(kind)
}

// lifetimeOf returns the content of a session's events by now.
func (o *outbox) lifetimeOf(e *entry) *lifetime {
	l := o.newLifetime()
	l.entry, l.owners, l.labels = *e, o.peers.owners(e), o.peers.names.labelsOf(e)
	return l
}

// emit emits an event without facts of its own.
func (o *outbox) emit(kind whose.EventKind, e *entry, at uint64) {
	if !o.tells(kind, e) {
		return
	}
	l := o.lifetimeOf(e)
	if hasPeer(kind) {
		o.peers.face(l)
	}
	o.keep(kind, l, at)
}

func (o *outbox) emitIf(cond bool, kind whose.EventKind, e *entry, at uint64) {
	if cond {
		o.emit(kind, e, at)
	}
}

// hasPeer reports whether an event of the kind shows the owners of the peer.
func hasPeer(k whose.EventKind) bool {
	return k == whose.EventOpen || k == whose.EventClose || k == whose.EventOwned
}

// elapsed returns the time between two readings of the boot clock.
func elapsed(from, to uint64) time.Duration {
	if to < from {
		return 0 // two processors
	}
	return time.Duration(to - from)
}

// lasted returns the duration of a session, as far as it was followed.
func (o *outbox) lasted(e *entry, until uint64) time.Duration {
	if e.is(since) {
		return elapsed(o.clock.Began, until)
	}
	return elapsed(e.opened, until)
}

// emitEnd emits the end of a connection with the counts of its record.
func (o *outbox) emitEnd(e *entry, r *bpfevent.Record) {
	if !o.tells(whose.EventClose, e) {
		return
	}
	l := o.lifetimeOf(e)
	o.finish(l, r)
	o.peers.face(l)
	o.keep(whose.EventClose, l, r.Time)
}

// emitWhole emits the opening and the end of a connection, both by the record
// of its end. The connection is not in the table, and was not.
func (o *outbox) emitWhole(e *entry, r *bpfevent.Record) {
	opens, closes := o.tells(whose.EventOpen, e), o.tells(whose.EventClose, e)
	if !opens && !closes {
		o.peers.meet(e, nil, o.clock.now)
		return
	}
	l := o.lifetimeOf(e)
	o.finish(l, r)
	o.peers.meet(e, l, o.clock.now)
	switch {
	case !closes:
		o.keep(whose.EventOpen, l, e.opened)
	case !opens:
		o.keep(whose.EventClose, l, r.Time)
	default: // at once: others read an emitted event
		o.hold(o.event(whose.EventOpen, l, e.opened), o.event(whose.EventClose, l, r.Time))
	}
}

// finish adds the results of a connection.
func (o *outbox) finish(l *lifetime, r *bpfevent.Record) {
	if r.OldState != 0 {
		l.end, l.by = endOfTCP(r)
	}
	if l.end == whose.EndError {
		l.errno = r.Err
	}
	l.duration = o.lasted(&l.entry, r.Time)
	if l.uncounted = wasCleared(r); l.uncounted {
		return
	}
	l.sent.Bytes, l.received.Bytes, l.rtt, l.retrans = r.BytesSent, r.BytesReceived, r.RTT, r.Retrans
	l.counted = true
}

// wasCleared reports whether the figures of a record without the last state are those
// of a socket that the kernel cleared first, as a close with SO_LINGER does
// (tcp_disconnect). A connection had a round trip as it was established.
func wasCleared(r *bpfevent.Record) bool {
	return r.OldState == 0 && r.RTT == 0 && r.BytesSent == 0 && r.BytesReceived == 0
}

// emitFlowEnd emits the end of a flow with its counts.
func (o *outbox) emitFlowEnd(e *entry, end whose.End, at, last uint64, sent, received whose.Traffic) {
	if !e.is(told) || !o.tells(whose.EventClose, e) {
		return
	}
	l := o.lifetimeOf(e)
	l.end, l.duration, l.sent, l.received = end, o.lasted(e, last), sent, received
	o.peers.face(l)
	o.keep(whose.EventClose, l, at)
}

// emitFlowGone emits the end of a flow by its socket. Nobody counted its datagrams.
func (o *outbox) emitFlowGone(e *entry, at uint64) {
	if !e.is(told) || !o.tells(whose.EventClose, e) {
		return
	}
	l := o.lifetimeOf(e)
	l.end, l.duration, l.uncounted = whose.EndClosed, o.lasted(e, at), true
	o.peers.face(l)
	o.keep(whose.EventClose, l, at)
}

// emitFail emits the failure of a connect.
func (o *outbox) emitFail(e *entry, r *bpfevent.Record) {
	if !o.tells(whose.EventFail, e) {
		return
	}
	l := o.lifetimeOf(e)
	l.end, l.errno, l.duration = endOfConnect(r.Err), r.Err, elapsed(e.opened, r.Time)
	o.keep(whose.EventFail, l, r.Time)
}

// emitGone emits an end of which nothing else is known.
func (o *outbox) emitGone(kind whose.EventKind, e *entry, at uint64) {
	if !e.is(told) || !o.tells(kind, e) {
		return
	}
	l := o.lifetimeOf(e)
	l.duration = o.lasted(e, at)
	if hasPeer(kind) {
		o.peers.face(l)
	}
	o.keep(kind, l, at)
}
