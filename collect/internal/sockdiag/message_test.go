package sockdiag

import (
	"cmp"
	"encoding/binary"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/netlink"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// answer builds netlink messages as the kernel does.
type answer struct{ b []byte }

func (a *answer) message(typ, flags uint16, seq, port uint32, body []byte) *answer {
	ne := binary.NativeEndian
	a.b = ne.AppendUint32(a.b, uint32(netlink.HeaderLen+len(body)))
	a.b = ne.AppendUint16(a.b, typ)
	a.b = ne.AppendUint16(a.b, flags)
	a.b = ne.AppendUint32(a.b, seq)
	a.b = ne.AppendUint32(a.b, port)
	a.b = append(a.b, body...)
	for len(a.b)%4 != 0 {
		a.b = append(a.b, 0)
	}
	return a
}

// socket appends a message of an IPv4 socket with the cookie as its port.
func (a *answer) socket(cookie uint32) *answer {
	return a.message(netlink.TypeTCP, 2, 7, 9, diagMsg(netlink.FamilyIPv4, stateEstablished, cookie))
}

func (a *answer) done() *answer { return a.message(netlink.TypeDone, 2, 7, 9, []byte{0, 0, 0, 0}) }

func diagMsg(family, state byte, cookie uint32) []byte {
	b := make([]byte, netlink.DiagLen)
	b[0], b[1] = family, state
	binary.BigEndian.PutUint16(b[4:], uint16(cookie))
	binary.BigEndian.PutUint16(b[6:], 443)
	copy(b[8:], []byte{127, 0, 0, 1})
	copy(b[24:], []byte{10, 0, 0, 1})
	binary.NativeEndian.PutUint32(b[44:], cookie)
	return b
}

func newDump() dump {
	return dump{seq: 7, port: 9, proto: whose.TCP, netns: 4711, families: whose.AllFamilies, states: whose.AllStates}
}

func TestDatagram_Socket(t *testing.T) {
	ne := binary.NativeEndian
	body := diagMsg(netlink.FamilyIPv6, stateListen, 0)
	copy(body[8:], []byte{0xfe, 0x80, 15: 1})
	binary.BigEndian.PutUint16(body[4:], 8080)
	binary.BigEndian.PutUint16(body[6:], 0)
	ne.PutUint32(body[40:], 3)
	ne.PutUint32(body[44:], 0x11223344)
	ne.PutUint32(body[48:], 0x55667788)
	ne.PutUint32(body[56:], 5)
	ne.PutUint32(body[60:], 128)
	ne.PutUint32(body[64:], 1000)
	ne.PutUint32(body[68:], 31337)
	body = appendAttr(body, attrV6Only, []byte{1})
	body = appendAttr(body, attrMark, ne.AppendUint32(nil, 77))
	body = appendAttr(body, attrCgroupID, ne.AppendUint64(nil, 1<<40))
	body = appendAttr(body, 8, []byte{3}) // INET_DIAG_SHUTDOWN, not read
	var a answer
	a.message(netlink.TypeByFamily, 2, 7, 9, body).done()
	d := newDump()
	var out rows
	d.datagram(a.b, &out)
	want := source.Socket{
		End:    pair.End{Local: [16]byte{0xfe, 0x80, 15: 1}, Remote: [16]byte{10, 0, 0, 1}, NetNS: 4711, Device: 3, LocalPort: 8080, Proto: whose.TCP, Family: whose.IPv6, State: whose.Listen, V6Only: true},
		Cookie: 0x5566778811223344, Inode: 31337, Cgroup: 1 << 40, UID: 1000, Mark: 77, RecvQueue: 5, SendQueue: 128,
	}
	if diff := gocmp.Diff([]source.Socket{want}, out.sockets); diff != "" {
		t.Error(diff)
	}
	if !d.done || d.errno != 0 || d.malformed != 0 || d.foreign != 0 {
		t.Errorf("dump: %+v", d)
	}
	if _, ok := out.devices[source.Device{NetNS: 4711, Index: 3}]; !ok {
		t.Errorf("devices: %v", out.devices)
	}
}

func TestDatagram_TCPInfo(t *testing.T) {
	ne := binary.NativeEndian
	info := make([]byte, 248)
	ne.PutUint32(info[infoRTT:], 1500)
	ne.PutUint32(info[infoLastSent:], 7000)
	ne.PutUint32(info[infoLastReceived:], 4)
	ne.PutUint32(info[infoCwnd:], 10)
	ne.PutUint32(info[infoTotalRetrans:], 3)
	ne.PutUint64(info[infoBytesReceived:], 111)
	ne.PutUint64(info[infoBytesSent:], 1000)
	ne.PutUint64(info[infoBytesRetrans:], 100)
	full := whose.TCPInfo{RTT: 1500 * time.Microsecond, Retrans: 3, BytesSent: 900, BytesReceived: 111, Cong: "cubic", Cwnd: 10, HasIdle: true, Idle: 4 * time.Millisecond}
	for _, c := range []struct {
		name string
		size int
		want whose.TCPInfo
	}{
		{"whole", len(info), full},
		{"Linux 4.1", infoBytesSent, whose.TCPInfo{RTT: full.RTT, Retrans: 3, BytesReceived: 111, Cong: "cubic", Cwnd: 10, HasIdle: true, Idle: full.Idle}},
		{"Linux 3.3", infoTotalRetrans + 4, whose.TCPInfo{RTT: full.RTT, Retrans: 3, Cong: "cubic", Cwnd: 10, HasIdle: true, Idle: full.Idle}},
		{"nothing", 0, whose.TCPInfo{Cong: "cubic"}},
	} {
		body := appendAttr(diagMsg(netlink.FamilyIPv4, stateEstablished, 1), attrInfo, info[:c.size])
		body = appendAttr(body, attrCong, []byte("cubic\x00"))
		var a answer
		a.message(netlink.TypeTCP, 2, 7, 9, body).socket(2).done()
		d := newDump()
		d.wantInfo = true
		var out rows
		d.datagram(a.b, &out)
		if len(out.sockets) != 2 || out.sockets[0].TCPInfo != 1 || out.sockets[1].TCPInfo != 0 {
			t.Fatalf("%s: %+v", c.name, out.sockets)
		}
		if diff := gocmp.Diff([]whose.TCPInfo{c.want}, out.info); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestDatagram_Timer(t *testing.T) {
	for _, c := range []struct {
		kind, retrans byte
		left          uint32
		want          whose.Timer
	}{
		{0, 0, 0, whose.Timer{}},
		{1, 3, 204, whose.Timer{Kind: whose.TimerRetransmit, Retrans: 3, Left: 204 * time.Millisecond}},
		{2, 0, 7200_000, whose.Timer{Kind: whose.TimerKeepalive, Left: 2 * time.Hour}},
		{3, 0, 0, whose.Timer{Kind: whose.TimerTimeWait}},
		{4, 255, 1<<32 - 8, whose.Timer{Kind: whose.TimerPersist, Retrans: 255}}, // due: less than nothing
		{9, 1, 5, whose.Timer{}},
	} {
		body := diagMsg(netlink.FamilyIPv4, stateEstablished, 1)
		body[diagTimer], body[diagRetrans] = c.kind, c.retrans
		binary.NativeEndian.PutUint32(body[diagExpires:], c.left)
		for _, wanted := range []bool{true, false} {
			var a answer
			a.message(netlink.TypeTCP, 2, 7, 9, body).done()
			d := newDump()
			d.wantTimer = wanted
			var out rows
			d.datagram(a.b, &out)
			var want []whose.TCPInfo
			if wanted && c.want.Kind != 0 {
				want = []whose.TCPInfo{{OnlyTimer: true, Timer: c.want}}
			}
			if diff := gocmp.Diff(want, out.info); diff != "" || len(out.sockets) != 1 || int(out.sockets[0].TCPInfo) != len(want) {
				t.Errorf("kind %d, wanted %v: %s", c.kind, wanted, diff)
			}
		}
	}
}

func TestDatagram_States(t *testing.T) {
	for _, c := range []struct {
		proto  whose.Proto
		kernel byte
		want   whose.State // 0: makes no sense
	}{
		{whose.TCP, 1, whose.Established}, {whose.TCP, 12, whose.SynRecv}, {whose.TCP, 13, whose.Close},
		{whose.TCP, 7, whose.Close}, {whose.TCP, 11, whose.Closing}, {whose.TCP, 0, 0}, {whose.TCP, 14, 0}, {whose.TCP, 255, 0},
		{whose.UDP, 1, whose.Established}, {whose.UDP, 7, whose.Unconn}, {whose.UDPLite, 7, whose.Unconn}, {whose.UDP, 10, 0},
	} {
		d := newDump()
		d.proto = c.proto
		var a answer
		a.message(netlink.TypeByFamily, 2, 7, 9, diagMsg(netlink.FamilyIPv4, c.kernel, 1))
		var out rows
		d.datagram(a.b, &out)
		switch {
		case c.want == 0 && (len(out.sockets) != 0 || d.malformed != 1):
			t.Errorf("%s %d: %+v, %d malformed; want it to make no sense", c.proto, c.kernel, out.sockets, d.malformed)
		case c.want != 0 && (len(out.sockets) != 1 || out.sockets[0].State != c.want):
			t.Errorf("%s %d: %+v, want %s", c.proto, c.kernel, out.sockets, c.want)
		}
	}
}

// TestDatagram_Faults feeds what a kernel should not send and what others may.
func TestDatagram_Faults(t *testing.T) {
	minusENOENT := binary.NativeEndian.AppendUint32(nil, 0xfffffffe)
	short := (&answer{}).socket(1).b
	for _, c := range []struct {
		name string
		b    []byte
		want dump // of it done, errno, interrupted, malformed, foreign
		rows int
	}{
		{"empty", nil, dump{}, 0},
		{"less than a header", short[:8], dump{malformed: 1}, 0},
		{"length beyond the datagram", short[:len(short)-4], dump{malformed: 1}, 0},
		{"length less than a header", append([]byte{15, 0, 0, 0}, short[4:]...), dump{malformed: 1}, 0},
		{"a rest", append((&answer{}).socket(1).b, 1, 2, 3), dump{malformed: 1}, 1},
		{"other sequence", (&answer{}).message(netlink.TypeTCP, 2, 6, 9, diagMsg(netlink.FamilyIPv4, 1, 1)).socket(1).b, dump{foreign: 1}, 1},
		{"other port", (&answer{}).message(netlink.TypeDone, 2, 7, 8, nil).socket(1).b, dump{foreign: 1}, 1},
		{"other family", (&answer{}).message(netlink.TypeTCP, 2, 7, 9, diagMsg(1, 1, 1)).b, dump{malformed: 1}, 0},
		{"cut socket", (&answer{}).message(netlink.TypeTCP, 2, 7, 9, diagMsg(2, 1, 1)[:71]).b, dump{malformed: 1}, 0},
		{"attribute too long", (&answer{}).message(netlink.TypeTCP, 2, 7, 9, append(diagMsg(2, 1, 1), 255, 0, 1, 0)).b, dump{malformed: 1}, 0},
		{"attribute too short", (&answer{}).message(netlink.TypeTCP, 2, 7, 9, append(diagMsg(2, 1, 1), 3, 0, 1, 0)).b, dump{malformed: 1}, 0},
		{"error", (&answer{}).message(netlink.TypeError, 0, 7, 9, minusENOENT).b, dump{done: true, errno: 2}, 0},
		{"error at the end", (&answer{}).socket(1).message(netlink.TypeDone, 2, 7, 9, minusENOENT).b, dump{done: true, errno: 2}, 1},
		{"end without a number", (&answer{}).message(netlink.TypeDone, 2, 7, 9, nil).b, dump{done: true}, 0},
		{"after the end", (&answer{}).done().socket(1).b, dump{done: true}, 0},
		{"interrupted", (&answer{}).message(netlink.TypeDone, 2|netlink.FlagInterrupted, 7, 9, nil).b, dump{done: true, interrupted: true}, 0},
		{"overrun", (&answer{}).message(netlink.TypeOverrun, 2, 7, 9, nil).b, dump{interrupted: true}, 0},
		{"nothing to do", (&answer{}).message(1, 0, 7, 9, nil).done().b, dump{done: true}, 0},
	} {
		d := newDump()
		var out rows
		d.datagram(c.b, &out)
		got := dump{done: d.done, errno: d.errno, interrupted: d.interrupted, malformed: d.malformed, foreign: d.foreign}
		if got != c.want || len(out.sockets) != c.rows {
			t.Errorf("%s: %d rows, %+v\nwant %d, %+v", c.name, len(out.sockets), got, c.rows, c.want)
		}
	}
}

// TestDatagram_Repeated: what the kernel sends again at the beginning of the
// next datagram stands once; the same further on is another matter.
func TestDatagram_Repeated(t *testing.T) {
	for _, c := range []struct {
		name          string
		first, second []uint32
		want          []uint64
	}{
		{"none", []uint32{1, 2, 3}, []uint32{4, 5}, []uint64{1, 2, 3, 4, 5}},
		{"one", []uint32{1, 2, 3}, []uint32{3, 4}, []uint64{1, 2, 3, 4}},
		{"all", []uint32{1, 2}, []uint32{1, 2}, []uint64{1, 2}},
		{"not at the beginning", []uint32{1, 2}, []uint32{3, 2}, []uint64{1, 2, 3, 2}},
		{"no cookies", []uint32{0, 0}, []uint32{0, 0}, []uint64{0, 0, 0, 0}},
	} {
		d := newDump()
		out := rows{sockets: []source.Socket{{Cookie: 3}}} // of another dump
		d.last = 1
		for _, cookies := range [][]uint32{c.first, c.second} {
			var a answer
			for _, n := range cookies {
				a.socket(n)
			}
			d.datagram(a.b, &out)
		}
		var got []uint64
		for _, s := range out.sockets[1:] {
			got = append(got, s.Cookie)
		}
		if diff := gocmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestDatagram_Wanted(t *testing.T) {
	none := diagMsg(netlink.FamilyIPv4, stateClose, 0) // no port on either side
	binary.BigEndian.PutUint16(none[6:], 0)
	var a answer
	a.message(netlink.TypeTCP, 2, 7, 9, none)
	a.message(netlink.TypeTCP, 2, 7, 9, diagMsg(netlink.FamilyIPv6, stateEstablished, 1))
	a.message(netlink.TypeTCP, 2, 7, 9, diagMsg(netlink.FamilyIPv4, stateListen, 2))
	a.message(netlink.TypeTCP, 2, 7, 9, diagMsg(netlink.FamilyIPv4, stateEstablished, 3))
	d := newDump()
	d.families, d.states = whose.SetOf(whose.IPv4), whose.SetOf(whose.Established, whose.Close)
	var out rows
	d.datagram(a.b, &out)
	if len(out.sockets) != 1 || out.sockets[0].Cookie != 3 || d.seen != 4 {
		t.Errorf("got %+v of %d seen, want the last of 4", out.sockets, d.seen)
	}
}

func TestDatagram_NoAllocs(t *testing.T) {
	var a answer
	info := make([]byte, 248)
	for i := range uint32(200) {
		a.message(netlink.TypeTCP, 2, 7, 9, appendAttr(appendAttr(diagMsg(netlink.FamilyIPv4, 1, i), attrInfo, info), attrCong, []byte("cubic\x00")))
	}
	var out rows
	d := newDump()
	d.wantInfo = true
	if n := testing.AllocsPerRun(100, func() {
		out.truncate(mark{})
		d.last = 0
		d.datagram(a.b, &out)
	}); n != 0 {
		t.Errorf("%v allocations for 200 sockets, want none", n)
	}
	if len(out.sockets) != 200 {
		t.Fatalf("%d sockets", len(out.sockets))
	}
}

func FuzzDatagram(f *testing.F) {
	f.Add((&answer{}).socket(1).socket(2).done().b, uint8(0))
	f.Add((&answer{}).message(netlink.TypeByFamily, 2, 7, 9, appendAttr(diagMsg(10, 7, 1), attrInfo, make([]byte, 104))).b, uint8(1))
	f.Add((&answer{}).message(netlink.TypeError, 0, 7, 9, []byte{0xfe, 0xff, 0xff, 0xff}).b, uint8(2))
	f.Add((&answer{}).socket(1).b[:40], uint8(3))
	f.Fuzz(func(t *testing.T, b []byte, proto uint8) {
		d := newDump()
		d.proto, d.wantInfo = whose.Proto(proto%4+1), true
		var out rows
		for range 2 { // the second time all is repeated
			d.done = false
			d.datagram(b, &out)
		}
		if d.malformed+d.foreign+len(out.sockets)+d.seen > 8*(len(b)+1) {
			t.Fatalf("%d bytes give %d sockets, %d malformed, %d foreign", len(b), len(out.sockets), d.malformed, d.foreign)
		}
		for i := range out.sockets {
			s := &out.sockets[i]
			if s.State == 0 || s.Family == 0 || s.Proto != d.proto || s.NetNS != d.netns || int(s.TCPInfo) > len(out.info) {
				t.Fatalf("impossible socket: %+v", *s)
			}
		}
	})
}

func TestRequest_Bytes(t *testing.T) {
	r := request{proto: netlink.ProtoMPTCP, family: netlink.FamilyIPv6, states: 0xfff}
	b := r.appendTo(nil, 5)
	ne := binary.NativeEndian
	if len(b) != netlink.HeaderLen+56+8 || int(ne.Uint32(b)) != len(b) || ne.Uint16(b[4:]) != netlink.TypeByFamily || ne.Uint32(b[8:]) != 5 {
		t.Errorf("header of %d bytes: %x", len(b), b[:netlink.HeaderLen])
	}
	if b[16] != netlink.FamilyIPv6 || b[17] != 0 || ne.Uint32(b[20:]) != 0xfff || ne.Uint32(b[netlink.HeaderLen+56+4:]) != netlink.ProtoMPTCP {
		t.Errorf("request for MPTCP: %x", b[netlink.HeaderLen:])
	}
	r = request{proto: netlink.ProtoTCP, states: 0xfff, ext: extInfo, bytecode: make([]byte, 8)}
	b = r.appendTo(b[:0], 6)
	if len(b) != netlink.HeaderLen+60+12 || ne.Uint16(b[4:]) != netlink.TypeTCP || b[19] != extInfo || ne.Uint32(b[netlink.HeaderLen+52:]) != 0xfff {
		t.Errorf("request for both families: %x", b)
	}
}

func TestKernelStates(t *testing.T) {
	for _, c := range []struct {
		wanted   whose.Set[whose.State]
		tcp, udp uint32
	}{
		{0, 0, 0},
		{whose.AllStates, 0x2ffe, 0x82},
		{whose.DefaultStates, 1<<10 | 1<<1, 0x82},
		{whose.SetOf(whose.Close), 1<<7 | 1<<13, 0},
		{whose.SetOf(whose.Unconn), 0, 1 << 7},
		{whose.SetOf(whose.SynRecv), 1 << 3, 0},
		{whose.SetOf(whose.NewSynRecv), 0, 0},
	} {
		if tcp, udp := kernelTCPStates(c.wanted), kernelUDPStates(c.wanted); tcp != c.tcp || udp != c.udp {
			t.Errorf("%#x: tcp %#x, udp %#x; want %#x, %#x", c.wanted, tcp, udp, c.tcp, c.udp)
		}
	}
}

// asking completes a query with all protocols, families and states where it
// names none.
func asking(q source.Query) *source.Query {
	q.Protos = cmp.Or(q.Protos, whose.AllProtos)
	q.Families = cmp.Or(q.Families, whose.AllFamilies)
	q.States = cmp.Or(q.States, whose.AllStates)
	return &q
}
