package ledger

import (
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
)

// TestUnknown: what neither a record nor a snapshot tells of a session is not
// told of it, and a snapshot that knows less takes nothing away.
func TestUnknown(t *testing.T) {
	var events []whose.Facts
	b := newBench(t, Want{})
	b.g = New(1000, NewNames(nil, 0), ofAll(Want{}), asEvents(func(e *whose.Event) { events = append(events, e.Session.Unknown) }))
	b.g.Began = began * 1e6
	unknown := func(cookie uint64) (whose.Facts, uint32) {
		for _, s := range b.g.Ask(nil, filter.Env{}, 0).AppendAll(nil) {
			if s.Cookie == cookie {
				return s.Unknown, s.SendQueue
			}
		}
		t.Fatalf("no session %d", cookie)
		return 0, 0
	}
	const queues = whose.FactRecvQueue | whose.FactSendQueue

	l := record(tcpListen, 1, 1, bound("0.0.0.0:80"))
	l.Backlog = 511
	b.apply(l, record(tcpOpen, 2, 2, out, opened(1), by("curl", 7)))
	if u, limit := unknown(1); u != whose.FactRecvQueue || limit != 511 {
		t.Errorf("of a listener: %b unknown, limit %d", u, limit)
	}
	if u, _ := unknown(2); u != queues {
		t.Errorf("of a connection: %b unknown, want its queues", u)
	}

	less := stood(1, whose.Listen) // as procfs sees it
	less.Unknown, less.SendQueue = whose.FactSendQueue|whose.FactV6Only, 0
	b.pass(10, false, less, stood(2, whose.Established, owner("curl", 7)))
	if u, limit := unknown(1); u != 0 || limit != 511 {
		t.Errorf("of a listener after a snapshot: %b unknown, limit %d", u, limit)
	}
	if u, _ := unknown(2); u != 0 {
		t.Errorf("of a connection after a snapshot: %b unknown", u)
	}

	b.apply(record(tcpClose, 11, 2, out, from(whose.LastAck)))
	b.settle(12)
	for i, want := range []whose.Facts{whose.FactRecvQueue, queues, queues} {
		if i >= len(events) || events[i] != want {
			t.Fatalf("events without %b, want %b of number %d", events, want, i)
		}
	}
}
