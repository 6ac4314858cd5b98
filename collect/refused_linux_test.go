package collect_test

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestAuto_Refused asks as root who may not call setns, as in a unit with
// RestrictNamespaces or in a container. The answer has to hold the sessions of
// every namespace, by whatever source sees them; one that is asked for by name
// says what it misses.
func TestAuto_Refused(t *testing.T) {
	testenv.NeedRoot(t)
	ns := testenv.NewNetNS(t)
	const n = 6
	other := send(t, ns, nil, errand{Hold: n})
	asks := []ask{{Source: collect.Netlink}, {}, {Needs: whose.NeedOwners}, {Needs: whose.NeedSessions}, {Filter: fmt.Sprintf("pid %d", other.PID)}}
	for name, refused := range map[string][]uint32{"setns": {unix.SYS_SETNS}, "setns and bpf": {unix.SYS_SETNS, unix.SYS_BPF}} {
		t.Run(name, func(t *testing.T) {
			said := send(t, nil, nil, errand{Refused: refused, Asks: asks})
			for i, a := range said.Answers {
				if a.Err != "" {
					t.Fatalf("question %d: %s", i, a.Err)
				}
				rows, gap := len(a.within(ns.Inode())), a.gap(whose.GapNamespaces)
				if i == 0 {
					if rows != 0 || gap == "" {
						t.Errorf("netlink: %d sessions of a namespace that may not be entered, gap %q", rows, gap)
					}
					continue
				}
				// procfs has no way into a namespace without a process, and says so.
				if rows != held(n) || gap != "" && a.Coverage.Source != collect.Procfs {
					t.Errorf("question %d: %d sessions by %s, gap %q; want %d", i, rows, a.Coverage.Source, gap, held(n))
				}
			}
		})
	}
}

// TestAuto_Untraced asks as root without CAP_SYS_PTRACE, who may load programs:
// they see the owners of others' sockets.
func TestAuto_Untraced(t *testing.T) {
	testenv.NeedRoot(t)
	ns := testenv.NewNetNS(t)
	const n = 6
	send(t, ns, asNobody(), errand{Hold: n})
	said := send(t, ns, nil, errand{Dropped: []uintptr{unix.CAP_SYS_PTRACE}, Asks: []ask{{Source: collect.Netlink}, {}}})
	for i, want := range []int{0, held(n)} {
		a := said.Answers[i]
		if a.Err != "" {
			t.Fatal(a.Err)
		}
		owned := 0
		for _, row := range a.within(ns.Inode()) {
			if strings.Contains(row, " owner ") {
				owned++
			}
		}
		if owned != want {
			t.Errorf("by %s: %d sessions with owners, want %d", a.Coverage.Source, owned, want)
		}
	}
}
