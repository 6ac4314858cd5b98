package main

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
)

func TestParseServices(t *testing.T) {
	got := parseServices(strings.NewReader("# services\nhttp\t80/tcp www # web\nhttp-alt 80/tcp\nntp 123/udp\n" +
		"broken\nx 99999/tcp\ny abc/tcp\nz 5/sctp\nevil\x1b[31m 7/tcp\n"))
	want := map[service]string{
		{whose.TCP, 80}: "http", {whose.UDP, 123}: "ntp", {whose.TCP, 7}: `evil\x1b[31m`,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(service{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	r := &resolver{services: got}
	if name := r.service(whose.MPTCP, 80); name != "http" {
		t.Errorf("mptcp port 80 is %q, want http", name)
	}
}

// TestResolver asks for each address once, in parallel, keeps the time, makes
// names safe, and asks again only for what it had no time for.
func TestResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sessions []whose.Session
		for i := range 200 {
			remote := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i % 100)}), 1)
			sessions = append(sessions, whose.Session{Remote: remote})
		}
		sessions = append(sessions, whose.Session{Remote: netip.AddrPortFrom(netip.IPv4Unspecified(), 0)})
		asked := make(chan string, 1000)
		r := &resolver{within: 2 * time.Second, hosts: make(map[netip.Addr]string)}
		r.lookup = func(ctx context.Context, addr string) ([]string, error) {
			asked <- addr
			switch addr {
			case "10.0.0.1":
				return []string{"evil\x1b[2J.example."}, nil
			case "10.0.0.2":
				<-ctx.Done()
				return nil, ctx.Err()
			case "10.0.0.3":
				return nil, errors.New("no such host")
			}
			time.Sleep(100 * time.Millisecond)
			return []string{"host-" + addr + "."}, nil
		}
		began := time.Now()
		r.learn(t.Context(), slices.Values(sessions))
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("took %v, want at most 2s", took)
		}
		if len(asked) != 100 {
			t.Errorf("%d questions for 100 addresses", len(asked))
		}
		for addr, want := range map[string]string{
			"10.0.0.1": `evil\x1b[2J.example`, "10.0.0.2": "", "10.0.0.3": "", "10.0.0.9": "host-10.0.0.9",
		} {
			if got := r.host(netip.MustParseAddr(addr)); got != want {
				t.Errorf("%s is %q, want %q", addr, got, want)
			}
		}
		r.learn(t.Context(), slices.Values(sessions))
		if len(asked) != 101 {
			t.Errorf("%d questions after the second time, want 101: what timed out again", len(asked))
		}
	})
}

// FuzzParseServices: whatever stands in the file, names are safe to show.
func FuzzParseServices(f *testing.F) {
	f.Add("http 80/tcp www # web\nntp 123/udp\n")
	f.Add("\x1b[31m 1/tcp\n\x00\n/ /\n")
	f.Fuzz(func(t *testing.T, text string) {
		for s, name := range parseServices(strings.NewReader(text)) {
			if name == "" || printable(name) != name {
				t.Errorf("port %d is named %q", s.port, name)
			}
		}
	})
}
