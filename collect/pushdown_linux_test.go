package collect_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/collect/collecttest"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// What a filter leaves has to be what meets it in the whole answer, however
// much of it a source applied: shown for random expressions over the values
// that the sessions of a host really have.

// allNeeds asks for every fact.
const allNeeds = whose.NeedDefault | whose.NeedCmdline | whose.NeedExe | whose.NeedCreds | whose.NeedCgroup | whose.NeedTCPInfo

func TestPushdown_CapturedHosts(t *testing.T) {
	archives, err := filepath.Glob("collecttest/testdata/hosts/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("captured hosts: %v, %v", archives, err)
	}
	for _, archive := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(archive), ".txtar"), func(t *testing.T) {
			h := host{c: opened(t), opts: collect.Options{Proc: collecttest.Unpack(t, archive), CapturedProc: true}}
			h.compare(t, 250)
		})
	}
}

func TestPushdown_Live(t *testing.T) {
	ns := testenv.NewNetNS(t)
	send(t, ns, nil, errand{Hold: 40, Queue: 2, Name: "one", Heirs: []string{"two", "three"}})
	send(t, ns, nil, errand{Hold: 10, Name: "two"})
	netns := fmt.Sprint(ns.Inode())
	for name, opts := range ways(t) {
		t.Run(name, func(t *testing.T) {
			opts.NetNS = netns
			h := host{c: opened(t), opts: opts}
			h.compare(t, 150)
		})
	}
}

// A host is what is asked, with the options that each question has.
type host struct {
	c    *collect.Collector
	opts collect.Options
	env  filter.Env
	// whole is the answer without a filter.
	whole []whose.Session
}

// compare asks n random questions.
func (h *host) compare(t *testing.T, n int) {
	h.opts.States, h.opts.Needs = whose.AllStates, allNeeds
	h.env = filter.Env{SelfNetNS: selfNetNS(t, h.opts.Proc), Now: time.Now()}
	h.whole = gather(t, h.c, h.opts)
	if len(h.whole) < 5 {
		t.Fatalf("%d sessions: too few to tell anything", len(h.whole))
	}
	r := rand.New(rand.NewPCG(11, uint64(len(h.whole))))
	some := 0
	for range n {
		text := h.expression(r, r.IntN(3))
		expr, err := filter.Parse(text)
		if err != nil {
			t.Fatalf("the test makes what is no filter: %v", err)
		}
		left := h.ask(t, text, expr, r.IntN(2) == 0)
		if left > 0 && left < len(h.whole) {
			some++
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d sessions; %d of %d filters left some and not all", len(h.whole), some, n)
	if some < n/4 {
		t.Errorf("only %d of %d filters left some and not all: they show little", some, n)
	}
}

// ask asks one question and returns how many sessions were left. With peers
// every process has to be looked into; without, a question about certain
// processes is allowed to see no others.
func (h *host) ask(t *testing.T, text string, expr filter.Expr, peers bool) int {
	t.Helper()
	opts := h.opts
	opts.Filter = expr
	if !peers {
		opts.Needs &^= whose.NeedPeer
	}
	plan := filter.Split(expr, h.env)
	peers = peers || filter.Needs(expr).Has(whose.NeedPeer)
	narrow := !peers && (plan.Process != nil || len(plan.PIDs) > 0)
	matcher := filter.Compile(expr, h.env)
	want := make(map[string]*whose.Session)
	for i := range h.whole {
		if s := &h.whole[i]; matcher.Match(s) {
			want[bareRow(s)] = s
		}
	}
	got := gather(t, h.c, opts)
	if len(got) != len(want) {
		t.Errorf("%s\nleaves %d sessions, %d meet it (peers %v, narrow %v)", text, len(got), len(want), peers, narrow)
	}
	for i := range got {
		if t.Failed() {
			return 0 // one wrong session says it all
		}
		s := want[bareRow(&got[i])]
		delete(want, bareRow(&got[i]))
		switch {
		case s == nil:
			t.Errorf("%s\nleaves what does not meet it, or is not so: %s", text, rowOf(&got[i]))
		case narrow:
			h.wantSome(t, text, &plan, got[i].Owners, s.Owners)
		case ownersRow(&got[i], peers) != ownersRow(s, peers):
			t.Errorf("%s\nleaves %s\nwant   %s", text, rowOf(&got[i]), rowOf(s))
		}
	}
	for row := range want {
		t.Errorf("%s\nloses %s", text, row)
		break
	}
	return len(got)
}

// wantSome checks the owners of a session where the question is about certain
// processes: those of them that the session has, and beside them at most
// others that really hold it.
func (h *host) wantSome(t *testing.T, text string, plan *filter.Plan, got, whole []whose.Owner) {
	t.Helper()
	same := func(a whose.Owner) func(whose.Owner) bool {
		return func(b whose.Owner) bool { return a.PID == b.PID && slices.Equal(a.FDs, b.FDs) }
	}
	for _, o := range got {
		if !slices.ContainsFunc(whole, same(o)) {
			t.Errorf("%s\nnames %d %v, who does not hold it", text, o.PID, o.FDs)
		}
		if len(plan.PIDs) > 0 && !slices.Contains(plan.PIDs, o.PID) {
			t.Errorf("%s\nnames %d, who was not asked for", text, o.PID)
		}
	}
	for _, o := range whole {
		if plan.Process(o.PID, o.Comm) && !slices.ContainsFunc(got, same(o)) {
			t.Errorf("%s\ndoes not name %d %v", text, o.PID, o.FDs)
		}
	}
}

// passing are the fields with values that may be others at the next look.
var passing = []string{"idle", "age", "timer", "timer_left", "timer_retrans", "cwnd"}

// bareRow writes what is a session's own, and stays.
func bareRow(s *whose.Session) string {
	bare := *s
	bare.Owners, bare.Peer = nil, nil
	if s.TCP != nil {
		lasting := *s.TCP
		lasting.Idle, lasting.HasIdle, lasting.Timer, lasting.Cwnd = 0, false, whose.Timer{}, 0
		bare.TCP = &lasting
	}
	if s.Inode == 0 || len(s.Owners) == 0 {
		bare.Cookie = 0 // of these bpf knows it once anybody on the host has asked
	}
	return rowOf(&bare)
}

func ownersRow(s *whose.Session, peers bool) string {
	row := appendOwners(nil, " owner", s.Owners)
	if peers {
		row = appendOwners(row, " peer", s.Peer)
	}
	return string(row)
}

// expression makes the text of a filter, of conditions on values of the host.
func (h *host) expression(r *rand.Rand, depth int) string {
	if depth == 0 {
		return h.condition(r)
	}
	terms := make([]string, 1+r.IntN(3))
	for i := range terms {
		terms[i] = h.expression(r, depth-1)
	}
	text := "(" + strings.Join(terms, []string{" and ", " or ", " or "}[r.IntN(3)]) + ")"
	if r.IntN(5) == 0 {
		text = "not " + text
	}
	return text
}

// condition makes a condition on a random field with values that it has, or
// nearly.
func (h *host) condition(r *rand.Rand) string {
	pushed := []string{"port", "addr", "local_port", "remote_port", "local_addr", "remote_addr", "state", "proto", "family",
		"netns", "pid", "pid", "comm"}
	fields := whose.Fields()
	for {
		name := pushed[r.IntN(len(pushed))]
		if r.IntN(3) == 0 {
			name = fields[r.IntN(len(fields))].Name
		}
		if slices.Contains(passing, name) {
			continue
		}
		v := h.value(r, name)
		if v.IsZero() {
			continue
		}
		values := []string{spell(r, name, v)}
		for r.IntN(4) == 0 {
			if more := h.value(r, name); !more.IsZero() {
				values = append(values, spell(r, name, more))
			}
		}
		ordered := v.Kind == whose.KindPort || v.Kind == whose.KindNumber && name != "netns" || v.Kind == whose.KindBytes
		if ordered && r.IntN(4) == 0 && !strings.Contains(values[0], "-") {
			return fmt.Sprintf("%s %s %s", name, []string{"<", "<=", ">", ">="}[r.IntN(4)], values[0])
		}
		return fmt.Sprintf("%s %s (%s)", name, []string{"in", "in", "in", "not in"}[r.IntN(4)], strings.Join(values, ", "))
	}
}

// value returns what a random session has in the field, no value where it has
// none. Of a pair of fields it is one end's.
func (h *host) value(r *rand.Rand, name string) whose.Value {
	s := &h.whole[r.IntN(len(h.whole))]
	end := []string{"local_", "remote_"}[r.IntN(2)]
	f := whose.FieldByName(name)
	if f == nil {
		f = whose.FieldByName(end + name)
	}
	if !f.PerOwner() {
		return f.Value(s.Row())
	}
	owners := f.OwnersOf(s)
	if len(owners) == 0 {
		return whose.Value{}
	}
	v := f.OwnerValue(&owners[r.IntN(len(owners))])
	if v.Kind == whose.KindNumbers && len(v.List) == 0 {
		return whose.Value{} // who listens has no descriptor of what it has not accepted
	}
	return v
}

// spell writes a value as a filter takes it: as it is, or of some kinds a
// range, prefix or pattern around it.
func spell(r *rand.Rand, name string, v whose.Value) string {
	around := r.IntN(3) == 0
	switch v.Kind {
	case whose.KindText:
		if around {
			return `"` + escape(v.Text[:len(v.Text)/2]) + `*"`
		}
		return `"` + escape(v.Text) + `"`
	case whose.KindPort, whose.KindBytes, whose.KindNumber:
		if around && name != "netns" {
			return fmt.Sprintf("%d-%d", v.Num-min(v.Num, 1+r.Uint64N(50)), v.Num)
		}
	case whose.KindAddr:
		if around {
			p, err := v.Addr.Prefix(r.IntN(v.Addr.BitLen() + 1))
			if err == nil {
				return p.String()
			}
		}
	case whose.KindNumbers:
		return fmt.Sprint(v.List[r.IntN(len(v.List))])
	case whose.KindTime:
		return v.Time.UTC().Format("2006-01-02T15:04:05Z")
	}
	return string(v.Append(nil))
}

// escape writes text as it stands between quotes in a filter.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\x1b", `\x1b`, "*", `\*`, "?", `\?`).Replace(text)
}

// selfNetNS returns the network namespace that counts as the caller's own.
func selfNetNS(t *testing.T, root string) uint32 {
	if root != "" {
		return 0 // a captured host does not show the test
	}
	answer, err := collect.Collect(context.Background(), &collect.Options{NetNS: "self", Needs: whose.NeedSessions, States: whose.AllStates})
	if err != nil {
		t.Fatal(err)
	}
	for s := range answer.Sessions() {
		return s.NetNS
	}
	return 0
}
