package parquet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/seed-44df2ae6/whose"
)

// sessions makes n sessions, with none to two owners, values unknown and names of
// any bytes.
func sessions(n int) []whose.Session {
	opened := time.Date(2026, 3, 1, 12, 0, 0, 123_456_000, time.UTC)
	var all []whose.Session
	for i := range n {
		s := whose.Session{
			Proto: whose.TCP, Family: whose.IPv4, State: whose.Established, Cookie: uint64(i + 1), Direction: whose.Out,
			Local:  netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), uint16(i)),
			Remote: netip.AddrPortFrom(netip.MustParseAddr("2001:db8::1"), 443),
			Life:   &whose.Lifetime{Opened: opened.Add(time.Duration(i) * time.Second), Duration: time.Duration(i) * time.Millisecond, Counted: i%2 == 0, Sent: whose.Traffic{Bytes: uint64(i) << 33}},
		}
		if i%2 == 1 {
			s.Life.Closed = s.Life.Opened.Add(s.Life.Duration)
		}
		for k := range i % 3 {
			s.Owners = append(s.Owners, whose.Owner{Process: &whose.Process{PID: uint32(10*i + k), Comm: "a\xffb;\n" + fmt.Sprint(k)}})
		}
		all = append(all, s)
	}
	return all
}

func fields(t *testing.T, names ...string) []*whose.Field {
	t.Helper()
	var all []*whose.Field
	for _, name := range names {
		f := whose.FieldByName(name)
		if f == nil {
			t.Fatalf("no field %s", name)
		}
		all = append(all, f)
	}
	return all
}

// TestWriter reads back what was written, over the bounds of batches.
func TestWriter(t *testing.T) {
	const n = 2*batch + 7
	var file bytes.Buffer
	w := New(&file, fields(t, "pid", "proto", "remote_addr", "local_port", "opened", "duration", "bytes_sent", "comm", "closed"))
	want := sessions(n)
	for i := range want {
		if err := w.Add(&want[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	type row struct {
		Proto    *string  `parquet:"proto,optional"`
		Remote   *string  `parquet:"remote_addr,optional"`
		Port     *int64   `parquet:"local_port,optional"`
		Opened   int64    `parquet:"opened,optional,timestamp(microsecond)"`
		Closed   int64    `parquet:"closed,optional,timestamp(microsecond)"`
		Duration *int64   `parquet:"duration,optional"`
		Sent     *int64   `parquet:"bytes_sent,optional"`
		PID      []int64  `parquet:"pid,list"`
		Comm     []string `parquet:"comm,list"`
	}
	read, rows := parquet.NewGenericReader[row](bytes.NewReader(file.Bytes())), make([]row, n+1)
	got, err := read.Read(rows)
	if err != nil && !errors.Is(err, io.EOF) || got != n {
		t.Fatalf("read %d rows of %d: %v", got, n, err)
	}
	for i := range n {
		r, s := &rows[i], &want[i]
		if *r.Proto != "tcp" || *r.Remote != "2001:db8::1" || *r.Port != int64(s.Local.Port()) || r.Opened != s.Life.Opened.UnixMicro() || (r.Closed != 0) != s.Life.Ended() {
			t.Fatalf("row %d: %+v of %+v", i, r, s)
		}
		if s.Life.Ended() && (r.Closed != s.Life.Closed.UnixMicro() || *r.Duration != s.Life.Duration.Microseconds()) {
			t.Fatalf("row %d: duration %v, want %v", i, r.Duration, s.Life.Duration)
		}
		if known := r.Sent != nil; known != s.Life.Counted || known && uint64(*r.Sent) != s.Life.Sent.Bytes {
			t.Fatalf("row %d: sent %v, want %+v", i, r.Sent, s.Life)
		}
		if len(r.PID) != len(s.Owners) || len(r.Comm) != len(s.Owners) {
			t.Fatalf("row %d has %d owners, want %d", i, len(r.PID), len(s.Owners))
		}
		for k := range s.Owners {
			if r.PID[k] != int64(s.Owners[k].PID) || r.Comm[k] != "a\uFFFDb;\n"+fmt.Sprint(k) {
				t.Fatalf("row %d, owner %d: %d %q", i, k, r.PID[k], r.Comm[k])
			}
		}
	}
}

// TestWriter_EveryField writes each field there is, of none and of some sessions.
func TestWriter_EveryField(t *testing.T) {
	for _, n := range []int{0, 5} {
		var file bytes.Buffer
		w := New(&file, whose.Fields())
		for _, s := range sessions(n) {
			if err := w.Add(&s); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		f, err := parquet.OpenFile(bytes.NewReader(file.Bytes()), int64(file.Len()))
		if err != nil || f.NumRows() != int64(n) {
			t.Fatalf("%d sessions: %v", n, err)
		}
	}
}
