package collect_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestHostileHungProcess asks, by every source, for the command lines of a host
// with a process whose memory cannot be read. Its session, its owner and all
// other facts are there, and the answer counts what is missing.
func TestHostileHungProcess(t *testing.T) {
	testenv.NeedRoot(t)
	hung := testenv.HungProcess(t)
	defer hung.Release()
	tried, wrong := 0, 0
	for _, source := range sources() {
		c := opened(t)
		for range 2 {
			tried++
			opts := collect.Options{Source: source, NetNS: fmt.Sprint(hung.NetNS.Inode()), Needs: whose.NeedDefault | whose.NeedCmdline | whose.NeedExe, Timeout: patience}
			sessions, coverage := gatherAll(t, c, opts)
			if !wantHung(t, source, sessions, hung, coverage) {
				wrong++
			}
		}
	}
	testenv.Tried(t, tried, wrong)
}

func wantHung(t *testing.T, source string, sessions []whose.Session, hung *testenv.Hung, coverage *whose.Coverage) bool {
	t.Helper()
	met := false
	for _, s := range sessions {
		for _, o := range s.Owners {
			met = met || o.PID == uint32(hung.PID) && s.Local.Port() == hung.Port && o.Cmdline == "" && o.Exe != "" && s.IsListener()
		}
	}
	gaps := 0
	for _, g := range coverage.Gaps {
		switch {
		case g.Kind == whose.GapFacts && g.Cause == whose.CauseStuck && g.Count == 1 && g.Hint != "":
			gaps++
		case g.Cause == whose.CauseDeadline:
			t.Errorf("%s: the time ran out", source)
			return false
		}
	}
	if !met || gaps != 1 {
		t.Errorf("%s: the session of the hung process is there: %v; %d gaps about its facts in %+v", source, met, gaps, coverage.Gaps)
		return false
	}
	return true
}

// TestHostileDeadRoot asks a root, and a directory of pins, on a file system that
// does not answer: there is an error in about the time allowed, and when the
// context ends.
func TestHostileDeadRoot(t *testing.T) {
	dead := testenv.NewDeadFS(t)
	dead.Die()
	tried, wrong := 0, 0
	for name, opts := range map[string]collect.Options{
		"root": {Proc: filepath.Join(dead.Dir, "x")},
		"pins": {Source: collect.BPF, PinDir: filepath.Join(dead.Dir, "x")},
	} {
		c := collect.Open() // closing it does not wait for what it waits for
		tried += 2
		opts.Timeout = 50 * time.Millisecond
		if _, err := c.Collect(t.Context(), &opts); !errors.Is(err, context.DeadlineExceeded) || whose.Hint(err) == "" {
			t.Errorf("%s: after the time allowed: %v", name, err)
			wrong++
		}
		opts.Timeout = 0
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		if _, err := c.Collect(ctx, &opts); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: after the end of the context: %v", name, err)
			wrong++
		}
	}
	testenv.Tried(t, tried, wrong)
}
