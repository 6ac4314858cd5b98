package hostname

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
func (d *fakeDNS) named(t *testing.T) *Resolver {
	r := New(2*time.Second, d.lookup)
	t.Cleanup(r.Close)
	return r
}

// noSuchHost is what the look-up says of an address without a name.
func noSuchHost(addr string) error {
	return &net.DNSError{Err: "no such host", Name: addr, IsNotFound: true}
}

// TestResolver_LearnOnce: it asks for each address once, in parallel, keeps the
// time, and asks again a minute later only for what was not answered.
func TestResolver_LearnOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		addrs := []netip.Addr{{}, netip.IPv4Unspecified()}
		for i := range 200 {
			addrs = append(addrs, netip.AddrFrom4([4]byte{10, 0, 0, byte(i % 100)}))
		}
		dns := &fakeDNS{answer: func(ctx context.Context, addr string) ([]string, error) {
			switch addr {
			case "10.0.0.1":
				return []string{"evil\x1b[2J.example."}, nil
			case "10.0.0.2":
				<-ctx.Done()
				return nil, ctx.Err()
			case "10.0.0.3":
				return nil, noSuchHost(addr)
			}
			time.Sleep(100 * time.Millisecond)
			return []string{"host-" + addr + "."}, nil
		}}
		r := dns.named(t)
		began := time.Now()
		r.Learn(t.Context(), addrs)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("took %v, want at most 2s", took)
		}
		if dns.questions() != 100 {
			t.Errorf("%d questions for 100 addresses", dns.questions())
		}
		for addr, want := range map[string]string{
			"10.0.0.1": "evil\x1b[2J.example", "10.0.0.2": "", "10.0.0.3": "", "10.0.0.9": "host-10.0.0.9",
		} {
			if got := r.Name(netip.MustParseAddr(addr)); got != want {
				t.Errorf("%s is %q, want %q", addr, got, want)
			}
		}
		synctest.Wait()
		time.Sleep(time.Minute)
		r.Learn(t.Context(), addrs)
		if dns.questions() != 101 {
			t.Errorf("%d questions after the second time, want 101: what timed out again", dns.questions())
		}
	})
}

// TestResolver_Asked: what is answered is not asked for again before it is
// old; what was not answered is, after a minute; for our own sessions never.
func TestResolver_Asked(t *testing.T) {
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
				names.Ask(netip.AddrFrom4([4]byte{10, 0, 0, i + 1}), !own)
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
		if name := names.Name(netip.MustParseAddr("10.0.0.1")); name != "one.example" {
			t.Errorf("the name is %q after a question that failed, want the one of before", name)
		}
		time.Sleep(time.Minute)
	})
}

// TestResolver_Names: a name loses its last dot and nothing else, and none stands
// for another address.
func TestResolver_Names(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := map[string][]string{
			"10.0.0.1": {"evil\x1b[2J.example."}, "10.0.0.2": {"192.0.2.1."}, "10.0.0.3": {"fe80::1"}, "10.0.0.4": {},
		}
		dns := &fakeDNS{answer: func(_ context.Context, addr string) ([]string, error) { return answers[addr], nil }}
		names := dns.named(t)
		for addr := range answers {
			names.Ask(netip.MustParseAddr(addr), true)
		}
		synctest.Wait()
		for addr, want := range map[string]string{"10.0.0.1": "evil\x1b[2J.example", "10.0.0.2": "", "10.0.0.3": "", "10.0.0.4": ""} {
			if got := names.Name(netip.MustParseAddr(addr)); got != want {
				t.Errorf("%s is %q, want %q", addr, got, want)
			}
		}
	})
}

// TestResolver_Bounded: questions at once, questions that wait, and what is
// remembered; who is needed again is not forgotten.
func TestResolver_Bounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := &fakeDNS{answer: func(_ context.Context, addr string) ([]string, error) {
			time.Sleep(10 * time.Millisecond)
			return []string{"host-" + addr}, nil
		}}
		names := dns.named(t)
		addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
		for i := range 10 * maxWaiting {
			names.Ask(addr(i), true)
		}
		synctest.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		if n := dns.questions(); n < maxWaiting || n > maxWaiting+maxWorkers || dns.most > maxWorkers {
			t.Errorf("%d questions, %d at once, want at most %d and %d", n, dns.most, maxWaiting+maxWorkers, maxWorkers)
		}
		for i := range 3 * maxKept {
			names.Ask(addr(1<<20+i), true)
			names.Ask(addr(0), true)
			if i%maxWaiting == 0 {
				time.Sleep(time.Second)
			}
		}
		time.Sleep(time.Second)
		if n := len(names.young) + len(names.old); n > 2*maxKept || dns.times("10.0.0.0") != 1 {
			t.Errorf("%d addresses remembered, want at most %d; one needed all the time was asked for %d times", n, 2*maxKept, dns.times("10.0.0.0"))
		}
	})
}

// TestResolver_Learn: all at once, and no longer than the time is.
func TestResolver_Learn(t *testing.T) {
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
		for i := range 2 * maxWaiting {
			wanted = append(wanted, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
		}
		began := time.Now()
		names.Learn(t.Context(), wanted)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("it took %v, want the 2s that one of them takes", took)
		}
		for i, a := range wanted[1:] {
			if got, want := names.Name(a), fmt.Sprint("host-", a); got != want {
				t.Fatalf("number %d is %q, want %q", i, got, want)
			}
		}
		began = time.Now()
		names.Learn(t.Context(), wanted)
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v though all was asked for", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		names.Learn(ctx, []netip.Addr{netip.MustParseAddr("10.1.0.0")})
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %v, want the 1s after which nobody wants it", took)
		}
	})
}
