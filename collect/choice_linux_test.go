package collect_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestAuto_TakesTheCheapest holds the choice of auto against the work of all sources,
// counted on five hosts and weighed by the costs of each kind of work. The host has
// other processes too, which come and go: a choice may cost a quarter more.
func TestAuto_TakesTheCheapest(t *testing.T) {
	testenv.NeedRoot(t)
	dir := pin(t, collect.PinOptions{GID: -1})
	for _, host := range []struct {
		name  string
		shape []string
	}{
		{"idle", nil},
		{"small", []string{"-sockets", "300", "-procs", "50", "-otherprocs", "100", "-otherfds", "25", "-netns", "1"}},
		{"many processes", []string{"-sockets", "200", "-procs", "10", "-otherprocs", "1200", "-otherfds", "30", "-netns", "1"}},
		{"many sockets", []string{"-sockets", "30000", "-procs", "30", "-netns", "1"}},
		{"many namespaces", []string{"-sockets", "1200", "-procs", "60", "-netns", "30"}},
	} {
		t.Run(host.name, func(t *testing.T) {
			if host.shape != nil {
				load(t, host.shape...)
			}
			// The walk of the links counts the descriptors of the host for the others.
			byLinks := workOf(t, collect.Options{Source: collect.Netlink})
			costs := map[string]time.Duration{}
			for _, source := range sources() {
				costs[source] = workOf(t, collect.Options{Source: source, PinDir: t.TempDir()}).Cost(byLinks.Links)
			}
			cheapest := min(costs[collect.BPF], costs[collect.Netlink], costs[collect.Procfs])
			took := workOf(t, collect.Options{PinDir: t.TempDir()})
			t.Logf("%v; auto takes %s", costs, took.Coverage.Source)
			if cost := costs[took.Coverage.Source]; cost > cheapest*5/4 {
				t.Errorf("auto takes %s at %v, the cheapest costs %v", took.Coverage.Source, cost, cheapest)
			}
			pinned := workOf(t, collect.Options{PinDir: dir})
			if cost, most := pinned.Cost(byLinks.Links), cheapest+costOfPin; !pinned.Coverage.Pinned || cost > most {
				t.Errorf("with a pin auto takes %s, pinned %v, at %v, want the pin at %v at most",
					pinned.Coverage.Source, pinned.Coverage.Pinned, cost, most)
			}
		})
	}
}

// TestLoadingPays holds the costs to side-by-side measurements: which of netlink
// and cold programs was faster on hosts of these sizes.
func TestLoadingPays(t *testing.T) {
	for _, h := range []struct {
		name                      string
		processes, files, sockets int
		want                      bool
	}{
		{"idle: 3.4 ms, 23.8 by programs", 80, 360, 10, false},
		{"small: 13.2, 26.3", 250, 4400, 310, false},
		{"1,000 sockets in 100 processes: 9.4, 27.0", 200, 1500, 1010, false},
		{"10,000 in 500: 41.4, 40.2", 600, 12_500, 10_010, true},
		{"5,000 processes with 50 descriptors: 437, 90", 5100, 251_000, 1000, true},
		{"100,000 in 1,000: 281, 133", 1100, 102_000, 100_000, true},
		{"nothing is known", 0, 0, 0, false},
	} {
		if got := collect.LoadingPays(h.processes, h.files, h.sockets); got != h.want {
			t.Errorf("%s: loading pays %v, want %v", h.name, got, h.want)
		}
	}
}

// costOfPin is by how much a pin may cost more than the cheapest: it says more of a
// session than netlink.
const costOfPin = time.Millisecond

// A question is answered by the source that is best for it, whatever the host is
// like.
func TestAuto_ForTheQuestion(t *testing.T) {
	testenv.NeedRoot(t)
	dir := pin(t, collect.PinOptions{GID: -1})
	_, pid := holding(t, 20)
	for _, test := range []struct {
		name   string
		opts   collect.Options
		source string
		pinned bool
	}{
		{"a process, with a pin", collect.Options{PinDir: dir, Filter: mustParse(t, fmt.Sprint("pid ", pid))}, collect.BPF, true},
		{"a process", collect.Options{PinDir: t.TempDir(), Filter: mustParse(t, fmt.Sprint("pid ", pid))}, collect.Netlink, false},
		{"sockets alone, with a pin", collect.Options{PinDir: dir, Needs: whose.NeedSessions}, collect.BPF, true},
		{"sockets alone", collect.Options{PinDir: t.TempDir(), Needs: whose.NeedSessions}, collect.Netlink, false},
	} {
		w := workOf(t, test.opts)
		if w.Coverage.Source != test.source || w.Coverage.Pinned != test.pinned {
			t.Errorf("%s: auto takes %s, pinned %v, want %s, %v", test.name, w.Coverage.Source, w.Coverage.Pinned, test.source, test.pinned)
		}
	}
}

// TestAuto_WithoutNamespaces has a caller ask who may load programs and not enter a
// namespace.
func TestAuto_WithoutNamespaces(t *testing.T) {
	testenv.NeedRoot(t)
	elsewhere := testenv.NewNetNS(t)
	send(t, elsewhere, nil, errand{Hold: 1})
	const capSysAdmin = 21
	a := send(t, nil, nil, errand{Dropped: []uintptr{capSysAdmin}, Asks: []ask{{PinDir: t.TempDir()}}}).Answers[0]
	if a.Err != "" || a.Coverage.Source != collect.BPF || len(a.within(elsewhere.Inode())) == 0 {
		t.Errorf("by %s, %d sessions in the other namespace, error %q, want bpf and some",
			a.Coverage.Source, len(a.within(elsewhere.Inode())), a.Err)
	}
}
