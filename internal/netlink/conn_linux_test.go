package netlink

import (
	"encoding/binary"
	"testing"
)

// TestConn asks the kernel for all UDP sockets and reads the answer to its end.
func TestConn(t *testing.T) {
	c, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const seq = 5
	b := AppendHeader(nil, TypeByFamily, FlagDump, seq)
	b = append(b, FamilyIPv4, ProtoUDP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, ^uint32(0)) // every state
	b = append(b, make([]byte, 48)...)
	SetLength(b)
	if err := c.Send(b); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64<<10)
	for done := false; !done; {
		n, err := c.Receive(buf)
		if err != nil {
			t.Fatal(err)
		}
		messages := MessagesOf(buf[:n])
		for m := (Message{}); messages.Next(&m); {
			if m.Seq != seq || m.Port != c.Port() || m.Type == TypeByFamily && len(m.Body) < DiagLen {
				t.Errorf("%+v, want one for port %d", m, c.Port())
			}
			if done = m.Type == TypeDone; m.Type == TypeError {
				t.Fatalf("error %d", m.Errno())
			}
		}
		if messages.Malformed {
			t.Error("malformed")
		}
	}
}
