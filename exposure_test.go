package whose_test

import (
	"net/netip"
	"testing"

	"github.com/seed-44df2ae6/whose"
)

func TestExposureOf(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1": "loopback", "127.255.255.254": "loopback", "::1": "loopback", "::ffff:127.0.0.1": "loopback",
		"0.0.0.0": "any", "::": "any", "::ffff:0.0.0.0": "any",
		"169.254.0.1": "link", "fe80::1": "link", "fe80::1%eth0": "link", "febf::1": "link", "255.255.255.255": "link",
		"10.0.0.0": "private", "9.255.255.255": "public", "11.0.0.0": "public",
		"172.15.255.255": "public", "172.16.0.0": "private", "172.31.255.255": "private", "172.32.0.0": "public",
		"192.168.0.1": "private", "192.169.0.1": "public",
		"100.63.255.255": "public", "100.64.0.0": "private", "100.127.255.255": "private", "100.128.0.0": "public",
		"198.17.0.0": "public", "198.18.0.0": "private", "198.19.255.255": "private", "198.20.0.0": "public",
		"fbff::1": "public", "fc00::1": "private", "fdff::1": "private", "fec0::1": "private", "fec0::1%eth0": "private",
		"2001:db8::1": "public", "8.8.8.8": "public", "::ffff:10.1.2.3": "private", "::ffff:8.8.8.8": "public",
		"224.0.0.251": "link", "224.0.1.1": "public", "239.255.255.250": "private", "238.0.0.1": "public",
		"ff01::1": "loopback", "ff02::fb": "link", "ff05::2": "private", "ff08::1": "private", "ff0e::1": "public", "ff32::1": "link",
	} {
		local := netip.MustParseAddr(addr)
		if got := whose.ExposureOf(local, false).String(); got != want {
			t.Errorf("exposure of %s is %q, want %q", addr, got, want)
		}
		if got := whose.ExposureOf(local, true); got != whose.ExposureLoopback {
			t.Errorf("exposure of %s on the loopback device is %v, want loopback", addr, got)
		}
	}
	if got := whose.ExposureOf(netip.Addr{}, false); got != whose.ExposureAny {
		t.Errorf("exposure of no address is %v, want any", got)
	}
}
