package track

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestHostileHungProcess starts trackers, by every source, beside a process whose
// memory cannot be read. They start, show its session and say what is missing,
// and they close.
func TestHostileHungProcess(t *testing.T) {
	testenv.NeedRoot(t)
	hung := testenv.HungProcess(t)
	defer hung.Release()
	tried, wrong := 0, 0
	for _, name := range []string{SourceBPF, SourceNetlink, SourceSnapshot} {
		tried++
		within(t, name+": start", func() {
			tr, err := Start(t.Context(), &Options{Source: name, NetNS: fmt.Sprint(hung.NetNS.Inode()), Needs: defaultNeeds})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				wrong++
				return
			}
			met := false
			for s := range tr.Sessions(nil) {
				for _, o := range s.Owners {
					met = met || o.PID == uint32(hung.PID) && s.Local.Port() == hung.Port && o.Cmdline == "" && o.Exe != ""
				}
			}
			stuck := false
			for _, g := range tr.Source().Gaps {
				stuck = stuck || g.Kind == whose.GapFacts && g.Cause == whose.CauseStuck && g.Count > 0
			}
			if !met || !stuck {
				t.Errorf("%s: the session of the hung process is there: %v; gaps %+v", name, met, tr.Source().Gaps)
				wrong++
			}
			if err := tr.Close(); err != nil {
				t.Errorf("%s: %v", name, err)
				wrong++
			}
		})
	}
	testenv.Tried(t, tried, wrong)
}

// within fails the test at once if the work does not return.
func within(t *testing.T, what string, work func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); work() }()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s: not within %v", what, patience)
	}
}
