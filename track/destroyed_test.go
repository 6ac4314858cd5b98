package track

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// destroyedMessage is what the kernel multicasts of a closed TCP connection.
func destroyedMessage() []byte {
	order := binary.NativeEndian
	info := make([]byte, 240)
	order.PutUint32(info[atRTT:], 1500)
	order.PutUint32(info[atTotalRetrans:], 2)
	order.PutUint64(info[atBytesReceived:], 4001)
	order.PutUint64(info[atBytesSent:], 900)
	order.PutUint64(info[atBytesRetrans:], 100)
	msg := make([]byte, inetDiagMsgSize)
	msg[atFamily] = familyIPv4
	binary.BigEndian.PutUint16(msg[atLocalPort:], 1001)
	binary.BigEndian.PutUint16(msg[atRemotePort:], 80)
	copy(msg[atLocal:], []byte{10, 0, 0, 1})
	copy(msg[atRemote:], []byte{10, 0, 0, 2})
	order.PutUint32(msg[atCookie:], 7)
	order.PutUint32(msg[atCookie+4:], 1)
	order.PutUint32(msg[atUID:], 33)
	order.PutUint32(msg[atInode:], 4711)
	msg = appendAttr(msg, attrProtocol, []byte{6})
	msg = appendAttr(msg, attrInfo, info)
	b := make([]byte, netlinkHeader)
	order.PutUint32(b, uint32(netlinkHeader+len(msg)))
	order.PutUint16(b[4:], sockDiagByFamily)
	return append(b, msg...)
}

func appendAttr(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(attrHeader+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func TestParseDestroyed(t *testing.T) {
	var got []bpfevent.Record
	two := append(destroyedMessage(), destroyedMessage()...)
	err := parseDestroyed(two, 9, 5, func(r *bpfevent.Record) error {
		got = append(got, *r)
		return nil
	})
	want := bpfevent.Record{
		Kind: bpfevent.TCPClose, Time: 5, NetNS: 9, Cookie: 1<<32 | 7, Inode: 4711, UID: 33,
		Local: addr("10.0.0.1"), Remote: addr("10.0.0.2"), LocalPort: 1001, RemotePort: 80,
		Proto: uint8(whose.TCP), Family: uint8(whose.IPv4),
		BytesSent: 800, BytesReceived: 4001, RTT: 1500, Retrans: 2,
	}
	if diff := cmp.Diff([]bpfevent.Record{want, want}, got); diff != "" || err != nil {
		t.Errorf("error %v\n%s", err, diff)
	}
}

// FuzzParseDestroyed: whatever a datagram holds, nothing is read beyond it.
func FuzzParseDestroyed(f *testing.F) {
	whole := destroyedMessage()
	f.Add(whole)
	f.Add(whole[:len(whole)-100])
	f.Add(whole[:netlinkHeader])
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		err := parseDestroyed(b, 1, 1, func(r *bpfevent.Record) error {
			n++
			if r.Cookie == 0 || r.Proto == 0 || r.Family == 0 {
				t.Errorf("record %+v", r)
			}
			return nil
		})
		if err != nil || n > len(b)/(netlinkHeader+inetDiagMsgSize) {
			t.Errorf("%d records of %d bytes, error %v", n, len(b), err)
		}
	})
}
