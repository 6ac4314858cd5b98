package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/hostname"
)

// A liveStream gives out what is sent to it until ctx ends.
type liveStream struct{ events chan whose.Event }

func (s liveStream) Close() error { return nil }

func (s liveStream) Each(ctx context.Context, fn func(*whose.Event) bool) error {
	for {
		select {
		case e := <-s.events:
			tcp := whose.TCPInfo{BytesSent: 7}
			e.Session.TCP = &tcp
			goOn := fn(&e)
			e, tcp = whose.Event{}, whose.TCPInfo{} // they were lent
			if !goOn {
				return nil
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// opened is a session opened to a remote end.
func opened(pid uint32, comm, remote string) whose.Event {
	return whose.Event{Kind: whose.EventOpen, Time: time.Now(), Session: whose.Session{
		Proto: whose.UDP, Direction: whose.Out, Local: netip.MustParseAddrPort("10.0.0.5:40000"),
		Remote: netip.MustParseAddrPort(remote), Owners: []whose.Owner{{Process: &whose.Process{PID: pid, Comm: comm}}},
	}}
}

// A shown event is the name that it had when it was given out, and when that was.
type shownEvent struct {
	addr, name string
	at         time.Duration
	sent       uint64
}

// showHeld sends to what it returns, and adds what comes out to the list.
func showHeld(ctx context.Context, names *hostname.Resolver, own uint32) (chan<- whose.Event, *[]shownEvent) {
	live := liveStream{make(chan whose.Event)}
	h := &namedStream{eventStream: live, names: names, pid: own}
	var all []shownEvent
	began := time.Now()
	go func() {
		_ = h.Each(ctx, func(e *whose.Event) bool { // it ends with ctx
			a := e.Session.Remote.Addr()
			all = append(all, shownEvent{a.String(), names.Name(a), time.Since(began), e.Session.TCP.BytesSent})
			return true
		})
	}()
	return live.events, &all
}

// A fakeDNS answers questions as its function does, and counts them.
type fakeDNS struct {
	mu     sync.Mutex
	asked  map[string]int
	answer hostname.Lookup
}

func (d *fakeDNS) lookup(ctx context.Context, addr string) ([]string, error) {
	d.mu.Lock()
	if d.asked == nil {
		d.asked = make(map[string]int)
	}
	d.asked[addr]++
	d.mu.Unlock()
	return d.answer(ctx, addr)
}

// named are names that a fake look-up gives, within two seconds.
func (d *fakeDNS) named(t *testing.T) *hostname.Resolver {
	names := hostname.New(2*time.Second, d.lookup)
	t.Cleanup(names.Close)
	return names
}

// TestNamedStream_Waits: a line waits for its name a tenth of a second at most,
// whatever waited before it; the order stays.
func TestNamedStream_Waits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := &fakeDNS{answer: func(ctx context.Context, addr string) ([]string, error) {
			switch addr {
			case "10.0.0.1":
				time.Sleep(19 * time.Millisecond)
			case "10.0.0.2":
				time.Sleep(300 * time.Millisecond)
			case "10.0.0.3":
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return []string{"host-" + addr}, nil
		}}
		events, all := showHeld(t.Context(), dns.named(t), 1)
		for _, addr := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.1", "10.0.0.2"} {
			events <- opened(7, "curl", addr+":1")
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		events <- opened(7, "curl", "10.0.0.2:1")
		time.Sleep(5 * time.Second)
		events <- opened(7, "curl", "10.0.0.3:1")
		synctest.Wait()
		const ms = time.Millisecond
		want := []shownEvent{
			{"10.0.0.1", "host-10.0.0.1", 20 * ms, 7},
			{"10.0.0.2", "", 110 * ms, 7}, // it came at 10 ms
			{"10.0.0.3", "", 120 * ms, 7},
			{"10.0.0.1", "host-10.0.0.1", 120 * ms, 7},
			{"10.0.0.2", "", 140 * ms, 7},
			{"10.0.0.2", "host-10.0.0.2", 1050 * ms, 7},
			{"10.0.0.3", "", 6050 * ms, 7}, // nobody waits for what did not come
		}
		if len(*all) != len(want) {
			t.Fatalf("given out: %v", *all)
		}
		for i, e := range *all {
			if e != want[i] {
				t.Errorf("event %d is %v, want %v", i, e, want[i])
			}
		}
	})
}

// TestNamedStream_Load: of many events with a name each that does not come, none
// is lost and they are not held.
func TestNamedStream_Load(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := &fakeDNS{answer: func(ctx context.Context, addr string) ([]string, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		events, all := showHeld(t.Context(), dns.named(t), 1)
		const n = 100 * maxHeld
		began := time.Now()
		for i := range n {
			e := opened(7, "scan", "10.0.0.1:1")
			e.Session.Remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1)
			events <- e
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("%d events were held up for %v", n, took)
		}
		time.Sleep(nameWait)
		synctest.Wait()
		if len(*all) != n {
			t.Errorf("%d events of %d were given out", len(*all), n)
		}
		for i, e := range *all {
			if want := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String(); e.addr != want {
				t.Fatalf("event %d is of %s, want %s", i, e.addr, want)
			}
		}
	})
}

// TestNamedStream_Ends: who ends it gets what was held, at once; an error comes
// after it.
func TestNamedStream_Ends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := &fakeDNS{answer: func(ctx context.Context, addr string) ([]string, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		names := dns.named(t)
		ctx, cancel := context.WithCancel(t.Context())
		events, all := showHeld(ctx, names, 1)
		for range 10 {
			events <- opened(7, "curl", "10.0.0.1:1")
		}
		synctest.Wait()
		if len(*all) != 0 {
			t.Errorf("%d were given out before the time", len(*all))
		}
		cancel()
		synctest.Wait()
		if len(*all) != 10 {
			t.Errorf("%d of 10 were given out at the end", len(*all))
		}

		broken := newFakeStream(someEvents(3)...)
		broken.err = errors.New("it broke")
		n := 0
		err := (&namedStream{eventStream: broken, names: names}).Each(t.Context(), func(*whose.Event) bool {
			n++
			return true
		})
		if n != 6 || !errors.Is(err, broken.err) {
			t.Errorf("%d events came, and then %v, want 6 and the error", n, err)
		}
		n = 0
		err = (&namedStream{eventStream: newFakeStream(someEvents(3)...), names: names}).Each(t.Context(), func(*whose.Event) bool {
			n++
			return n < 4
		})
		if n != 4 || err != nil {
			t.Errorf("%d events came to who wanted 4, and then %v", n, err)
		}
	})
}

// TestNamedStream_OwnQuestions: each question is a session of our own to a name
// server, which is an event with a remote address of its own. That comes to an
// end, whether the server answers, and whenever the end of a session is seen.
func TestNamedStream_OwnQuestions(t *testing.T) {
	for _, answers := range []bool{true, false} {
		for _, seenAfter := range []time.Duration{0, 3 * time.Hour} {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				own := uint32(os.Getpid())
				var events chan<- whose.Event
				dns := &fakeDNS{}
				dns.answer = func(ctx context.Context, addr string) ([]string, error) {
					e := opened(own, "whose", "10.255.255.53:53")
					events <- e
					go func() {
						time.Sleep(seenAfter)
						e.Kind = whose.EventClose
						select {
						case events <- e:
						case <-t.Context().Done():
						}
					}()
					if answers {
						return []string{"host-" + addr}, nil
					}
					<-ctx.Done()
					return nil, ctx.Err()
				}
				events, all := showHeld(ctx, dns.named(t), own)
				for _, addr := range []string{"192.0.2.1:80", "192.0.2.2:80"} {
					events <- opened(7, "curl", addr)
				}
				time.Sleep(24 * time.Hour)
				synctest.Wait()
				want := map[string]int{"192.0.2.1": 1, "192.0.2.2": 1, "10.255.255.53": 1}
				if diff := cmp.Diff(want, dns.asked); diff != "" {
					t.Errorf("questions for two addresses and a name server (-want +got):\n%s", diff)
				}
				if len(*all) != 2+2*3 {
					t.Errorf("%d events, want the two and those of three questions", len(*all))
				}
			})
		}
	}
}

// resolving is a watch with these arguments that asks this look-up.
func resolving(t *testing.T, out io.Writer, dns *fakeDNS, args ...string) *watch {
	t.Helper()
	services := filepath.Join(t.TempDir(), "services")
	if err := os.WriteFile(services, []byte("https 443/tcp\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return watchingIn(t, &shell{
		out: out, err: io.Discard, getenv: func(string) string { return "" }, lookup: dns.lookup, services: services,
	}, args...)
}

// TestWatch_Resolve: names and services stand in the lines and in the summary.
func TestWatch_Resolve(t *testing.T) {
	dns := &fakeDNS{answer: func(context.Context, string) ([]string, error) { return []string{"www.example.com."}, nil }}
	for args, want := range map[string][]string{
		"--resolve":              {" → www.example.com:https\n", " → www.example.com:https  closed by remote after 1 s"},
		"--resolve --summary":    {" → www.example.com:https\n", "\n93.184.215.14  www.example.com ", "10.0.0.5:40001 → www.example.com:https "},
		"--resolve --summary -q": {"\nREMOTE         NAME ", "\n93.184.215.14  www.example.com "},
	} {
		var out bytes.Buffer
		w := resolving(t, &out, dns, append([]string{"--for", "50ms"}, strings.Fields(args)...)...)
		if err := w.show(t.Context(), func() {}, w.named(newFakeStream(someEvents(2)...))); err != nil {
			t.Fatal(err)
		}
		w.names.Close()
		for _, text := range want {
			if !strings.Contains(out.String(), text) {
				t.Errorf("%s: no %q in:\n%s", args, text, out.String())
			}
		}
		if w.quiet && strings.Contains(out.String(), " open   out ") {
			t.Errorf("%s: lines were shown:\n%s", args, out.String())
		}
	}
}

// TestWatch_ResolveTime: the summary waits for names as long as it was told.
func TestWatch_ResolveTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := &fakeDNS{answer: func(ctx context.Context, addr string) ([]string, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		var out bytes.Buffer
		w := resolving(t, &out, dns, "--for", "50ms", "--resolve", "--resolve-time", "3s", "--summary", "-q")
		began := time.Now()
		if err := w.show(t.Context(), func() {}, w.named(newFakeStream(someEvents(2)...))); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("it took %v, want 3s and the time of --for", took)
		}
		if !strings.Contains(out.String(), "\n93.184.215.14  - ") {
			t.Errorf("the summary has not the address alone:\n%s", out.String())
		}
	})
}

// TestWatch_ResolveRefused: formats for programs show no names.
func TestWatch_ResolveRefused(t *testing.T) {
	for _, args := range [][]string{{"-o", "jsonl"}, {"-o", "csv"}, {"-o", "tsv"}, {"--template", "{{.event}}"}} {
		w := &watch{sh: &shell{out: io.Discard, err: io.Discard, getenv: func(string) string { return "" }}}
		cmd := newWatch(w.sh)
		cmd.ResetFlags()
		w.addFlags(cmd)
		cmd.Flags().String("color", colorAuto, "")
		if err := cmd.ParseFlags(append(args, "--resolve")); err != nil {
			t.Fatal(err)
		}
		_, err := w.settle(cmd, nil)
		var usage *usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), "shows no names") {
			t.Errorf("%v: error %v", args, err)
		}
	}
}
