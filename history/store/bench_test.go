//go:build linux

package store

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/history"
	"github.com/seed-44df2ae6/whose/internal/tally"
)

// TestLarge writes the history of a busy host and asks about it. It logs the times;
// they are of one run, and docs/history.md names the machine of those it gives. By
// itself it writes few sessions. WHOSE_HISTORY_LARGE=10000000 writes those of a week,
// in some minutes. With WHOSE_HISTORY_KEEP=DIR they stay there, and the next run asks
// about them without writing.
func TestLarge(t *testing.T) {
	n := 20_000
	if text := os.Getenv("WHOSE_HISTORY_LARGE"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 {
			t.Fatalf("WHOSE_HISTORY_LARGE=%q: want a number", text)
		}
	}
	path := filepath.Join(cmp.Or(os.Getenv("WHOSE_HISTORY_KEEP"), t.TempDir()), "history")
	if _, err := os.Stat(path); err != nil {
		writeLarge(t, path, n)
	}
	t.Run("ask", func(t *testing.T) { askLarge(t, path, n) })
	t.Run("count", func(t *testing.T) { countLarge(t, path) })
}

// A crowd makes sessions as a busy host has them: processes and remote hosts by a
// Zipf distribution, two fifths of the processes new, some command lines of many.
type crowd struct {
	*rand.Rand
	remotes, procs *rand.Zipf
	known          [][]whose.Owner
	pid            uint32
	cookie         uint64
}

func newCrowd() *crowd {
	c := &crowd{Rand: rand.New(rand.NewPCG(1, 2)), pid: 1000}
	c.remotes = rand.NewZipf(c.Rand, 1.1, 8, 200_000)
	c.procs = rand.NewZipf(c.Rand, 1.2, 2, 300)
	for i := range 301 {
		c.known = append(c.known, c.owner(fmt.Sprint("daemon", i), "/usr/sbin/daemon --config /etc/daemon/"+strconv.Itoa(i)))
	}
	return c
}

func (c *crowd) owner(comm, cmdline string) []whose.Owner {
	c.pid++
	return []whose.Owner{{Process: &whose.Process{
		PID: c.pid, StartTime: noon.Add(time.Duration(c.pid) * 10 * time.Millisecond), Comm: comm, Exe: "/usr/bin/" + comm, Cmdline: cmdline,
		User: "root", Parent: 1, Unit: comm + ".service",
	}}}
}

func (c *crowd) end(at time.Time) whose.Event {
	c.cookie += uint64(1 + c.IntN(3))
	owners := c.known[c.procs.Uint64()]
	if c.IntN(10) < 4 {
		owners = c.owner("curl", "curl https://example.com/"+strconv.Itoa(c.IntN(20_000)))
	}
	remote := c.remotes.Uint64()
	took := time.Duration(c.ExpFloat64() * float64(300*time.Millisecond))
	if c.IntN(50) == 0 {
		took *= 2000
	}
	s := whose.Session{
		Local: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 5}), uint16(32768+c.IntN(28000))), Proto: whose.TCP, Family: whose.IPv4,
		Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{100, byte(remote >> 16), byte(remote >> 8), byte(remote)}), []uint16{443, 80, 5432, 53, 8080}[c.IntN(5)]),
		State:  whose.Close, Direction: whose.Out, Cookie: c.cookie, Inode: 40_000 + 3*c.cookie, NetNS: 4026531833, User: "root", Owners: owners,
		TCP: &whose.TCPInfo{RTT: time.Duration(20+c.IntN(20_000)) * time.Microsecond, Retrans: uint32(c.IntN(2))},
	}
	return whose.Event{Time: at, Kind: whose.EventClose, Session: s, Lifetime: whose.Lifetime{
		Opened: at.Add(-took), Closed: at, Duration: took, End: whose.EndOrderly, By: whose.Here, Counted: true,
		Sent: whose.Traffic{Bytes: uint64(c.ExpFloat64() * 2000)}, Received: whose.Traffic{Bytes: uint64(c.ExpFloat64() * 20000)},
	}}
}

func cpu(t *testing.T) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func writeLarge(t *testing.T, path string, n int) {
	now := noon
	w, err := Create(t.Context(), Options{Dir: path, GID: -1, Boot: "b", Bytes: 1 << 40, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	c, step, took, commits := newCrowd(), 7*24*time.Hour/10_000_000, time.Duration(0), 0
	lastCommit := now
	events := make([]whose.Event, 2000)
	for done := 0; done < n; done += len(events) {
		events = events[:min(len(events), n-done)]
		for i := range events {
			events[i] = c.end(now.Add(time.Duration(i) * step))
		}
		before := cpu(t)
		for i := range events {
			now = events[i].Time
			w.Add(&events[i])
			if now.Sub(lastCommit) >= time.Second {
				lastCommit, commits = now, commits+1
				if err := w.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		took += cpu(t) - before
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	bytes, rolled := dir{path}.bytes(), int64(0)
	rollups, err := dir{path}.rollups()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range rollups {
		rolled += dir{path}.rollupSize(name)
	}
	t.Logf("of which the roll-ups: %.1f bytes each", float64(rolled)/float64(n))
	t.Logf("wrote %d sessions in %d commits: %.2f µs of CPU and %.1f bytes each, %.1f MB", n, commits, float64(took.Nanoseconds())/1000/float64(n), float64(bytes)/float64(n), float64(bytes)/1e6)
}

const everything = "everything"

func askLarge(t *testing.T, path string, all int) {
	r, err := Open(path, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	end, err := r.Until(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct {
		what, filter string
		from, to     time.Time
	}{
		{"a remote host within five minutes", "remote 100.0.0.77", end.Add(-11 * time.Hour), end.Add(-11*time.Hour + 5*time.Minute)},
		{"a rare remote host over 7 days", "remote 100.2.240.3", noon, end},
		{"a port over 7 days", "rport 8081", noon, end},
		{"failures of 7 days", "end refused", noon, end},
		{"what stood at one moment", "", end.Add(-10 * time.Hour), end.Add(-10 * time.Hour)},
		{"all of a day", "", end.Add(-24 * time.Hour), end},
		{everything, "", noon.Add(-time.Hour), end},
	} {
		var expr filter.Expr
		if q.filter != "" {
			expr = parsed(t, q.filter)
		}
		var times []string
		n := 0
		for i := range 4 {
			if i == 0 {
				dropCache(t, path)
			}
			began, used := time.Now(), cpu(t)
			r, err := Open(path, time.UTC)
			if err != nil {
				t.Fatal(err)
			}
			n = 0
			about := history.Query{From: q.from, To: q.to, Filter: expr, Env: filter.Env{Now: end}}
			if _, err := r.Sessions(context.Background(), &about, func(*whose.Session) bool { n++; return true }); err != nil {
				t.Fatal(err)
			}
			times = append(times, took(t, began, used))
		}
		if q.what == everything && n != all {
			t.Errorf("%s: %d sessions, want %d", q.what, n, all)
		}
		t.Logf("%s: %d sessions, ms and ms of CPU %s (the first cold)", q.what, n, strings.Join(times, " "))
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.Logf("%.0f MB from the system", float64(m.Sys)/1e6)
}

// countLarge counts a day by the hour, from the sessions and from the roll-up. Both
// have the same groups.
func countLarge(t *testing.T, path string) {
	r, err := Open(path, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	end, err := r.Until(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	end = end.Truncate(time.Minute)
	for _, by := range []string{"comm", "remote_addr", "comm,remote_addr"} {
		for _, day := range []struct {
			what     string
			from, to time.Time
		}{{"the last day", end.Add(-24 * time.Hour), end}, {"a day of the middle", noon.Add(84 * time.Hour), noon.Add(108 * time.Hour)}} {
			about := history.Query{From: day.from, To: day.to, Env: filter.Env{Now: end}}
			fields, sums := fieldsOf(t, by), fieldsOf(t, "bytes_sent,bytes_received")
			counted := make(map[string]*tally.Count)
			for _, way := range []string{"sessions", "roll-up"} {
				var times []string
				for i := range 4 {
					if i == 0 {
						dropCache(t, path)
					}
					began, used := time.Now(), cpu(t)
					r, err := Open(path, time.UTC)
					if err != nil {
						t.Fatal(err)
					}
					steps := tally.NewSteps(fields, sums, about.From, about.To, time.Hour)
					if way == "sessions" {
						_, err = r.Sessions(context.Background(), &about, func(s *whose.Session) bool { steps.Add(s); return true })
					} else {
						_, err = r.Groups(context.Background(), &about, &history.Grouping{Fields: append(fields, sums...), Per: time.Hour}, steps.AddMany)
					}
					if err != nil {
						t.Fatal(err)
					}
					counted[way] = steps.Count(10)
					times = append(times, took(t, began, used))
				}
				t.Logf("%s by the hour and %s, from the %s: %d sessions, ms and ms of CPU %s (the first cold)", day.what, by, way, counted[way].Total, strings.Join(times, " "))
			}
			if rowsText(counted["sessions"]) != rowsText(counted["roll-up"]) {
				t.Errorf("%s by %s: the roll-up differs from the sessions", day.what, by)
			}
		}
	}
}

// took writes a time and the CPU used in it.
func took(t *testing.T, began time.Time, used time.Duration) string {
	return fmt.Sprintf("%.1f/%.1f", float64(time.Since(began).Microseconds())/1000, float64((cpu(t)-used).Microseconds())/1000)
}

// dropCache has the kernel forget the pages of the files.
func dropCache(t *testing.T, path string) {
	names, err := dir{path}.list()
	if err != nil {
		t.Fatal(err)
	}
	rollups, err := dir{path}.rollups()
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, name := range names {
		files = append(files, dir{path}.join(name))
	}
	for _, name := range rollups {
		files = append(files, dir{path}.joinRollup(name))
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Sync() // dirty pages stay otherwise
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
}
