package whose

import "time"

// This file is the rest of the table of fields: the fields of lifetimes and of
// events.

// eventOrder is the order of an event's own fields, beside its session.
const eventOrder = "time event end by errno duration stood_before bytes_sent datagrams_sent bytes_received datagrams_received lost cause why seq host"

func lifeFields() []*Field {
	return []*Field{
		{Name: "opened", Title: "OPENED", Kind: KindInstant, Of: OfLife, Needs: NeedLife,
			Doc: "When the connection was established, or the first datagram of a UDP flow went. Absent where nobody followed the session then.",
			row: timeAt(func(r Row) *time.Time { return &r.Life.Opened })},
		{Name: "closed", Title: "CLOSED", Kind: KindInstant, Of: OfLife, Needs: NeedLife,
			Doc: "When the session ended, or the connect failed. Absent while it stands.",
			row: timeAt(func(r Row) *time.Time { return &r.Life.Closed })},
		{Name: "end", Title: "END", Kind: KindName, Of: OfLife, Needs: NeedLife, EventKey: "end",
			Doc:    "How the session ended, or why the connect failed.",
			Values: endNames.names(), names: endNames,
			row: access[Row]{
				code: func(r Row) uint8 { return uint8(r.Life.End) },
				set:  func(r Row, v *Value) { r.Life.End = End(endNames.number(v.Text)) },
			}},
		{Name: "by", Title: "BY", Kind: KindName, Of: OfLife, Needs: NeedLife, EventKey: "by",
			Doc:    "Who ended a TCP connection first: the process here, or the other end there.",
			Values: sideNames.names(), names: sideNames,
			row: access[Row]{
				code: func(r Row) uint8 { return uint8(r.Life.By) },
				set:  func(r Row, v *Value) { r.Life.By = Side(sideNames.number(v.Text)) },
			}},
		{Name: "errno", Title: "ERRNO", Kind: KindNumber, Of: OfLife, Needs: NeedLife, EventKey: "errno",
			Doc: "The kernel's error number. Absent for none.",
			row: access[Row]{
				num: func(r Row) (uint64, bool) { return uint64(r.Life.Errno), r.Life.Errno != 0 },
				set: func(r Row, v *Value) { r.Life.Errno = uint32(v.Num) },
			}},
		{Name: "duration", Title: "DURATION", Unit: "microseconds", Kind: KindDuration, Of: OfLife, Needs: NeedLife, EventKey: "duration",
			Doc: "How long an ended session lasted, or the attempt to connect took. Less than the whole where it stood before.",
			row: access[Row]{
				num: func(r Row) (uint64, bool) { return uint64(max(r.Life.Duration, 0)), r.Life.Ended() },
				set: func(r Row, v *Value) { r.Life.Duration = time.Duration(v.Num) },
			}},
		{Name: "stood_before", Title: "STOOD-BEFORE", Kind: KindBool, Of: OfLife, Needs: NeedLife, EventKey: "stood_before",
			Doc: "The session stood before it was followed. Absent otherwise.",
			row: access[Row]{
				num: func(r Row) (uint64, bool) { return flag(r.Life.StoodBefore), r.Life.StoodBefore },
				set: func(r Row, v *Value) { r.Life.StoodBefore = v.Num != 0 },
			}},
		{Name: "first_seen", Title: "FIRST-SEEN", Kind: KindInstant, Of: OfLife, Needs: NeedLife,
			Doc: "When the session was first seen: as it opened, or where it stood before, as somebody began to follow it. Answers about the past have it.",
			row: timeAt(func(r Row) *time.Time { return &r.Life.FirstSeen })},
		{Name: "host", Title: "HOST", Kind: KindText, Of: OfLife, Needs: NeedLife, EventKey: "host",
			Doc: "Name of the host of the session. Answers about the past have it, and what an agent exports.",
			row: textAt(func(r Row) *string { return &r.Life.Host })},
		{Name: "datagrams_sent", Title: "DGRAMS-SENT", Unit: "datagrams", Kind: KindNumber, Of: OfLife, Needs: NeedLife, EventKey: "sent.datagrams",
			Doc: "Datagrams that left in a UDP flow: one for several calls that a cork holds together, several for one call with UDP_SEGMENT.",
			row: datagramsAt(func(l *Lifetime) *uint64 { return &l.Sent.Datagrams })},
		{Name: "datagrams_received", Title: "DGRAMS-RECEIVED", Unit: "datagrams", Kind: KindNumber, Of: OfLife, Needs: NeedLife, EventKey: "received.datagrams",
			Doc: "Datagrams received in a UDP flow, each of those that UDP_GRO hands over together.",
			row: datagramsAt(func(l *Lifetime) *uint64 { return &l.Received.Datagrams })},
	}
}

// datagramsAt makes the access to a count of datagrams, which UDP alone has.
func datagramsAt(at func(*Lifetime) *uint64) access[Row] {
	return access[Row]{
		num: func(r Row) (uint64, bool) {
			if !r.Life.Counted || !r.Session.Proto.IsDatagram() {
				return 0, false
			}
			return *at(r.Life), true
		},
		set: func(r Row, v *Value) { *at(r.Life), r.Life.Counted = v.Num, true },
	}
}

func eventFields() []*Field {
	return []*Field{
		{Name: "time", Title: "TIME", Kind: KindInstant, Of: OfEvent, Needs: NeedEvent, EventKey: "time",
			Doc: "When it happened, by the wall clock.",
			row: timeAt(func(r Row) *time.Time { return &r.Event.Time })},
		{Name: "event", Title: "EVENT", Kind: KindName, Of: OfEvent, Needs: NeedEvent, EventKey: "event",
			Doc: "The kind of event: standing (it was there when the watch began), open, close, fail (a failed connect), " +
				"listen, unlisten, bind (of UDP), owned (its owners are others now), lost (of events).",
			Values: eventNames.names(), names: eventNames,
			row: access[Row]{
				code: func(r Row) uint8 { return uint8(r.Event.Kind) },
				set:  func(r Row, v *Value) { r.Event.Kind = EventKind(eventNames.number(v.Text)) },
			}},
		{Name: "lost", Title: "LOST", Kind: KindNumber, Of: OfEvent, Needs: NeedEvent, EventKey: "lost",
			Doc: "How many events were lost.",
			row: knownAt(func(r Row) *uint64 { return &r.Event.Lost })},
		{Name: "cause", Title: "CAUSE", Kind: KindName, Of: OfEvent, Needs: NeedEvent, EventKey: "cause",
			Doc:    "Why they were lost: lost on the way, or limit where there was no room.",
			Values: causeNames.names(), names: causeNames,
			row: access[Row]{
				code: func(r Row) uint8 { return uint8(r.Event.Cause) },
				set:  func(r Row, v *Value) { r.Event.Cause = Cause(causeNames.number(v.Text)) },
			}},
		{Name: "why", Title: "WHY", Kind: KindText, Of: OfEvent, Needs: NeedEvent, EventKey: "why",
			Doc: "Where they were lost.",
			row: textAt(func(r Row) *string { return &r.Event.Why })},
		{Name: "seq", Title: "SEQ", Kind: KindNumber, Of: OfEvent, Needs: NeedEvent, EventKey: "seq",
			Doc: "Number of the event in the stream of an agent, from which a reader goes on after it left. Absent in other streams.",
			row: knownAt(func(r Row) *uint64 { return &r.Event.Seq })},
	}
}
