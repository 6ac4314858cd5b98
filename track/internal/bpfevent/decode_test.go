package bpfevent

import (
	"slices"
	"testing"
	"unsafe"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// raw returns the bytes of a record.
func raw[T any](r *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(r)), unsafe.Sizeof(*r))
}

func kindsOf(t *testing.T, d *decoder, b []byte) []Kind {
	t.Helper()
	var kinds []Kind
	if err := d.decode(b, func(r *Record) error { kinds = append(kinds, r.Kind); return nil }); err != nil {
		t.Fatal(err)
	}
	return kinds
}

// TestDecode_Short expands the record of a connection that was over at once.
func TestDecode_Short(t *testing.T) {
	d := newDecoder()
	p := processRecord{kind: recordProcess, what: whatSeen, tgid: 7, pid: 3, start: 5e9, comm: [16]byte{'c'}, argsSize: 2, pathSize: 7}
	copy(p.args[:], "a\x00")
	copy(p.path[:], "sh\x00usr\x00")
	if err := d.decode(raw(&p), func(r *Record) error {
		if r.Kind != ProcessSeen || r.Task.PID != 3 || r.Task.Start != 500 || string(r.Text) != "a\x00" || string(r.Exe) != "/usr/sh" {
			t.Errorf("process: %+v, text %q, exe %q", r.Task, r.Text, r.Exe)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	c := tcpRecord{kind: recordTCP, what: whatOpen | whatAccept | whatClose, time: 30, opened: 10, called: 20,
		flags: flagAccepted, oldState: 9, cookie: 1, tgid: 7, pid: 3, start: 5e9, sent: 4}
	want := []struct {
		kind Kind
		time uint64
		pid  uint32
	}{{TCPOpen, 10, 0}, {TCPAccept, 20, 3}, {TCPClose, 30, 3}}
	i := 0
	if err := d.decode(raw(&c), func(r *Record) error {
		if r.Kind != want[i].kind || r.Time != want[i].time || r.Task.PID != want[i].pid || r.Opened != 10 {
			t.Errorf("record %d: %+v", i, r)
		}
		i++
		return nil
	}); err != nil || i != len(want) {
		t.Fatalf("%d records: %v", i, err)
	}
	if kinds := kindsOf(t, d, raw(&c)); len(kinds) != 2 {
		t.Errorf("told again: %v, want no close", kinds)
	}
}

// TestDecode_Anew tells each close of a socket that is used twice, and each once.
func TestDecode_Anew(t *testing.T) {
	d := newDecoder()
	opened := func(what uint16, at uint64) *tcpRecord {
		return &tcpRecord{kind: recordTCP, what: what, cookie: 1, opened: at, flags: flagOut}
	}
	for i, test := range []struct {
		record *tcpRecord
		want   []Kind
	}{
		{opened(whatOpen|whatClose, 10), []Kind{TCPOpen, TCPClose}},
		{opened(whatClose, 0), nil}, // by the second copy
		{opened(whatOpen|whatClose, 20), []Kind{TCPOpen, TCPClose}},
		{opened(whatClose, 0), nil},
		{opened(whatOpen, 30), []Kind{TCPOpen}},
		{opened(whatClose, 0), []Kind{TCPClose}}, // its note is gone since it was told
		{opened(whatClose, 0), nil},
	} {
		if got := kindsOf(t, d, raw(test.record)); !slices.Equal(got, test.want) {
			t.Errorf("record %d: %v, want %v", i, got, test.want)
		}
	}
}

// TestDecode_Whole: what is over when it is first told of is one record.
func TestDecode_Whole(t *testing.T) {
	d := newDecoder()
	d.whole = true
	r := tcpRecord{kind: recordTCP, what: whatOpen | whatAccept | whatClose, flags: flagAccepted, cookie: 1, opened: 10, time: 20, pid: 5, tgid: 5, start: uint64(source.Tick)}
	var got []Record
	for range 2 {
		if err := d.decode(raw(&r), func(r *Record) error { got = append(got, *r); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != 1 || got[0].Kind != TCPClose || got[0].Opened != 10 || got[0].Time != 20 || got[0].Task.PID != 5 || !got[0].Accepted {
		t.Errorf("got %+v, want one close that knows all", got)
	}
	if kinds := kindsOf(t, d, raw(&tcpRecord{kind: recordTCP, what: whatOpen | whatAccept, cookie: 2, opened: 30})); !slices.Equal(kinds, []Kind{TCPOpen, TCPAccept}) {
		t.Errorf("of one that is open %v", kinds)
	}
}

// TestDecode_Forget drops the names of processes a while after they are gone.
func TestDecode_Forget(t *testing.T) {
	d := newDecoder()
	for i := range uint32(100) {
		p := processRecord{kind: recordProcess, what: whatSeen, tgid: i + 1, start: 1}
		kindsOf(t, d, raw(&p))
		e := exitRecord{kind: recordExit, tgid: i + 1, start: 1, time: uint64(i) * keepExited / 10}
		kindsOf(t, d, raw(&e))
	}
	if n := len(d.tasks.young); n > 12 || len(d.tasks.gone) != n {
		t.Errorf("%d processes are kept, %d gone", n, len(d.tasks.gone))
	}
}

// TestDecode_NoAllocs decodes what a busy host has without allocating.
func TestDecode_NoAllocs(t *testing.T) {
	d := newDecoder()
	p := processRecord{kind: recordProcess, what: whatSeen, tgid: 7, start: 5}
	kindsOf(t, d, raw(&p))
	c := tcpRecord{kind: recordTCP, what: whatOpen | whatAccept | whatClose, tgid: 7, start: 5}
	u := udpRecord{kind: recordUDP, what: whatOpen}
	fn := func(*Record) error { return nil }
	if n := testing.AllocsPerRun(100, func() {
		c.cookie++
		for _, b := range [][]byte{raw(&c), raw(&u), raw(&p)} {
			if err := d.decode(b, fn); err != nil {
				t.Fatal(err)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzDecode has the decoder take any bytes without a panic, and call with
// nothing but known kinds.
func FuzzDecode(f *testing.F) {
	f.Add(raw(&tcpRecord{kind: recordTCP, what: 0x7f, flags: 0xff, tgid: 1}))
	f.Add(raw(&tcpRecord{kind: recordTCP, what: whatUnlisten | whatFail})) // two ends
	f.Add(raw(&udpRecord{kind: recordUDP, what: whatClose}))
	f.Add(raw(&processRecord{kind: recordProcess, argsSize: argsSize, pathSize: pathSize}))
	f.Add(raw(&exitRecord{kind: recordExit}))
	f.Add([]byte{recordProcess, 0, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		aligned := make([]uint64, len(b)/8+1)
		place := unsafe.Slice((*byte)(unsafe.Pointer(&aligned[0])), len(b))
		copy(place, b)
		d := newDecoder()
		for range 2 {
			_ = d.decode(place, func(r *Record) error {
				if r.Kind < TCPOpen || r.Kind > ProcessExit {
					t.Errorf("kind %d", r.Kind)
				}
				if len(r.Text) > argsSize || len(r.Exe) > pathSize {
					t.Errorf("text of %d bytes, path of %d", len(r.Text), len(r.Exe))
				}
				return nil
			})
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	d := newDecoder()
	c := tcpRecord{kind: recordTCP, what: whatOpen | whatAccept | whatClose, tgid: 7, start: 5}
	b.ReportAllocs()
	for b.Loop() {
		c.cookie++
		if err := d.decode(raw(&c), func(*Record) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

// TestDecode_RefusedBeforeAttached drops a connect that was called before all
// programs ran, and that none of them saw on its way: it may have opened.
func TestDecode_RefusedBeforeAttached(t *testing.T) {
	d := newDecoder()
	d.attached = 100
	for called, want := range map[uint64]int{99: 0, 100: 1} {
		r := tcpRecord{kind: recordTCP, what: whatFail, flags: flagOut | flagUnsent, time: called, called: called, cookie: called}
		if kinds := kindsOf(t, d, raw(&r)); len(kinds) != want {
			t.Errorf("called at %d: %v, want %d records", called, kinds, want)
		}
		r.oldState, r.cookie = uint8(whose.SynSent), called+1000
		if kinds := kindsOf(t, d, raw(&r)); len(kinds) != 1 {
			t.Errorf("called at %d and seen on its way: %v, want 1 record", called, kinds)
		}
	}
}
