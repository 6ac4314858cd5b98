package netlink

import (
	"encoding/binary"
	"slices"
	"testing"
)

// message is one message of the kernel, with its header.
func message(typ uint16, seq uint32, body []byte) []byte {
	b := append(AppendHeader(nil, typ, 0, seq), body...)
	SetLength(b)
	return append(b, make([]byte, -len(b)&3)...)
}

// TestMessages reads datagrams of the kernel, whole and broken.
func TestMessages(t *testing.T) {
	one, two := message(TypeByFamily, 7, []byte{1, 2, 3, 4, 5}), message(TypeDone, 8, []byte{0xfe, 0xff, 0xff, 0xff})
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		two = message(TypeDone, 8, []byte{0xff, 0xff, 0xff, 0xfe})
	}
	short := slices.Clone(one)
	binary.NativeEndian.PutUint32(short, HeaderLen-1)
	long := slices.Clone(one)
	binary.NativeEndian.PutUint32(long, uint32(len(long)+1))
	huge := slices.Clone(one)
	binary.NativeEndian.PutUint32(huge, ^uint32(0))
	for _, c := range []struct {
		name     string
		datagram []byte
		types    []uint16
		broken   bool
	}{
		{"nothing", nil, nil, false},
		{"one", one, []uint16{TypeByFamily}, false},
		{"two", slices.Concat(one, two), []uint16{TypeByFamily, TypeDone}, false},
		{"one without its padding", one[:HeaderLen+5], []uint16{TypeByFamily}, false},
		{"less than a header", slices.Concat(two, one[:15]), []uint16{TypeDone}, true},
		{"shorter than a header", slices.Concat(two, short), []uint16{TypeDone}, true},
		{"longer than the datagram", slices.Concat(two, long), []uint16{TypeDone}, true},
		{"longer than any", slices.Concat(two, huge), []uint16{TypeDone}, true},
	} {
		messages, types := MessagesOf(c.datagram), []uint16(nil)
		for m := (Message{}); messages.Next(&m); {
			types = append(types, m.Type)
			if m.Type == TypeByFamily && (m.Seq != 7 || len(m.Body) != 5 || m.Body[4] != 5) {
				t.Errorf("%s: %+v", c.name, m)
			}
			if m.Type == TypeDone && (m.Seq != 8 || m.Errno() != 2) {
				t.Errorf("%s: %+v, error %d, want 2", c.name, m, m.Errno())
			}
		}
		if !slices.Equal(types, c.types) || messages.Malformed != c.broken {
			t.Errorf("%s: messages %v, malformed %v", c.name, types, messages.Malformed)
		}
	}
	if m := (Message{Body: []byte{1, 2, 3}}); m.Errno() != 0 {
		t.Errorf("a message too short for an error has error %d", m.Errno())
	}
}
