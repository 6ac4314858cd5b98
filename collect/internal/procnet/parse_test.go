package procnet

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/internal/source"
)

func kindOf(t testing.TB, name string) *kind {
	for i := range kinds {
		if kinds[i].name == name {
			return &kinds[i]
		}
	}
	t.Fatalf("no file %q", name)
	return nil
}

func addr16(s string) [16]byte { return netip.MustParseAddr(s).As16() }

func TestParseLine(t *testing.T) {
	tests := []struct {
		name, file, line string
		big              bool
		want             source.Socket
	}{
		{name: "listener with two waiting", file: "tcp",
			line: "   0: 0100007F:0016 00000000:0000 0A 00000000:00000002 00:00000000 00000000  1000        0 4711 1 000000004a07d99b 100 0 0 10 0",
			want: source.Socket{
				End: pair.End{Local: addr16("127.0.0.1"), Remote: addr16("0.0.0.0"), LocalPort: 22, Proto: whose.TCP, Family: whose.IPv4, State: whose.Listen}, RecvQueue: 2, UID: 1000, Inode: 4711, Flags: source.SocketNoLimit}},
		{name: "established, queues, large uid", file: "tcp",
			line: "  12: 0A00000A:C350 0B00000A:01BB 01 0000002A:00000007 01:00000014 00000000 4294967294        0 18446744073709551615 2 0 20 4 30 10 -1",
			want: source.Socket{End: pair.End{Local: addr16("10.0.0.10"), Remote: addr16("10.0.0.11"), LocalPort: 50000, RemotePort: 443, Proto: whose.TCP, Family: whose.IPv4, State: whose.Established},
				SendQueue: 42, RecvQueue: 7, UID: 4294967294, Inode: 18446744073709551615,
			}},
		{name: "time wait", file: "tcp",
			line: "   3: 0100007F:1F90 0100007F:9C40 06 00000000:00000000 03:00001770 00000000     0        0 0 3 0000000000000000",
			want: source.Socket{
				End: pair.End{Local: addr16("127.0.0.1"), Remote: addr16("127.0.0.1"), LocalPort: 8080, RemotePort: 40000, Proto: whose.TCP, Family: whose.IPv4, State: whose.TimeWait}, Flags: source.SocketNoFile}},
		{name: "request socket by its inner state", file: "tcp",
			line: "   4: 0100007F:1F90 0100007F:9C40 0C 00000000:00000000 01:00000064 00000000     0        0 0 0 0000000000000000",
			want: source.Socket{End: pair.End{Local: addr16("127.0.0.1"), Remote: addr16("127.0.0.1"), LocalPort: 8080, RemotePort: 40000, Proto: whose.TCP, Family: whose.IPv4, State: whose.SynRecv},
				Flags: source.SocketNoFile,
			}},
		{name: "IPv6", file: "tcp6",
			line: "   0: B80D0120000000000000000001000000:0050 000080FE00000000FF005450CB1C4AFE:D431 01 00000000:00000000 00:00000000 00000000    33        0 99 1 0",
			want: source.Socket{
				End: pair.End{Local: addr16("2001:db8::1"), Remote: addr16("fe80::5054:ff:fe4a:1ccb"), LocalPort: 80, RemotePort: 54321, Proto: whose.TCP, Family: whose.IPv6, State: whose.Established}, UID: 33, Inode: 99, Flags: source.SocketNoV6Only}},
		{name: "mapped", file: "tcp6",
			line: "   0: 0000000000000000FFFF00000100007F:0050 0000000000000000FFFF00000200007F:D431 01 00000000:00000000 00:00000000 00000000    33        0 99 1 0",
			want: source.Socket{End: pair.End{Local: addr16("::ffff:127.0.0.1"), Remote: addr16("::ffff:127.0.0.2"), LocalPort: 80, RemotePort: 54321, Proto: whose.TCP, Family: whose.IPv6, State: whose.Established},
				UID: 33, Inode: 99, Flags: source.SocketNoV6Only,
			}},
		{name: "big endian", file: "tcp6", big: true,
			line: "   0: 20010DB8000000000000000000000001:0050 00000000000000000000FFFF7F000002:D431 01 00000000:00000000 00:00000000 00000000    33        0 99 1 0",
			want: source.Socket{
				End: pair.End{Local: addr16("2001:db8::1"), Remote: addr16("::ffff:127.0.0.2"), LocalPort: 80, RemotePort: 54321, Proto: whose.TCP, Family: whose.IPv6, State: whose.Established}, UID: 33, Inode: 99, Flags: source.SocketNoV6Only}},
		{name: "udp bound", file: "udp",
			line: "  317: 3500007F:0035 00000000:0000 07 00000000:00000300 00:00000000 00000000   101        0 20461 2 0000000000000000 0",
			want: source.Socket{End: pair.End{Local: addr16("127.0.0.53"), Remote: addr16("0.0.0.0"), LocalPort: 53, Proto: whose.UDP, Family: whose.IPv4, State: whose.Unconn},
				RecvQueue: 0x300, UID: 101, Inode: 20461,
			}},
		{name: "udplite6 connected", file: "udplite6",
			line: "  317: 00000000000000000000000001000000:0035 00000000000000000000000001000000:0036 01 00000000:00000000 00:00000000 00000000   101        0 20461 2 0000000000000000 0",
			want: source.Socket{End: pair.End{Local: addr16("::1"), Remote: addr16("::1"), LocalPort: 53, RemotePort: 54, Proto: whose.UDPLite, Family: whose.IPv6, State: whose.Established}, UID: 101, Inode: 20461, Flags: source.SocketNoV6Only}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			order := littleEndian
			if test.big {
				order = bigEndian
			}
			got, err := kindOf(t, test.file).parseLine([]byte(test.line), order)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("wrong socket (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseLine_Malformed(t *testing.T) {
	const good = "   0: 0100007F:0016 00000000:0000 0A 00000000:00000002 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0"
	tests := []struct{ name, file, old, new, want string }{
		{"empty", "tcp", good, "", `line: want at least 10 columns, not 0`},
		{"cut", "tcp", "  1000        0 4711 1 0 100 0 0 10 0", "", "want at least 10 columns, not 7"},
		{"local address", "tcp", "0100007F:0016", "0100007F0016", `local address: want 8 hex digits, a colon and 4 hex digits`},
		{"remote address of the other family", "tcp6", "0100007F:0016", strings.Repeat("0", 32) + ":0016",
			`remote address: want 32 hex digits, a colon and 4 hex digits`},
		{"address digits", "tcp", "0100007F:0016", "0100007G:0016", `local address: want`},
		{"port digits", "tcp", "0100007F:0016", "0100007F:0x16", `local address: want`},
		{"state too large", "tcp", " 0A ", " 0D ", `state: want 01 to 0C`},
		{"state zero", "tcp", " 0A ", " 00 ", `state: want 01 to 0C`},
		{"state of tcp for udp", "udp", " 0A ", " 0A ", `state: want 01 or 07`},
		{"long state", "tcp", " 0A ", " 00A ", `state: want 2 hex digits`},
		{"queues", "tcp", "00000000:00000002", "00000000-00000002", `queues: want`},
		{"queue digits", "tcp", "00000000:00000002", "00000000:0000000Z", `queues: want`},
		{"uid too large", "tcp", " 1000 ", " 4294967296 ", `uid: want a decimal number of 32 bits`},
		{"negative uid", "tcp", " 1000 ", " -1 ", `uid: want`},
		{"inode too large", "tcp", " 4711 ", " 18446744073709551616 ", `inode: want a decimal number of 64 bits`},
		{"hostile", "tcp", " 4711 ", " \x1b[31m\xff ", `inode: want`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			line := strings.Replace(good, test.old, test.new, 1)
			_, err := kindOf(t, test.file).parseLine([]byte(line), littleEndian)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q in it", err, test.want)
			} else if test.new != "" && len(test.new) < len(good) && strings.Contains(err.Error(), strings.TrimSpace(test.new)) {
				t.Errorf("error %v quotes the file", err)
			}
		})
	}
}

func FuzzParseLine(f *testing.F) {
	for i := range kinds {
		f.Add(uint8(i), []byte("   0: 0100007F:0016 00000000:0000 0A 00000000:00000002 00:00000000 00000000  1000        0 4711 1 0"))
		f.Add(uint8(i), []byte("   0: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 20461 2 0 0"))
	}
	f.Fuzz(func(t *testing.T, i uint8, line []byte) {
		k := &kinds[int(i)%len(kinds)]
		little, err := k.parseLine(line, littleEndian)
		big, err2 := k.parseLine(line, bigEndian)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("the byte order decides whether %q is well formed: %v, %v", line, err, err2)
		}
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Fatalf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if little.Proto != k.proto || little.Family != k.family || !whose.AllStates.Has(little.State) {
			t.Fatalf("%q parsed as %+v", line, little)
		}
		swap(&little.Local, k.family)
		swap(&little.Remote, k.family)
		if little != big {
			t.Fatalf("%q: little endian %+v, big endian %+v", line, little, big)
		}
	})
}

// swap turns each word of an address around.
func swap(addr *[16]byte, family whose.Family) {
	first := 12
	if family == whose.IPv6 {
		first = 0
	}
	for i := first; i < 16; i += 4 {
		binary.BigEndian.PutUint32(addr[i:], binary.LittleEndian.Uint32(addr[i:]))
	}
}

func TestParseTimer(t *testing.T) {
	const line = "  1: 0100007F:1D13 0100007F:A2B4 01 00000000:00000000 %s     0        %s 4711 1 0000000000000000 20 4 30 10 -1"
	for _, c := range []struct {
		timer, probes string
		want          whose.Timer
	}{
		{"00:00000000 00000000", "0", whose.Timer{}},
		{"01:00000014 00000003", "7", whose.Timer{Kind: whose.TimerRetransmit, Left: 200 * time.Millisecond, Retrans: 3}},
		{"02:000493E0 00000003", "7", whose.Timer{Kind: whose.TimerKeepalive, Left: 3000 * time.Second, Retrans: 7}},
		{"03:00001770 00000000", "0", whose.Timer{Kind: whose.TimerTimeWait, Left: time.Minute}},
		{"04:00000000 00000000", "1", whose.Timer{Kind: whose.TimerPersist, Retrans: 1}},
	} {
		if got, err := parseTimer([]byte(fmt.Sprintf(line, c.timer, c.probes))); err != nil || got != c.want {
			t.Errorf("timer %s, probes %s: %+v, %v; want %+v", c.timer, c.probes, got, err, c.want)
		}
	}
	for _, bad := range [][2]string{{"0100000014 00000003", "0"}, {"xx:00000014 00000003", "0"}, {"01:0000001g 00000003", "0"},
		{"01: 00000003", "0"}, {"01:00000014 0000000z", "0"}, {"01:00000014 00000003", "-1"}, {"01:000000140 00000003", "0"}} {
		if got, err := parseTimer([]byte(fmt.Sprintf(line, bad[0], bad[1]))); err == nil {
			t.Errorf("timer %q, probes %q: %+v, want an error", bad[0], bad[1], got)
		}
	}
}
