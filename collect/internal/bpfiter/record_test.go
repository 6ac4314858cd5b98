package bpfiter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"unsafe"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// aligned returns b in memory that is aligned as a read buffer is.
func aligned(b []byte) []byte {
	words := make([]uint64, len(b)/8+1)
	a := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), len(words)*8)[:len(b)]
	copy(a, b)
	return a
}

func tagOf(version uint32, kind recordKind) []byte {
	return binary.NativeEndian.AppendUint32(nil, recordMagic<<16|version<<8|uint32(kind))
}

func TestNextRecord_Refuses(t *testing.T) {
	id := make([]byte, sizeOf(recordID))
	copy(id, tagOf(recordVersion, recordID))
	for _, test := range []struct {
		name string
		b    []byte
		want string
	}{
		{"another version", append(tagOf(recordVersion+1, recordID), make([]byte, 60)...), "record of version 6: want 5"},
		{"not ours", []byte("tcp   LISTEN 0      128"), "foreign record: tag 0x20706374"},
		{"unknown kind", append(tagOf(recordVersion, 99), make([]byte, 200)...), "foreign record: tag 0x57530563"},
		{"cut short", id[:12], "record cut short: tag 0x57530503"},
		{"three bytes", id[:3], "record cut short: tag 0x00000000"},
	} {
		_, _, err := nextRecord(aligned(test.b))
		var bad *RecordError
		if !errors.As(err, &bad) || err.Error() != test.want {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

// FuzzApply gives arbitrary bytes to everything that takes records: none may
// crash, and what is taken cannot be more than the bytes have room for.
func FuzzApply(f *testing.F) {
	for kind := recordSocket; kind <= recordHeader; kind++ {
		rec := make([]byte, sizeOf(kind))
		copy(rec, tagOf(recordVersion, kind))
		f.Add(rec)
		f.Add(append(bytes.Clone(rec), rec...))
		f.Add(rec[:len(rec)-1])
	}
	f.Add([]byte("sk       RefCnt Type Proto"))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = aligned(b)
		for _, apply := range []func(*reading, []byte) error{
			(*reading).applyDescriptors, (*reading).applyTables, (*reading).applyWanted, (*reading).applyDescriptorsAgain,
			(*reading).applyCookies,
		} {
			var p reading
			var snap source.Snapshot
			p.reset(asking(source.Query{}), &snap)
			err := apply(&p, b)
			if err == nil {
				p.settleUnmet()
				p.settleDoubtful()
				p.settleLoose()
				p.settleNetNS()
			}
			if n := len(snap.Sockets) * sizeOf(recordSocket); n > len(b) {
				t.Errorf("%d sockets out of %d bytes", len(snap.Sockets), len(b))
			}
		}
	})
}

func TestInodeSet(t *testing.T) {
	var s inodeSet
	numbers := []uint64{0, 1, 63, 64, 1<<15 - 1, 1 << 15, 1<<32 - 1, 1 << 32, 1 << 60}
	for round := range 2 {
		for _, n := range numbers {
			if s.has(n) {
				t.Errorf("round %d: %d is in before it was added", round, n)
			}
			if !s.add(n) || s.add(n) {
				t.Errorf("round %d: %d: added is not true once", round, n)
			}
			if !s.has(n) || s.has(n+2) {
				t.Errorf("round %d: %d: membership", round, n)
			}
		}
		s.reset()
	}
}

// TestInodeSet_NoAllocs shows that a set used again takes no memory.
func TestInodeSet_NoAllocs(t *testing.T) {
	var s inodeSet
	fill := func() {
		s.reset()
		for n := range uint64(100_000) {
			s.add(n * 3)
		}
	}
	fill()
	if n := testing.AllocsPerRun(5, fill); n != 0 {
		t.Errorf("%v allocations a round, want 0", n)
	}
}

func TestSettleDoubtful(t *testing.T) {
	var p reading
	var snap source.Snapshot
	p.reset(asking(source.Query{}), &snap)
	snap.Holdings = []source.Holding{{Inode: 7, PID: 10, FD: 3}, {Inode: 8, PID: 11, FD: 3}}
	p.doubtful = []source.Holding{
		{Inode: 7, PID: 10, FD: 3}, // the leader's table has it too
		{Inode: 9, PID: 10, FD: 3}, // another socket under the same number
		{Inode: 9, PID: 10, FD: 3}, // by two threads
		{Inode: 8, PID: 12, FD: 3}, // another process
	}
	p.settleDoubtful()
	want := map[source.Holding]bool{
		{Inode: 7, PID: 10, FD: 3}: true, {Inode: 8, PID: 11, FD: 3}: true,
		{Inode: 9, PID: 10, FD: 3}: true, {Inode: 8, PID: 12, FD: 3}: true,
	}
	if len(snap.Holdings) != len(want) {
		t.Errorf("%d holdings, want %d: %v", len(snap.Holdings), len(want), snap.Holdings)
	}
	for _, h := range snap.Holdings {
		if !want[h] {
			t.Errorf("unexpected holding %+v", h)
		}
	}
}

func TestSettleLoose(t *testing.T) {
	conn := func(port uint16, inode uint64) source.Socket {
		return source.Socket{End: pair.End{NetNS: 1, Proto: whose.TCP, State: whose.Established, LocalPort: 80, RemotePort: port}, Inode: inode}
	}
	var p reading
	var snap source.Snapshot
	p.reset(asking(source.Query{}), &snap)
	snap.Sockets = []source.Socket{conn(1000, 5), {End: pair.End{NetNS: 1, Proto: whose.TCP, State: whose.Listen, LocalPort: 80}, Inode: 6}}
	kernel := source.Socket{End: pair.End{NetNS: 1, Proto: whose.TCP, State: whose.Listen, LocalPort: 80}, Inode: 60, Flags: source.SocketKernel}
	p.loose = []source.Socket{
		conn(1000, 0), // accepted since
		conn(2000, 0), // waits
		conn(2000, 0), // met twice
		kernel,        // listens on the same port
		kernel,        // met twice
	}
	p.settleLoose()
	if len(snap.Sockets) != 4 || snap.Sockets[2].RemotePort != 2000 || snap.Sockets[3].Inode != 60 {
		t.Errorf("sockets %+v", snap.Sockets)
	}
}
