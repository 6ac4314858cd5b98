package collect_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/collect/collecttest"
	"github.com/seed-44df2ae6/whose/filter"
)

// rowsOf makes a collection and returns its rows.
func rowsOf(t *testing.T, c *collect.Collector, opts collect.Options) []string {
	t.Helper()
	var rows []string
	for _, s := range gather(t, c, opts) {
		rows = append(rows, rowOf(&s))
	}
	return rows
}

// mustParse parses a filter.
func mustParse(t testing.TB, text string) filter.Expr {
	t.Helper()
	expr, err := filter.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return expr
}

// TestCollector_Concurrent asks one collector from many goroutines with
// different options, and wants of each what it gets alone.
func TestCollector_Concurrent(t *testing.T) {
	netns, pid := holding(t, 100)
	c := opened(t)
	var questions []collect.Options
	for _, opts := range ways(t) {
		opts.NetNS = netns
		questions = append(questions, opts)
		opts.Filter = mustParse(t, fmt.Sprintf("pid %d and lport > 40000", pid))
		questions = append(questions, opts)
		opts.Filter, opts.Needs, opts.Sort = nil, allNeeds&^whose.NeedTCPInfo, []string{"-remote_port"}
		questions = append(questions, opts)
	}
	questions = append(questions,
		collect.Options{NetNS: netns, Needs: whose.NeedSessions, Source: collect.Netlink},
		collect.Options{NetNS: netns, FirstOwner: true, Source: collect.Procfs},
		collect.Options{Proc: collecttest.Unpack(t, "collecttest/testdata/hosts/web.txtar"), CapturedProc: true, States: whose.AllStates})
	want := make([][]string, len(questions))
	for i, opts := range questions {
		if want[i] = rowsOf(t, c, opts); len(want[i]) < 50 {
			t.Fatalf("question %d: %d rows", i, len(want[i]))
		}
	}
	const goroutines, rounds = 8, 6
	wrong := make(chan string, goroutines*rounds)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for k := range rounds {
				i := (g*5 + k) % len(questions)
				if err := askAgain(c, questions[i], want[i]); err != nil {
					wrong <- fmt.Sprintf("goroutine %d, question %d: %v", g, i, err)
				}
			}
		})
	}
	wg.Wait()
	close(wrong)
	for w := range wrong {
		t.Error(w)
		if t.Failed() {
			break
		}
	}
}

// askAgain asks and reads the answer while others ask.
func askAgain(c *collect.Collector, opts collect.Options, want []string) error {
	answer, err := c.Collect(context.Background(), &opts)
	if err != nil {
		return err
	}
	defer answer.Close()
	coverage := &answer.Coverage
	var rows []string
	for s := range answer.Sessions() {
		rows = append(rows, rowOf(&s))
		runtime.Gosched()
	}
	if coverage.Sessions != len(rows) || answer.Len() != len(rows) || !slices.Equal(rows, want) {
		return fmt.Errorf("%d rows, coverage of %d, want the %d rows as before; first %.300q",
			len(rows), coverage.Sessions, len(want), strings.Join(rows[:min(1, len(rows))], ""))
	}
	return nil
}

// TestCollector_Nested calls the collector again in the body of a loop over
// its sessions, and leaves loops early.
func TestCollector_Nested(t *testing.T) {
	netns, _ := holding(t, 100)
	for name, opts := range ways(t) {
		t.Run(name, func(t *testing.T) {
			c := opened(t)
			opts.NetNS = netns
			want := rowsOf(t, c, opts)
			var rows []string
			var kept []whose.Session
			answer, err := c.Collect(context.Background(), &opts)
			if err != nil {
				t.Fatal(err)
			}
			for s := range answer.Sessions() {
				rows = append(rows, rowOf(&s))
				kept = append(kept, s)
				if len(rows)%40 == 1 {
					if inner := rowsOf(t, c, opts); !slices.Equal(inner, want) {
						t.Errorf("the inner collection has %d rows, want the same %d", len(inner), len(want))
					}
					for range answer.Sessions() {
						break
					}
				}
			}
			if again := answer.Append(nil); len(again) != len(rows) || rowOf(&again[0]) != rows[0] {
				t.Errorf("read again, the answer has %d sessions, want the same %d", len(again), len(rows))
			}
			answer.Close()
			answer.Close()
			if answer.Len() != 0 || len(answer.Append(nil)) != 0 {
				t.Errorf("closed, the answer has %d sessions", answer.Len())
			}
			gather(t, c, opts) // in the same buffers
			if !slices.Equal(rows, want) {
				t.Errorf("the outer collection has %d rows, want the same %d", len(rows), len(want))
			}
			for i := range kept { // what was handed out is never written again
				if row := rowOf(&kept[i]); row != rows[i] {
					t.Fatalf("a session that was kept changed:\nwas %s\nis  %s", rows[i], row)
				}
			}
		})
	}
}
