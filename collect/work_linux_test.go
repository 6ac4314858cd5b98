package collect_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// What need not be read is not read: shown by counting, not by time.

func workOf(t *testing.T, opts collect.Options) collect.Work {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	w, err := opened(t).WorkOf(ctx, &opts)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// walkers are the sources that read the links of descriptors.
func walkers() []string { return []string{collect.Netlink, collect.Procfs} }

func TestWork_FirstOwnerEndsTheWalk(t *testing.T) {
	netns := beforeOthers(t)
	for _, source := range walkers() {
		t.Run(source, func(t *testing.T) {
			opts := collect.Options{Source: source, NetNS: netns}
			whole := workOf(t, opts)
			opts.FirstOwner = true
			first := workOf(t, opts)
			t.Logf("%d links, with the first owner %d", whole.Links, first.Links)
			if whole.Early || !first.Early || first.Links > whole.Links-othersLinks/2 {
				t.Errorf("ended early %v after %d links, with the first owner %v after %d",
					whole.Early, whole.Links, first.Early, first.Links)
			}
			if first.Coverage.Owned != whole.Coverage.Owned || first.Sessions != whole.Sessions {
				t.Errorf("%d of %d sessions have an owner, want %d of %d",
					first.Coverage.Owned, first.Sessions, whole.Coverage.Owned, whole.Sessions)
			}
		})
	}
}

const (
	others      = 8
	othersLinks = others * 600
)

// beforeOthers starts a process in a namespace of its own, and others that
// hold many descriptors and have higher numbers.
func beforeOthers(t *testing.T) (netns string) {
	for range 3 { // numbers begin anew at times
		var first int
		netns, first = holding(t, 20)
		elsewhere := testenv.NewNetNS(t)
		ascending := true
		for range others {
			ascending = send(t, elsewhere, nil, errand{Hold: 300}).PID > first && ascending
		}
		if ascending {
			return netns
		}
	}
	t.Fatal("process ids do not ascend")
	return ""
}

func TestWork_OneProcess(t *testing.T) {
	netns, pid := holding(t, 20)
	elsewhere := testenv.NewNetNS(t)
	send(t, elsewhere, nil, errand{Hold: 2000})
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources() {
		t.Run(source, func(t *testing.T) {
			w := workOf(t, collect.Options{Source: source, NetNS: netns, Filter: mustParse(t, fmt.Sprint("pid ", pid))})
			if w.Sessions != held(20) || w.Coverage.Owned != w.Sessions {
				t.Errorf("%d sessions, %d owned, want %d", w.Sessions, w.Coverage.Owned, held(20))
			}
			if w.Coverage.Processes != 1 || w.Links > len(open) {
				t.Errorf("%d processes and %d links were read, want one process's %d", w.Coverage.Processes, w.Links, len(open))
			}
		})
	}
}

func TestWork_BareSocketsReadNoDescriptors(t *testing.T) {
	netns, _ := holding(t, 20)
	for _, source := range walkers() {
		w := workOf(t, collect.Options{Source: source, NetNS: netns, BareSockets: true})
		if w.Links != 0 || w.Processes != 0 || w.Sessions != held(20) {
			t.Errorf("%s: %d links of %d processes for %d sessions, want none for %d", source, w.Links, w.Processes, w.Sessions, held(20))
		}
	}
}

func TestWork_ListenersAlone(t *testing.T) {
	netns, _ := holding(t, 200)
	for name, opts := range ways(t) {
		opts.NetNS, opts.States = netns, whose.SetOf(whose.Listen)
		if w := workOf(t, opts); w.Sessions != 2 || w.Sockets[whose.Listen] != 2 || len(w.Sockets) != 1 {
			t.Errorf("%s: %d sessions out of sockets %v, want the two listeners and no other socket", name, w.Sessions, w.Sockets)
		}
	}
}

// TestWork_EndsAreAppliedByTheKernel asks for one port of many.
func TestWork_EndsAreAppliedByTheKernel(t *testing.T) {
	netns, _ := holding(t, 500)
	port := 0
	for _, s := range gather(t, opened(t), collect.Options{Source: collect.Netlink, NetNS: netns, States: whose.SetOf(whose.Established)}) {
		if s.Proto == whose.TCP && s.Direction == whose.Out {
			port = int(s.Local.Port())
		}
	}
	for _, source := range sources() {
		opts := collect.Options{Source: source, NetNS: netns, Filter: mustParse(t, fmt.Sprint(":", port))}
		if w := workOf(t, opts); w.Sessions != 2 || w.Sockets[whose.Established] > 4 {
			t.Errorf("%s: %d sessions out of sockets %v, want two of few", source, w.Sessions, w.Sockets)
		}
	}
}
