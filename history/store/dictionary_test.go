package store

import (
	"strconv"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/history"
)

// TestReference reads few names of many where few are asked for, and all where many
// are. A session has the right one either way.
func TestReference(t *testing.T) {
	r, m := newRig(t, Options{}), newMaker(13)
	const programs = 800
	for i := range programs {
		s := m.session()
		s.Owners, s.Reason, s.Peer = []whose.Owner{{Process: &whose.Process{PID: uint32(i + 1), Comm: "program " + strconv.Itoa(i)}}}, 0, nil
		r.add(whose.Event{Time: r.now, Kind: whose.EventClose, Session: s, Lifetime: whose.Lifetime{Closed: r.now, Opened: r.now}})
	}
	r.pass(time.Second)
	parts, err := r.reader().parts(t.Context(), micros(noon), micros(r.now), &whose.Gaps{})
	if err != nil || len(parts) != 1 {
		t.Fatal(parts, err)
	}
	defer closeParts(parts)
	ref := parts[0].ref
	const few = 10
	for id := range uint64(few) {
		ref.prog(id + 1)
	}
	if len(ref.progs) != few || ref.whole {
		t.Errorf("%d names are read for %d", len(ref.progs), few)
	}
	for id := range uint64(programs / readOne) {
		ref.prog(id + 1)
	}
	if ref.prog(programs); len(ref.progs) != programs || !ref.whole || ref.err != nil {
		t.Errorf("%d names are read, %v, want all %d", len(ref.progs), ref.err, programs)
	}
	got, _ := r.sessions(history.Query{From: noon, To: r.now.Add(time.Second)})
	for _, s := range got {
		if want := "program " + strconv.Itoa(int(s.Owners[0].PID)-1); s.Owners[0].Comm != want {
			t.Fatalf("process %d is %q, want %q", s.Owners[0].PID, s.Owners[0].Comm, want)
		}
	}
	if len(got) != programs {
		t.Errorf("%d sessions, want %d", len(got), programs)
	}
}
