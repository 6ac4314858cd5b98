package collect_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
)

// ways are the options of every way to ask this host: each source, and a pin.
func ways(t *testing.T) map[string]collect.Options {
	all := map[string]collect.Options{"pinned": {Source: collect.BPF, PinDir: pin(t, collect.PinOptions{GID: -1})}}
	for _, source := range sources() {
		all[source] = collect.Options{Source: source}
	}
	return all
}

// TestTimeout bounds collections by ever more time, from none to enough, and
// wants of each an answer that is true as far as it goes and says where it
// does not.
func TestTimeout(t *testing.T) {
	netns, _ := holding(t, 500)
	for name, opts := range ways(t) {
		t.Run(name, func(t *testing.T) {
			c := opened(t)
			opts.NetNS = netns
			opts.Needs = whose.NeedDefault | whose.NeedCmdline
			whole := gather(t, c, opts)
			if len(whole) < 1000 {
				t.Fatalf("%d sessions, want more than 1000", len(whole))
			}
			partial, complete := 0, 0
			for allowed := time.Nanosecond; complete < 3 && allowed < patience; allowed = longer(allowed) {
				opts.Timeout = allowed
				sessions, coverage := gatherAll(t, c, opts)
				gaps := deadlines(coverage)
				if gaps > 0 {
					partial, complete = partial+1, 0
					if late := truthful(t, whole, sessions); t.Failed() {
						t.Fatalf("after %v, %d of %d sessions, %d without their owners; gaps %v",
							allowed, len(sessions), len(whole), late, coverage.Gaps)
					}
				} else {
					complete++
					if len(sessions) != len(whole) {
						t.Fatalf("after %v, %d of %d sessions and no gap; gaps %v", allowed, len(sessions), len(whole), coverage.Gaps)
					}
				}
				if gaps > 1 || coverage.Source != opts.Source || coverage.Sessions != len(sessions) {
					t.Fatalf("after %v: coverage %+v of %d sessions", allowed, coverage, len(sessions))
				}
			}
			t.Logf("%d partial answers", partial)
			if partial == 0 || complete == 0 {
				t.Errorf("%d partial answers and %d complete ones, want some of each", partial, complete)
			}
		})
	}
}

// longer returns the next time to try: doubled at first, then in small steps, so
// that collections are cut in every part.
func longer(d time.Duration) time.Duration {
	if d < 200*time.Microsecond {
		return 2 * d
	}
	return d + d/12
}

func deadlines(c *whose.Coverage) int {
	n := 0
	for _, g := range c.Gaps {
		if g.Cause == whose.CauseDeadline {
			n++
		}
	}
	return n
}

// truthful checks that what is in a partial answer is right, and returns how
// many sessions lack their owner.
func truthful(t *testing.T, whole, part []whose.Session) (late int) {
	t.Helper()
	byInode := make(map[uint64]*whose.Session)
	for i := range whole {
		byInode[whole[i].Inode] = &whole[i]
	}
	for i := range part {
		got, want := &part[i], byInode[part[i].Inode]
		if want == nil {
			t.Errorf("spurious, or listed twice: %s", rowOf(got))
			continue
		}
		delete(byInode, got.Inode)
		if got.Local != want.Local || got.Remote != want.Remote || got.State != want.State || got.UID != want.UID {
			t.Errorf("got %s\nwant %s", rowOf(got), rowOf(want))
		}
		if got.Direction != 0 && got.Direction != want.Direction {
			t.Errorf("direction %v, want %v or none: %s", got.Direction, want.Direction, rowOf(got))
		}
		if len(got.Owners) == 0 {
			if late++; got.Reason != whose.ReasonHidden {
				t.Errorf("nobody holds it, because %v: %s", got.Reason, rowOf(got))
			}
		}
		for _, owners := range [][2][]whose.Owner{{got.Owners, want.Owners}, {got.Peer, want.Peer}} {
			for _, o := range owners[0] {
				if !slices.ContainsFunc(owners[1], func(w whose.Owner) bool { return w.PID == o.PID && slices.Equal(w.FDs, o.FDs) }) {
					t.Errorf("owner %d %v of %s", o.PID, o.FDs, rowOf(want))
				}
			}
		}
	}
	return late
}

// TestContext ends the caller's context before and during collections: that is
// an error, and nothing is appended.
func TestContext(t *testing.T) {
	netns, _ := holding(t, 500)
	for name, opts := range ways(t) {
		t.Run(name, func(t *testing.T) {
			c := opened(t)
			opts.NetNS = netns
			began := time.Now()
			whole := gather(t, c, opts)
			took := time.Since(began)

			over, cancel := context.WithCancel(context.Background())
			cancel()
			wantEnded(t, c, over, opts, context.Canceled)
			opts.Timeout = time.Nanosecond
			wantEnded(t, c, over, opts, context.Canceled)
			past, cancel := context.WithTimeout(context.Background(), time.Nanosecond)
			defer cancel()
			wantEnded(t, c, past, opts, context.DeadlineExceeded)
			opts.Timeout = 0

			for k := range 20 {
				ctx, cancel := context.WithCancel(context.Background())
				stop := time.AfterFunc(took*time.Duration(k)/15, cancel)
				answer, err := c.Collect(ctx, &opts)
				stop.Stop()
				cancel()
				switch {
				case errors.Is(err, context.Canceled) && answer == nil:
				case err == nil && answer.Len() == len(whole):
					answer.Close()
				default:
					t.Errorf("cancelled on the way: %v and %v, want %d sessions or an error", answer, err, len(whole))
				}
			}
		})
	}
}

// wantEnded asks with a context that has ended.
func wantEnded(t *testing.T, c *collect.Collector, ctx context.Context, opts collect.Options, want error) {
	t.Helper()
	if answer, err := c.Collect(ctx, &opts); !errors.Is(err, want) || answer != nil {
		t.Errorf("%v and %v, want %v", answer, err, want)
	}
}
