package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
)

// TestTally counts sessions with several owners: once for each that differs in
// what is counted by.
func TestTally(t *testing.T) {
	nginx := func(pid uint32) whose.Owner { return whose.Owner{Process: &whose.Process{PID: pid, Comm: "nginx"}} }
	app := whose.Owner{Process: &whose.Process{PID: 5, Comm: "app"}}
	sessions := []whose.Session{
		{State: whose.Listen, Owners: []whose.Owner{nginx(1), nginx(2), app}},
		{State: whose.Established, Owners: []whose.Owner{nginx(2)}, Peer: []whose.Owner{app, nginx(1)}},
		{State: whose.TimeWait},
	}
	for _, test := range []struct {
		by   string
		want string
	}{
		{"state", "ESTABLISHED 1, LISTEN 1, TIME_WAIT 1"},
		{"comm", "nginx 2, app 1, - 1"},
		{"pid", "2 2, 1 1, 5 1, - 1"},
		{"comm,state", "app LISTEN 1, nginx ESTABLISHED 1, nginx LISTEN 1, - TIME_WAIT 1"},
		{"comm,peer_comm", "app - 1, nginx app 1, nginx nginx 1, nginx - 1, - - 1"},
	} {
		var fields []*whose.Field
		for name := range strings.SplitSeq(test.by, ",") {
			fields = append(fields, whose.FieldByName(name))
		}
		tally := newTally(fields)
		for i := range sessions {
			tally.add(&sessions[i])
		}
		var rows []string
		for _, row := range tally.sorted() {
			var cells []string
			for _, v := range row.Values {
				cells = append(cells, cmpOr(string(v.Append(nil)), "-"))
			}
			rows = append(rows, fmt.Sprint(strings.Join(cells, " "), " ", row.Count))
		}
		if diff := cmp.Diff(test.want, strings.Join(rows, ", ")); diff != "" {
			t.Errorf("by %s (-want +got):\n%s", test.by, diff)
		}
		if tally.total != len(sessions) {
			t.Errorf("by %s: total %d, want %d", test.by, tally.total, len(sessions))
		}
	}
}

func cmpOr(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// TestTally_NoAllocs counts a session of a known group without allocating.
func TestTally_NoAllocs(t *testing.T) {
	s := whose.Session{State: whose.Established, Owners: []whose.Owner{
		{Process: &whose.Process{PID: 1, Comm: "a"}}, {Process: &whose.Process{PID: 2, Comm: "b"}},
	}}
	tally := newTally([]*whose.Field{whose.FieldByName("comm"), whose.FieldByName("state")})
	tally.add(&s)
	if n := testing.AllocsPerRun(100, func() { tally.add(&s) }); n != 0 {
		t.Errorf("%v allocations a session, want 0", n)
	}
}

// TestKeys_Differ: values that read the same side by side are not the same group.
func TestKeys_Differ(t *testing.T) {
	text := func(s string) whose.Value { return whose.Value{Kind: whose.KindText, Text: s} }
	a := appendKey(appendKey(nil, text("ab")), text("c"))
	b := appendKey(appendKey(nil, text("a")), text("bc"))
	if bytes.Equal(a, b) {
		t.Errorf("ab|c and a|bc have the same key %q", a)
	}
}
