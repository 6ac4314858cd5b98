package track

import (
	"context"
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
)

// TestFlow has the events of both ends of a connection, the live table and the
// listing say the same flow id: of one that stood before, of one that opened under
// the eyes of the programs, and at the end of both.
func TestFlow(t *testing.T) {
	tr, ns := live(t, SourceBPF, Options{Needs: whose.NeedDefault | whose.NeedFlow})
	client, server, l := tcpPair(t, ns, "tcp4", "127.0.0.1:0")
	defer l.Close()
	to := l.Addr().String()
	opened := until(t, tr, "open out tcp "+client.LocalAddr().String(), "open in tcp "+to+">"+client.LocalAddr().String())
	id := opened[0].Session.Flow
	if id == 0 || opened[1].Session.Flow != id {
		t.Fatalf("flow id %x at the client and %x at the server", id, opened[1].Session.Flow)
	}
	ends := func(what string, sessions []whose.Session) {
		n := 0
		for _, s := range sessions {
			if s.NetNS != ns.Inode() || s.Remote.Port() == 0 {
				continue
			}
			if n++; s.Flow != id {
				t.Errorf("%s: %v to %v has the flow id %x, want %x", what, s.Local, s.Remote, s.Flow, id)
			}
		}
		if n != 2 {
			t.Errorf("%s: %d ends, want 2", what, n)
		}
	}
	ends("live table", liveSessions(t, tr))
	c := collect.Open()
	defer c.Close()
	answer, err := c.Collect(context.Background(), &collect.Options{Source: collect.BPF, Needs: whose.NeedFlow})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Close()
	ends("listing", answer.Append(nil))

	later, err := Start(context.Background(), &Options{Source: SourceBPF, Needs: whose.NeedDefault | whose.NeedFlow})
	if err != nil {
		t.Fatal(err)
	}
	defer later.Close()
	ends("live table that begins later", liveSessions(t, later))
	client.Close()
	server.Close()
	for _, tr := range []*Tracker{tr, later} {
		for _, e := range until(t, tr, "close out tcp "+client.LocalAddr().String(), "close in tcp "+to+">"+client.LocalAddr().String()) {
			if e.Session.Flow != id {
				t.Errorf("close of %v has the flow id %x, want %x", e.Session.Local, e.Session.Flow, id)
			}
		}
	}
}

func liveSessions(t *testing.T, tr *Tracker) (all []whose.Session) {
	t.Helper()
	for s := range tr.Sessions(nil) {
		all = append(all, s)
	}
	return all
}
