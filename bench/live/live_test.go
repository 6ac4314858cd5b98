//go:build linux

package main

import (
	"strings"
	"testing"
	"time"
)

func TestParseWrk(t *testing.T) {
	const text = `Running 2s test @ http://127.0.0.1:8080/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   523.10us  412.01us  15.20ms   97.61%
  65421 requests in 2.00s, 10.98MB read
  Socket errors: connect 0, read 3, write 0, timeout 0
Requests/sec:  32655.12
Transfer/sec:      5.48MB
`
	v, err := parseWrk(text)
	if err != nil {
		t.Fatal(err)
	}
	want := volley{requests: 65421, rate: 32655.12, faults: "Socket errors: connect 0, read 3, write 0, timeout 0"}
	if v != want {
		t.Errorf("got %+v, want %+v", v, want)
	}
	if _, err := parseWrk("unable to connect to 127.0.0.1:8080 Connection refused"); err == nil {
		t.Error("a failure was read as a result")
	}
}

func TestParseStatus(t *testing.T) {
	n, err := parseStatus("Active connections: 1 \nserver accepts handled requests\n 69040 69040 69041 \nReading: 0 Writing: 1 Waiting: 0 \n")
	if err != nil || n != 69040 {
		t.Errorf("got %d, %v", n, err)
	}
	if _, err := parseStatus("404"); err == nil {
		t.Error("another page was read as status")
	}
}

func TestCountLines(t *testing.T) {
	tests := []struct {
		name        string
		server      func([]byte) bool
		text        string
		lines, seen uint64
	}{
		{"whose", whoseLine, `{"version":1,"event":"open","session":{"local_addr":"127.0.0.1","local_port":8080,"remote_port":4000}}
{"version":1,"event":"close","end":"orderly","session":{"local_addr":"127.0.0.1","local_port":8080,"remote_port":4000}}
{"version":1,"event":"close","end":"orderly","session":{"local_addr":"127.0.0.1","local_port":4000,"remote_port":8080}}
`, 3, 1},
		{"tcplife", tcplifeLine, `PID     COMM             LADDR           LPORT RADDR           RPORT TX_KB  RX_KB  MS
16045   nginx            127.0.0.1       8080  127.0.0.1       44073 0.00   0.00   1.23
16045   wrk              127.0.0.1       44073 127.0.0.1       8080  0.00   0.00   1.33
`, 3, 1},
		{"conntrack", conntrackLine, `    [NEW] tcp      6 120 SYN_SENT src=127.0.0.1 dst=127.0.0.1 sport=51234 dport=8080 [UNREPLIED] src=127.0.0.1 dst=127.0.0.1 sport=8080 dport=51234
 [UPDATE] tcp      6 60 SYN_RECV src=127.0.0.1 dst=127.0.0.1 sport=51234 dport=8080 src=127.0.0.1 dst=127.0.0.1 sport=8080 dport=51234
`, 2, 1},
		{"tcptracer", tcptracerLine, `T  PID    COMM             IP SADDR            DADDR            SPORT  DPORT
A  31      nginx            4  127.0.0.1        127.0.0.1        8080   44073
C  32      wrk              4  127.0.0.1        127.0.0.1        44073  8080
`, 3, 1},
		{"a last line without end", tcplifeLine, strings.Repeat("x", 3<<20), 1, 0},
	}
	for _, test := range tests {
		lines, seen, err := countLines(strings.NewReader(test.text), test.server)
		if err != nil || lines != test.lines || seen != test.seen {
			t.Errorf("%s: %d lines, %d seen, %v; want %d, %d", test.name, lines, seen, err, test.lines, test.seen)
		}
	}
}

func TestLostIn(t *testing.T) {
	for line, want := range map[string]uint64{
		`{"version":1,"time":"x","event":"lost","lost":4711,"why":"ring buffer full"}`: 4711,
		`{"version":1,"event":"close","session":{"comm":"\"lost\":9"}}`:                0,
	} {
		if got := lostIn([]byte(line)); got != want {
			t.Errorf("%s: %d, want %d", line, got, want)
		}
	}
}

func TestReportOf(t *testing.T) {
	ws := []watcher{{name: nobody}, {name: whoseRow, args: []string{"whose"}}, {name: "other", args: []string{"x"}, fault: "no"}}
	samples := map[string][]sample{
		nobody: {{rate: 1000, made: 10}, {rate: 3000, made: 10}, {rate: 2000, made: 10}},
		whoseRow: {
			{rate: 1800, without: 2000, made: 10, seen: 9, lines: 40, user: 20 * time.Microsecond, peakKiB: 2048, lost: 4},
			{rate: 1700, without: 2000, made: 10, seen: 10, lines: 40, user: 20 * time.Microsecond, peakKiB: 1024},
			{rate: 900, without: 1000, made: 10, seen: 10, lines: 40, user: 20 * time.Microsecond, peakKiB: 1024},
		},
	}
	page := reportOf(ws, samples, options{rounds: 3, span: time.Second}).Markdown(1)
	for _, want := range []string{
		"| nobody | 2000 | | | | | | 30 | | |",
		"| " + whoseRow + " | 1700 | 90.0 % | 85.0..90.0 % | 0.50 µs | 0.00 µs | 120 | 30 | 1 (3.333 %) | 2.0 |",
		"- " + whoseRow + " told 4 events as lost",
		"- other does not run here: no",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

func TestFlatness(t *testing.T) {
	var c counting
	if n, err := c.Write([]byte("a\nb\nc")); n != 5 || err != nil || c.lines != 2 {
		t.Errorf("wrote %d, %v, counted %d lines", n, err, c.lines)
	}
	f := flatness{span: time.Minute, kib: []int64{1024, 2048, 4096, 3072}, sockets: []int64{5, 6, 7, 8}}
	text := strings.Join(f.notes(), "\n")
	if want := "resident 1.0 MiB after 10 s, 4.0 in the middle, 3.0 at the end; second half between 3.0 and 4.0"; !strings.Contains(text, want) {
		t.Errorf("got %q, want %q", text, want)
	}
}
