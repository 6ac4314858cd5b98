package store

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/history"
	"github.com/seed-44df2ae6/whose/internal/tally"
)

// rollFilters are filters that a roll-up knows, all or in part, or not at all.
var rollFilters = []string{
	"", "nginx", "not nginx", "udp or listen", "direction out", "direction in", "remote 10.0.0.1", "remote 10.0.0.0/30 and not sshd", "end refused",
	"netns shop", "user root and unit x.service", "comm ~ '^s' or remote 2000::1", "direction out and rport 443", "direction in and lport 80,5432",
	"state listen", "errno 111 or by there", "reason orphan", "stood_before", "exe /usr/bin/x and owner_user www", ":443", "bytes_sent > 500k", "pid 101",
	"container a or pod b", "tcp and not remote 10.0.0.9",
}

var (
	rollBy = []string{
		"comm", "comm,remote_addr", "remote_addr", "proto,family,state", "direction,reason", "end,by,errno", "unit,owner_user,exe", "netns,netns_name,user,uid",
		"host,stood_before", "remote_addr,remote_port", "local_port,comm", "container,container_name,image,pod,pod_name,pod_namespace", "peer_comm", "local_addr",
		"socket_unit,socket_container",
	}
	rollSum = []string{"", "bytes_sent", "bytes_received,bytes_sent", "datagrams_sent,datagrams_received", "retrans", "duration"}
	rollPer = []time.Duration{0, 0, time.Minute, 7 * time.Minute, time.Hour, time.Hour, 24 * time.Hour, 90 * time.Second, 1500 * time.Millisecond}
)

func fieldsOf(t *testing.T, names string) []*whose.Field {
	t.Helper()
	var all []*whose.Field
	for _, name := range strings.Split(names, ",") {
		if name == "" {
			continue
		}
		f := whose.FieldByName(name)
		if f == nil {
			t.Fatalf("no field %s", name)
		}
		all = append(all, f)
	}
	return all
}

// A counting is a question of the property test.
type counting struct {
	history.Query
	by, sums []*whose.Field
	per      time.Duration
	text     string
}

// question makes a count by chance, of a time between two.
func (m *maker) question(t *testing.T, from, to time.Time) *counting {
	c := &counting{per: rollPer[m.IntN(len(rollPer))]}
	step := []time.Duration{time.Hour, time.Minute, time.Minute, time.Microsecond}[m.IntN(4)]
	c.From = from.Add(time.Duration(m.Int64N(int64(to.Sub(from))))).Truncate(step)
	c.To = to
	if m.IntN(3) > 0 {
		c.To = c.From.Add(step + time.Duration(m.ExpFloat64()*float64(to.Sub(from)/4))).Truncate(step)
	}
	if c.per > 0 && c.To.Sub(c.From)/c.per > 5000 {
		c.per = time.Hour
	}
	filter, by, sum := rollFilters[m.IntN(len(rollFilters))], rollBy[m.IntN(len(rollBy))], rollSum[m.IntN(len(rollSum))]
	c.Filter, c.Env.Now = parsed(t, filter), to
	c.by, c.sums = fieldsOf(t, by), fieldsOf(t, sum)
	c.text = filter + " by " + by + " sum " + sum + " from " + c.From.Format(time.RFC3339Nano) + " to " + c.To.Format(time.RFC3339Nano) + " per " + c.per.String()
	if m.IntN(4) == 0 {
		c.NetNS = func(inode uint32, _ string) bool { return inode == 7 }
		c.text += " netns 7"
	}
	if m.IntN(5) == 0 {
		c.States = whose.SetOf(whose.Established)
		c.text += " established"
	}
	return c
}

// both answers a count from the sessions, and from the roll-ups.
func (r *rig) both(c *counting) (plain, rolled *tally.Count, before, after whose.Coverage) {
	r.t.Helper()
	reader := r.reader()
	steps := tally.NewSteps(c.by, c.sums, c.From, c.To, c.per)
	before, err := reader.Sessions(r.t.Context(), &c.Query, func(s *whose.Session) bool { steps.Add(s); return true })
	if err != nil {
		r.t.Fatal(err)
	}
	plain = steps.Count(0)
	steps = tally.NewSteps(c.by, c.sums, c.From, c.To, c.per)
	after, err = reader.Groups(r.t.Context(), &c.Query, &history.Grouping{Fields: slices.Concat(c.by, c.sums), Per: c.per}, steps.AddMany)
	if err != nil {
		r.t.Fatal(err)
	}
	return plain, steps.Count(0), before, after
}

// rowsText writes the groups of a count, one a line.
func rowsText(c *tally.Count) string {
	var b strings.Builder
	for _, row := range c.Rows {
		for _, v := range row.Values {
			fmt.Fprintf(&b, "%q ", v.Append(nil))
		}
		fmt.Fprintln(&b, row.Count, row.Sums)
	}
	return b.String()
}

// agree holds the answers to some counts against each other.
func (r *rig) agree(m *maker, n int, to time.Time) {
	r.t.Helper()
	for range n {
		c := m.question(r.t, noon.Add(-time.Hour), to)
		plain, rolled, before, after := r.both(c)
		if plain.Total != rolled.Total || !slices.Equal(plain.Sums, rolled.Sums) || rowsText(plain) != rowsText(rolled) {
			r.t.Fatalf("%s: the roll-up counts %d, %v, the sessions %d, %v (-sessions +roll-up):\n%s", c.text, rolled.Total, rolled.Sums, plain.Total, plain.Sums,
				gocmp.Diff(strings.Split(rowsText(plain), "\n"), strings.Split(rowsText(rolled), "\n")))
		}
		before.Duration, after.Duration = 0, 0
		if diff := differ([]whose.Coverage{before}, []whose.Coverage{after}); diff != "" {
			r.t.Fatalf("%s: the coverage differs (-sessions +roll-up):\n%s", c.text, diff)
		}
	}
}

// rolledEntries returns the number of sessions in pages, by their own count.
func (r *rig) rolledEntries() (n int64) {
	r.t.Helper()
	reader := r.reader()
	names, err := reader.dir.rollups()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, name := range names {
		p, err := reader.openRollup(r.t.Context(), name)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, page := range p.pages {
			n += page.n
		}
		p.close()
	}
	return n
}

// TestRollup holds counts from the roll-up against counts from the sessions, over
// random histories and random questions.
func TestRollup(t *testing.T) {
	for seed := range uint64(2) {
		r, m := newRig(t, Options{}), newMaker(100+seed)
		r.play(m, 2500)
		if n := r.rolledEntries(); n < 1000 {
			t.Fatalf("%d sessions are rolled up: the test tries nothing", n)
		}
		r.agree(m, 100, r.now)
	}
}

// TestRollupKill kills the writer at moments by chance, some of them in the middle of
// a roll-up, restarts the host, sets the clock and turns files. Each time the roll-up
// and the sessions agree.
func TestRollupKill(t *testing.T) {
	r, m := newRig(t, Options{}), newMaker(200)
	kills, latest := 0, noon
	for i := range 120 {
		for range 1 + m.IntN(60) {
			for _, e := range m.life(r.now.Add(-time.Second), r.now) {
				e.Time = r.now
				if !e.Opened.IsZero() {
					e.Opened = r.now.Add(-time.Duration(m.ExpFloat64() * float64(20*time.Minute)))
				}
				if e.Kind.Ends() {
					e.Closed, e.Duration = r.now, r.now.Sub(e.Opened)
				}
				if e.Kind.Ends() && m.IntN(20) == 0 {
					continue // nobody sees it
				}
				r.add(e)
			}
			r.now, r.boot = r.now.Add(time.Millisecond), r.boot+time.Millisecond
		}
		r.pass([]time.Duration{time.Second, 5 * time.Minute, 20 * time.Minute, time.Hour}[m.IntN(4)])
		latest = maxTime(latest, r.now)
		switch m.IntN(6) {
		case 0, 1:
			kills++
			r.killed(m)
			if m.IntN(3) == 0 {
				r.opts.Boot += "x"
			}
			r.now = r.now.Add(20 * time.Second)
			r.boot += 20 * time.Second
			r.start()
			r.w.Reconcile(func(func(whose.Session) bool) {})
			r.pass(time.Second)
		case 2:
			if i%4 == 0 { // the clock is set
				r.now = r.now.Add(time.Duration(m.IntN(7200)-3600) * time.Second)
				r.pass(time.Second)
			}
		}
		if i%20 == 19 {
			r.agree(m, 15, latest)
		}
	}
	if n := r.rolledEntries(); kills < 20 || n < 1000 {
		t.Fatalf("%d kills, %d sessions rolled up: the test tries nothing", kills, n)
	}
	if _, faults, err := Verify(t.Context(), r.opts.Dir); err != nil || len(faults) > 0 {
		t.Errorf("verify: %v, %v", faults, err)
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// killed kills the writer, sometimes with a roll-up of which some is on disk: its file
// empty, cut short, or from before the last chunk.
func (r *rig) killed(m *maker) {
	name := r.w.file.name
	r.kill()
	path := (dir{r.opts.Dir}).joinRollup(name)
	text, err := os.ReadFile(path)
	if err != nil {
		return // it has none yet
	}
	switch m.IntN(5) {
	case 0:
		text = nil
	case 1:
		text = text[:len(text)/2]
	case 2:
		if err := (dir{r.opts.Dir}).removeRollup(name); err != nil {
			r.t.Fatal(err)
		}
		return
	default:
		return
	}
	for _, suffix := range besides {
		_ = os.Remove(path + suffix)
	}
	if err := os.WriteFile(path, text, fileMode); err != nil {
		r.t.Fatal(err)
	}
}

// TestRollupOutlives: the counts stay when the sessions are removed, and the answer
// says what they do not know.
func TestRollupOutlives(t *testing.T) {
	r, m := newRig(t, Options{Days: 3, RollupDays: 6}), newMaker(300)
	var all []*counting
	for range 5 {
		r.play(m, 400)
	}
	hour := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Hour) }
	for i := range 60 {
		c := m.question(t, noon, hour(24))
		c.From, c.To = c.From.Truncate(time.Minute), hour(20+i%20)
		all = append(all, c)
	}
	full := newRig(t, Options{Days: 100})
	for _, e := range r.events {
		full.now = maxTime(full.now, e.Time)
		full.add(e)
		if full.now.Sub(full.w.lastTry) > 10*time.Minute {
			full.pass(0)
		}
	}
	full.now = r.now
	full.pass(time.Second)
	r.pass(2 * time.Hour) // the calm after the start is over
	names, err := dir{r.opts.Dir}.list()
	if err != nil || names[0].day.Equal(dayOf(noon)) {
		t.Fatalf("files %v, %v: the first is to be removed", names, err)
	}
	known, unknown := 0, 0
	for _, c := range all {
		want, _, _, _ := full.both(c)
		_, got, _, cov := r.both(c)
		gap := slices.ContainsFunc(cov.Gaps, func(g whose.Gap) bool { return strings.Contains(g.Detail, "only the roll-up") })
		if gap {
			unknown++
			continue
		}
		known++
		if want.Total != got.Total || !slices.Equal(want.Sums, got.Sums) || rowsText(want) != rowsText(got) {
			t.Errorf("%s: %d, want %d, and no gap says why: %v", c.text, got.Total, want.Total, cov.Gaps)
		}
	}
	if known < 15 || unknown < 5 {
		t.Errorf("%d answers known and %d not: the test tries nothing", known, unknown)
	}
	r.pass(4 * 24 * time.Hour)
	if left, _ := (dir{r.opts.Dir}).rollups(); len(left) > 5 || slices.Contains(left, names[0]) && left[0].day.Equal(dayOf(noon)) {
		t.Errorf("roll-ups %v: those of more than six days are to be removed", left)
	}
}

// TestRollupBroken: a roll-up that cannot be read leaves the answer to the sessions.
func TestRollupBroken(t *testing.T) {
	r, m := newRig(t, Options{}), newMaker(400)
	r.play(m, 1500)
	r.stop()
	names, err := dir{r.opts.Dir}.rollups()
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		path := dir{r.opts.Dir}.joinRollup(name)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := 2 * 8192; i < len(text); i += 7 {
			text[i] ^= 0x5a
		}
		if err := os.WriteFile(path, text, fileMode); err != nil {
			t.Fatal(err)
		}
	}
	if _, faults, err := Verify(t.Context(), r.opts.Dir); err != nil || len(faults) != len(names) {
		t.Errorf("verify: %v, %v", faults, err)
	}
	r.start()
	for range 30 {
		r.agree(m, 1, r.now)
	}
}

// TestRollupFolded: a minute with more remote hosts than it has room for loses no
// session. The sessions answer while they are there, and the roll-up says what it
// lacks afterwards.
func TestRollupFolded(t *testing.T) {
	r, m := newRig(t, Options{Days: 1}), newMaker(500)
	n := 3*rollRows + 500
	for i := range n {
		s := m.session()
		s.Proto, s.State, s.Direction = whose.TCP, whose.Established, whose.Out
		s.Remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 443)
		s.Local = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), uint16(i))
		s.Owners = m.procs[i%2]
		r.add(whose.Event{Time: r.now, Kind: whose.EventClose, Session: s, Lifetime: whose.Lifetime{
			Closed: r.now, Opened: r.now, Counted: true, Sent: whose.Traffic{Bytes: 1}, End: whose.EndOrderly}})
		if i%1000 == 0 {
			r.pass(0)
		}
	}
	r.pass(2 * time.Hour)
	r.pass(2 * time.Hour)
	ask := func(by string) (*tally.Count, whose.Coverage) {
		c := &counting{Query: history.Query{From: noon, To: noon.Add(time.Hour)}, by: fieldsOf(t, by), sums: fieldsOf(t, "bytes_sent")}
		_, got, _, cov := r.both(c)
		if got.Total != n || got.Sums[0] != uint64(n) {
			t.Errorf("by %s: %d sessions of %d bytes, want %d", by, got.Total, got.Sums[0], n)
		}
		return got, cov
	}
	if got, _ := ask("remote_addr"); len(got.Rows) != n {
		t.Errorf("%d remote hosts, want %d", len(got.Rows), n)
	}
	for range 5 {
		r.pass(24 * time.Hour)
	}
	got, cov := ask("remote_addr")
	folded := n - rollRows
	if len(got.Rows) != rollRows+1 || got.Rows[0].Count != folded || cov.Gaps.Count(whose.GapSessions) != folded {
		t.Errorf("%d remote hosts, the largest %v, gaps %v: want %d sessions without one", len(got.Rows), got.Rows[0], cov.Gaps, folded)
	}
	if _, cov := ask("proto"); cov.Gaps.Count(whose.GapSessions) != 0 {
		t.Errorf("gaps %v: the protocol of all is known", cov.Gaps)
	}
}

// FuzzPage reads any text as a page.
func FuzzPage(f *testing.F) {
	b := newRollBuilder()
	k := rollKey{shape: shapeOf(&entry{facts: facts{kind: closed, state: whose.Established, family: whose.IPv4, proto: whose.UDP, flags: counted | knownOpen}}), port: 53, far: true}
	for i := range int64(3) {
		at := b.row(rollRow{addr: b.addrs.number(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})) + 1, minute: i, lag: i}, k)
		b.sums[at].add(&rollSums{n: 2, sent: whose.Traffic{Bytes: 9, Datagrams: 1}})
	}
	for _, page := range b.pages {
		head, data := b.pageText(page.rows)
		f.Add(head, data)
	}
	f.Fuzz(func(t *testing.T, head, data []byte) {
		var v pageView
		if v.head(head) != nil || v.rows(data) != nil {
			return
		}
		_ = v.each(func(r *pageRow) {
			if int(r.addr) >= len(v.addrs) || int(r.key) >= len(v.keys) {
				t.Fatal("a row beyond the tables")
			}
		})
	})
}
