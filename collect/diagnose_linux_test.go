package collect_test

import (
	"context"
	"os"
	"slices"
	"testing"

	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/collect/collecttest"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

func TestDiagnose(t *testing.T) {
	testenv.NeedRoot(t)
	dir := testenv.NeedBPFFS(t) + "/whose"
	d := diagnose(t, &collect.Options{PinDir: dir})
	wantSources(t, d, "bpf (pinned)")
	if d.OS != "linux" || d.Kernel == "" || d.UID != os.Geteuid() || d.OpenFiles == 0 {
		t.Errorf("os %q, kernel %q, uid %d, %d open files", d.OS, d.Kernel, d.UID, d.OpenFiles)
	}
	if len(d.Capabilities) == 0 || slices.ContainsFunc(d.Capabilities, func(c collect.Capability) bool { return c.Name == "" || c.For == "" }) {
		t.Errorf("capabilities %v", d.Capabilities)
	}
	if len(d.Pin.Pins) > 0 || d.Pin.Dir != dir || !d.Pin.BPFFS {
		t.Errorf("nothing is pinned, and it says %+v", d.Pin)
	}
	if d.Auto == "" || d.Auto != d.Coverage.Source || d.Coverage.Pinned {
		t.Errorf("auto takes %q, coverage %+v", d.Auto, d.Coverage)
	}
}

func TestDiagnose_Pinned(t *testing.T) {
	d := diagnose(t, &collect.Options{PinDir: pin(t, collect.PinOptions{GID: someGroup})})
	wantSources(t, d)
	if len(d.Pin.Pins) == 0 || d.Pin.Works != nil {
		t.Errorf("the pin is not shown as working: %+v", d.Pin)
	}
	for _, p := range d.Pin.Pins {
		if p.GID != someGroup || p.Mode.Perm() != 0o440 {
			t.Errorf("%s: group %d and mode %v, want %d and 0440", p.Path, p.GID, p.Mode, someGroup)
		}
	}
	if d.Auto != collect.BPF || !d.Coverage.Pinned {
		t.Errorf("auto takes %q, pinned %v, want the pin", d.Auto, d.Coverage.Pinned)
	}
}

func TestDiagnose_CapturedHost(t *testing.T) {
	root := collecttest.Unpack(t, "collecttest/testdata/hosts/small-vm.txtar")
	d := diagnose(t, &collect.Options{Proc: root, CapturedProc: true})
	wantSources(t, d, "bpf (pinned)", "bpf", "netlink")
	if d.Auto != collect.Procfs || d.Coverage.Sessions == 0 {
		t.Errorf("auto takes %q for %d sessions, want procfs", d.Auto, d.Coverage.Sessions)
	}
}

func diagnose(t *testing.T, opts *collect.Options) *collect.Diagnosis {
	t.Helper()
	testenv.CheckLeaks(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d := collect.Diagnose(ctx, opts)
	if d.Why == "" {
		t.Errorf("no reason for %q", d.Auto)
	}
	return d
}

// wantSources checks that all sources were tried, and that those alone failed
// which could not work.
func wantSources(t *testing.T, d *collect.Diagnosis, failing ...string) {
	t.Helper()
	var names []string
	for i := range d.Sources {
		s := &d.Sources[i]
		names = append(names, s.Name)
		switch {
		case slices.Contains(failing, s.Name):
			if s.Err == nil {
				t.Errorf("%s works, and should not", s.Name)
			}
		case s.Err != nil:
			t.Errorf("%s: %v", s.Name, s.Err)
		case s.Open <= 0 || s.Read <= 0 || s.Coverage.Sessions == 0 || s.Coverage.Pinned != (s.Name == "bpf (pinned)"):
			t.Errorf("%s: opened in %v, read in %v, coverage %+v", s.Name, s.Open, s.Read, s.Coverage)
		}
	}
	if want := []string{"bpf (pinned)", "bpf", "netlink", "procfs"}; !slices.Equal(names, want) {
		t.Errorf("sources %v, want %v", names, want)
	}
}
