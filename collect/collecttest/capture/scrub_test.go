package main

import (
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	const line = "   1: 0100007F:0016 08080808:01BB 01 00000000:00000000 00:00000000 00000000  1000        0 4711 1 ffff8881deadbeef 20 4 30 10 -1\n"
	s := newScrubber()
	got := s.table("  sl  local_address\n" + line + line)
	want := "  sl  local_address\n" + strings.Repeat(
		"   1: 0100007F:0016 0100000A:01BB 01 00000000:00000000 00:00000000 00000000  1000        0 4711\n", 2)
	if hostIsLittle() && got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, secret := range []string{"08080808", "deadbeef"} {
		if strings.Contains(got, secret) {
			t.Errorf("%s is still there:\n%s", secret, got)
		}
	}
}

func TestEnd_IPv6(t *testing.T) {
	s := newScrubber()
	for text, want := range map[string]string{
		"00000000000000000000000001000000:0050": "00000000000000000000000001000000:0050",
		"0000000000000000FFFF00000100007F:0050": "0000000000000000FFFF00000100007F:0050",
		"0047:1":                                "0:0",
		"zz":                                    "0:0",
	} {
		if got := s.end(text); hostIsLittle() && got != want {
			t.Errorf("%s became %s, want %s", text, got, want)
		}
	}
	const secret = "B80D01200000000000000000EFBEADDE:0050"
	if got := s.end(secret); len(got) != len(secret) || strings.Contains(got, "EFBEADDE") {
		t.Errorf("%s became %s", secret, got)
	}
}

func hostIsLittle() bool {
	raw := []byte{0, 1, 2, 3}
	turn(raw)
	return raw[0] == 3
}

func TestScrubFile(t *testing.T) {
	got := scrubFile("stat", "7 (a) b)) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 6004736 930 18446744073709551615 93917090996224\n")
	want := "7 (a) b)) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 0 0 0 0\n"
	if got != want {
		t.Errorf("stat became %q, want %q", got, want)
	}
	got = scrubFile("status", "Name:\ta\nVmPeak:\t1 kB\nThreads:\t1\n")
	if want := "Name:\ta\nThreads:\t1\n"; got != want {
		t.Errorf("status became %q, want %q", got, want)
	}
}
