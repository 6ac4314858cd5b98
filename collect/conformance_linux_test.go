package collect_test

import (
	"testing"

	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/collect/collecttest"
	"github.com/seed-44df2ae6/whose/collect/internal/bpfiter"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// opened returns a collector that is closed with the test.
func opened(t testing.TB) *collect.Collector {
	c := collect.Open()
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// pinned returns a subject that reads through iterators pinned for the test.
func pinned(t *testing.T, c *collect.Collector) collecttest.Subject {
	return collecttest.CollectPinned(c, pin(t, collect.PinOptions{GID: -1}))
}

// pin pins the iterators in a bpffs of the test's own and returns where.
func pin(t testing.TB, o collect.PinOptions) string {
	t.Helper()
	testenv.NeedRoot(t)
	o.Dir = testenv.NeedBPFFS(t) + "/whose"
	if err := collect.Pin(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := collect.Unpin(o.Dir); err != nil {
			t.Error(err)
		}
	})
	return o.Dir
}

// beforeWalk returns a collector whose source bpf reads as before Linux 5.19.
func beforeWalk(t *testing.T) *collect.Collector {
	t.Helper()
	testenv.NeedRoot(t)
	s, err := bpfiter.Load(bpfiter.Options{TaskFileOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	c := collect.OpenWith(s)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestConformance(t *testing.T) {
	for _, source := range []string{collect.BPF, collect.Netlink, collect.Procfs} {
		t.Run(source, func(t *testing.T) {
			c := opened(t)
			collecttest.Run(t, source, func(*testing.T) collecttest.Subject { return collecttest.Collect(c, source) })
		})
	}
	t.Run(collecttest.BeforeWalk, func(t *testing.T) {
		c := beforeWalk(t)
		collecttest.Run(t, collecttest.BeforeWalk, func(*testing.T) collecttest.Subject { return collecttest.Collect(c, collect.BPF) })
	})
	t.Run("pinned", func(t *testing.T) {
		subject := pinned(t, opened(t))
		collecttest.Run(t, collect.BPF, func(*testing.T) collecttest.Subject { return subject })
	})
}

// TestAgreement has all ways look at the same standing sockets.
func TestAgreement(t *testing.T) {
	c := opened(t)
	subjects := map[string]collecttest.Subject{}
	for _, source := range []string{collect.BPF, collect.Netlink, collect.Procfs} {
		subjects[source] = collecttest.Collect(c, source)
	}
	collecttest.Agree(t, subjects)
}

// TestAgreement_BeforeWalk has the source bpf look with and without the programs
// that take newer kernels.
func TestAgreement_BeforeWalk(t *testing.T) {
	collecttest.Agree(t, map[string]collecttest.Subject{
		collect.BPF:            collecttest.Collect(opened(t), collect.BPF),
		collecttest.BeforeWalk: collecttest.Collect(beforeWalk(t), collect.BPF),
	})
}

func TestChurn(t *testing.T) {
	for _, source := range []string{collect.BPF, collect.Netlink, collect.Procfs} {
		t.Run(source, func(t *testing.T) {
			c := opened(t)
			collecttest.Churn(t, source, func(*testing.T) collecttest.Subject { return collecttest.Collect(c, source) })
		})
	}
	t.Run(collecttest.BeforeWalk, func(t *testing.T) {
		c := beforeWalk(t)
		collecttest.Churn(t, collecttest.BeforeWalk, func(*testing.T) collecttest.Subject { return collecttest.Collect(c, collect.BPF) })
	})
}
