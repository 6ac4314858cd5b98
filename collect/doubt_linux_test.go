package collect_test

import (
	"syscall"
	"testing"

	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestDoubtful asks as a user who may not look into a process, and as root in a
// pid namespace that does not show it. A number is in doubt exactly where the
// hidden process might have changed it.
func TestDoubtful(t *testing.T) {
	testenv.NeedRoot(t)
	ns := testenv.NewNetNS(t)
	send(t, ns, nil, errand{Hold: 2, Name: "outsider"})
	filters := []struct {
		text    string
		doubted bool // by root of the inner namespace
	}{
		{"port 1", false}, {"process outsider", true}, {"not process outsider", true}, {"port 1 and process outsider", false},
		{"pid 1", false},
	}
	for _, source := range []string{collect.Netlink, collect.Procfs, collect.BPF} {
		var asks []ask
		for _, f := range filters {
			asks = append(asks, ask{Source: source, NetNS: "self", Filter: f.text})
		}
		said := send(t, ns, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}, errand{MountProc: true, Asks: asks})
		for i, a := range said.Answers {
			if a.Err != "" {
				t.Fatalf("%s: %s", source, a.Err)
			}
			if a.Doubtful != filters[i].doubted {
				t.Errorf("%s, in a pid namespace, %s: in doubt %v, gaps %v", source, filters[i].text, a.Doubtful, a.Coverage.Gaps)
			}
		}
	}
	var asks []ask
	for _, f := range filters[:3] {
		asks = append(asks, ask{Source: collect.Netlink, NetNS: "self", Filter: f.text})
	}
	for i, a := range send(t, ns, asNobody(), errand{Asks: asks}).Answers {
		if a.Err != "" || a.Doubtful != (i > 0) {
			t.Errorf("an ordinary user, %s: in doubt %v, error %q", filters[i].text, a.Doubtful, a.Err)
		}
	}
}
