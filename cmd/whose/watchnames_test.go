package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A fakeDNS answers questions as its function does, and counts them.
type fakeDNS struct {
	mu     sync.Mutex
	asked  map[string]int
	now    int // questions that wait for their answer
	most   int
	answer func(ctx context.Context, addr string) ([]string, error)
}

func (d *fakeDNS) lookup(ctx context.Context, addr string) ([]string, error) {
	d.mu.Lock()
	if d.asked == nil {
		d.asked = make(map[string]int)
	}
	d.asked[addr]++
	d.now++
	d.most = max(d.most, d.now)
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		d.now--
		d.mu.Unlock()
	}()
	return d.answer(ctx, addr)
}

func (d *fakeDNS) times(addr string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked[addr]
}

func (d *fakeDNS) questions() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, times := range d.asked {
		n += times
	}
	return n
}

// named are names that a fake look-up gives, within two seconds.
func (d *fakeDNS) named(t *testing.T) *laterNames {
	n := newLaterNames(&resolver{within: 2 * time.Second, lookup: d.lookup})
	t.Cleanup(n.close)
	return n
}

// noSuchHost is what the look-up says of an address without a name.
func noSuchHost(addr string) error {
	return &net.DNSError{Err: "no such host", Name: addr, IsNotFound: true}
}

// TestLaterNames_Asked: what is answered is not asked for again before it is
// old; what was not answered is, after a minute; for our own sessions never.
func TestLaterNames_Asked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		renamed := false
		dns := &fakeDNS{answer: func(ctx context.Context, addr string) ([]string, error) {
			switch {
			case addr == "10.0.0.1" && renamed:
				return nil, errors.New("server misbehaving")
			case addr == "10.0.0.1":
				return []string{"one.example."}, nil
			case addr == "10.0.0.2":
				return nil, noSuchHost(addr)
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		names := dns.named(t)
		ask := func(own bool) {
			for i := range byte(3) {
				names.ask(netip.AddrFrom4([4]byte{10, 0, 0, i + 1}), own)
			}
		}
		for _, step := range []struct {
			after time.Duration
			own   bool
			want  [3]int
		}{
			{0, true, [3]int{1, 1, 1}}, // our own are asked for once
			{time.Second, false, [3]int{1, 1, 1}},
			{30 * time.Second, false, [3]int{1, 1, 1}},
			{time.Minute, true, [3]int{1, 1, 1}},
			{0, false, [3]int{1, 1, 2}},
			{30 * time.Minute, false, [3]int{1, 1, 3}},
			{time.Hour, true, [3]int{1, 1, 3}},
			{0, false, [3]int{2, 2, 4}},
		} {
			time.Sleep(step.after)
			ask(step.own)
			ask(step.own)
			synctest.Wait()
			got := [3]int{dns.times("10.0.0.1"), dns.times("10.0.0.2"), dns.times("10.0.0.3")}
			if got != step.want {
				t.Fatalf("after %v more: asked %v times, want %v", step.after, got, step.want)
			}
		}
		renamed = true
		time.Sleep(2 * time.Hour)
		ask(false)
		synctest.Wait()
		if name := names.host(netip.MustParseAddr("10.0.0.1")); name != "one.example" {
			t.Errorf("the name is %q after a question that failed, want the one of before", name)
		}
		time.Sleep(time.Minute)
	})
}

// TestLaterNames_Safe: a name cannot act on a terminal, and none stands for
// another address.
func TestLaterNames_Safe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := map[string][]string{
			"10.0.0.1": {"evil\x1b[2J.example."}, "10.0.0.2": {"192.0.2.1."}, "10.0.0.3": {"fe80::1"}, "10.0.0.4": {},
		}
		dns := &fakeDNS{answer: func(_ context.Context, addr string) ([]string, error) { return answers[addr], nil }}
		names := dns.named(t)
		for addr := range answers {
			names.ask(netip.MustParseAddr(addr), false)
		}
		synctest.Wait()
		for addr, want := range map[string]string{"10.0.0.1": `evil\x1b[2J.example`, "10.0.0.2": "", "10.0.0.3": "", "10.0.0.4": ""} {
			if got := names.host(netip.MustParseAddr(addr)); got != want {
				t.Errorf("%s is %q, want %q", addr, got, want)
			}
		}
	})
}

// TestLaterNames_Bounded: questions at once, questions that wait, and what is
// remembered; who is needed again is not forgotten.
func TestLaterNames_Bounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := &fakeDNS{answer: func(_ context.Context, addr string) ([]string, error) {
			time.Sleep(10 * time.Millisecond)
			return []string{"host-" + addr}, nil
		}}
		names := dns.named(t)
		addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
		for i := range 10 * laterWaiting {
			names.ask(addr(i), false)
		}
		synctest.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		if n := dns.questions(); n < laterWaiting || n > laterWaiting+laterWorkers || dns.most > laterWorkers {
			t.Errorf("%d questions, %d at once, want at most %d and %d", n, dns.most, laterWaiting+laterWorkers, laterWorkers)
		}
		for i := range 3 * laterKept {
			names.ask(addr(1<<20+i), false)
			names.ask(addr(0), false)
			if i%laterWaiting == 0 {
				time.Sleep(time.Second)
			}
		}
		time.Sleep(time.Second)
		if n := len(names.young) + len(names.old); n > 2*laterKept || dns.times("10.0.0.0") != 1 {
			t.Errorf("%d addresses remembered, want at most %d; one needed all the time was asked for %d times", n, 2*laterKept, dns.times("10.0.0.0"))
		}
	})
}

// TestLaterNames_Learn: all at once, and no longer than the time is.
func TestLaterNames_Learn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := &fakeDNS{answer: func(ctx context.Context, addr string) ([]string, error) {
			if addr == "10.0.0.0" || addr == "10.1.0.0" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			time.Sleep(10 * time.Millisecond)
			return []string{"host-" + addr}, nil
		}}
		names := dns.named(t)
		var wanted []netip.Addr
		for i := range 2 * laterWaiting {
			wanted = append(wanted, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
		}
		began := time.Now()
		names.learn(t.Context(), wanted)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("it took %v, want the 2s that one of them takes", took)
		}
		for i, a := range wanted[1:] {
			if got, want := names.host(a), fmt.Sprint("host-", a); got != want {
				t.Fatalf("number %d is %q, want %q", i, got, want)
			}
		}
		began = time.Now()
		names.learn(t.Context(), wanted)
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v though all was asked for", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		names.learn(ctx, []netip.Addr{netip.MustParseAddr("10.1.0.0")})
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %v, want the 1s after which nobody wants it", took)
		}
	})
}
