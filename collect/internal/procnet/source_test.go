package procnet

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/source"
)

const header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

func tcpLine(port, state int, inode uint64) string {
	return fmt.Sprintf("   0: 0100007F:%04X 0200007F:0050 %02X 00000000:00000000 00:00000000 00000000     0        0 %d 1 0\n", port, state, inode)
}

// fakeRoot makes a root of procfs with one thread, 7, in namespace 4026531840.
func fakeRoot(t testing.TB, files map[string]string) string {
	root := t.TempDir()
	for name, text := range files {
		write(t, filepath.Join(root, "7", "net", name), text)
	}
	link(t, "net:[4026531840]", filepath.Join(root, "7", "ns", "net"))
	return root
}

func write(t testing.TB, path, text string) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t testing.TB, target, path string) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, root string, q source.Query) *source.Snapshot {
	t.Helper()
	src, err := Open(Options{Root: root, Captured: true})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	snap := new(source.Snapshot)
	if err := src.Read(context.Background(), asking(q), snap); err != nil {
		t.Fatal(err)
	}
	return snap
}

func inodes(snap *source.Snapshot) []uint64 {
	var all []uint64
	for _, s := range snap.Sockets {
		all = append(all, s.Inode)
	}
	return all
}

var visit7 = []source.NetNSRef{{Inode: 4026531840, TID: 7}}

func TestRead_MalformedLineIsAGap(t *testing.T) {
	root := fakeRoot(t, map[string]string{"tcp": header + tcpLine(1, 1, 11) + "   1: torn\n" + "\n" + tcpLine(2, 1, 12)})
	snap := read(t, root, source.Query{Visit: visit7})
	if got := inodes(snap); !slices.Equal(got, []uint64{11, 12}) {
		t.Errorf("inodes %v, want 11 and 12: a malformed line hid others", got)
	}
	want := whose.Gaps{{Kind: whose.GapSockets, Cause: whose.CauseFailed, Count: 2,
		Detail: root + `/7/net/tcp:3: line: want at least 10 columns, not 2`}}
	if diff := gocmp.Diff(want, snap.Gaps); diff != "" {
		t.Errorf("wrong gaps (-want +got):\n%s", diff)
	}
	if !slices.Equal(snap.NetNS, []uint32{4026531840}) || snap.Sockets[0].NetNS != 4026531840 {
		t.Errorf("namespaces %v, socket's %d", snap.NetNS, snap.Sockets[0].NetNS)
	}
}

func TestRead_Duplicates(t *testing.T) {
	root := fakeRoot(t, map[string]string{
		"tcp": header + tcpLine(1, 1, 11) + tcpLine(2, 6, 0) + tcpLine(1, 1, 11) + tcpLine(2, 6, 0) + tcpLine(3, 6, 0)})
	snap := read(t, root, source.Query{Visit: append(visit7, visit7...)})
	if got := inodes(snap); !slices.Equal(got, []uint64{11, 0, 0}) || len(snap.Gaps) != 0 {
		t.Errorf("inodes %v, want 11 and two without; gaps %v", got, snap.Gaps)
	}
}

func TestRead_Query(t *testing.T) {
	udp := strings.Replace(tcpLine(5, 7, 31), "0200007F:0050", "00000000:0000", 1)
	root := fakeRoot(t, map[string]string{
		"tcp": header + tcpLine(1, 1, 11) + tcpLine(2, 10, 12), "udp": header + udp, "udplite": header + tcpLine(9, 1, 41)})
	tests := []struct {
		name string
		q    source.Query
		want []uint64
	}{
		{"all", source.Query{}, []uint64{11, 12, 31, 41}},
		{"protocol", source.Query{Protos: whose.SetOf(whose.UDP)}, []uint64{31}},
		{"mptcp is not told apart", source.Query{Protos: whose.SetOf(whose.MPTCP)}, nil},
		{"family", source.Query{Families: whose.SetOf(whose.IPv6)}, nil},
		{"state", source.Query{States: whose.SetOf(whose.Listen, whose.Unconn)}, []uint64{12, 31}},
		{"any", source.Query{Any: []filter.Endpoints{filter.OnLocal(netip.Prefix{}, filter.PortRange{First: 2, Last: 5}),
			filter.OnLocal(netip.MustParsePrefix("10.0.0.0/8"), filter.AnyPort)}}, []uint64{12, 31}},
		{"listeners beside any", source.Query{Any: []filter.Endpoints{filter.OnLocal(netip.Prefix{}, filter.PortRange{First: 1, Last: 1})},
			Listeners: true}, []uint64{11, 12, 31}},
		{"other namespace", source.Query{NetNS: []uint32{1}}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.q.Visit = visit7
			snap := read(t, root, test.q)
			if got := inodes(snap); !slices.Equal(got, test.want) || len(snap.Gaps) != 0 {
				t.Errorf("inodes %v, want %v; gaps %v", got, test.want, snap.Gaps)
			}
		})
	}
}

func TestRead_AnotherWay(t *testing.T) {
	root := fakeRoot(t, map[string]string{"tcp": header + tcpLine(1, 1, 11)})
	// 8 has moved to another namespace, 9 has gone.
	write(t, filepath.Join(root, "8", "net", "tcp"), header+tcpLine(1, 1, 99))
	link(t, "net:[4026531841]", filepath.Join(root, "8", "ns", "net"))
	for _, tid := range []uint32{8, 9} {
		snap := read(t, root, source.Query{Visit: []source.NetNSRef{{Inode: 4026531840, TID: tid}}})
		if got := inodes(snap); !slices.Equal(got, []uint64{11}) || len(snap.Gaps) != 0 {
			t.Errorf("by thread %d: inodes %v, want 11; gaps %v", tid, got, snap.Gaps)
		}
	}
	snap := read(t, root, source.Query{Visit: []source.NetNSRef{{Inode: 5, TID: 9}}})
	if len(snap.Sockets)+len(snap.Gaps)+len(snap.NetNS) != 0 {
		t.Errorf("a namespace that is gone: %+v", snap)
	}
}

func TestRead_NoWay(t *testing.T) {
	root := fakeRoot(t, nil)
	tests := []struct {
		name  string
		visit []source.NetNSRef
		want  whose.Gap
	}{
		{"nothing to visit", nil, whose.Gap{Kind: whose.GapNamespaces, Cause: whose.CauseUnsupported, Detail: "no way into any network namespace was given"}},
		{"no way", []source.NetNSRef{{Inode: 5}, {Inode: 6}},
			whose.Gap{Kind: whose.GapNamespaces, Cause: whose.CauseUnsupported, Count: 2, Detail: "no process is in it and no file leads to it"}},
		{"a file of this host for another", []source.NetNSRef{{Inode: 5, Path: "/run/netns/web"}},
			whose.Gap{Kind: whose.GapNamespaces, Cause: whose.CauseUnsupported, Count: 1, Detail: "no process is in it, and /run/netns/web is not below " + root}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			snap := read(t, root, source.Query{Visit: test.visit})
			if diff := gocmp.Diff(whose.Gaps{test.want}, snap.Gaps); diff != "" {
				t.Errorf("wrong gaps (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRead_NoTables reads a namespace that is there without its tables: it was not
// read.
func TestRead_NoTables(t *testing.T) {
	for name, files := range map[string]map[string]string{"none": nil, "another": {"dev": ""}} {
		snap := read(t, fakeRoot(t, files), source.Query{Visit: visit7})
		if len(snap.NetNS) != 0 || len(snap.Gaps) != 1 || snap.Gaps[0].Kind != whose.GapNamespaces || snap.Gaps[0].Count != 1 {
			t.Errorf("%s: namespaces %v, gaps %+v; want none and a gap", name, snap.NetNS, snap.Gaps)
		}
	}
	// A kernel without UDP-Lite has not its tables.
	lite := source.Query{Visit: visit7, Protos: whose.SetOf(whose.UDPLite)}
	if snap := read(t, fakeRoot(t, map[string]string{"tcp": header}), lite); len(snap.NetNS) != 1 || len(snap.Gaps) != 0 {
		t.Errorf("no UDP-Lite: namespaces %v, gaps %+v", snap.NetNS, snap.Gaps)
	}
}

func TestRead_Deadline(t *testing.T) {
	root := fakeRoot(t, map[string]string{"tcp": header + tcpLine(1, 1, 11)})
	src, err := Open(Options{Root: root, Captured: true})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	ctx, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancel()
	snap := new(source.Snapshot)
	if err := src.Read(ctx, asking(source.Query{Visit: visit7}), snap); err != nil {
		t.Fatal(err)
	}
	want := whose.Gaps{{Kind: whose.GapSessions, Cause: whose.CauseDeadline}}
	if diff := gocmp.Diff(want, snap.Gaps); diff != "" || len(snap.NetNS) != 0 {
		t.Errorf("namespaces %v, wrong gaps (-want +got):\n%s", snap.NetNS, diff)
	}
}

func TestOpen_Errors(t *testing.T) {
	if _, err := Open(Options{Root: filepath.Join(t.TempDir(), "none")}); err == nil || whose.Hint(err) == "" {
		t.Errorf("no directory: error %v, hint %q", err, whose.Hint(err))
	}
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	if _, err := Open(Options{Root: file}); err == nil {
		t.Error("a file was taken for a root of procfs")
	}
}

// TestReadFile_Pieces reads the same text in pieces of every kind: what is cut
// must not matter.
func TestReadFile_Pieces(t *testing.T) {
	text := header
	var want []uint64
	for i := range 500 {
		want = append(want, uint64(i+1))
		text += tcpLine(i, 1, uint64(i+1))
	}
	long := strings.Repeat("x", bufferSize+10) + "\n"
	tests := []struct {
		name string
		file io.Reader
		bad  int
	}{
		{"whole", strings.NewReader(text), 0},
		{"byte by byte", iotest.OneByteReader(strings.NewReader(text)), 0},
		{"halves", iotest.HalfReader(strings.NewReader(text)), 0},
		{"end with the data", iotest.DataErrReader(strings.NewReader(text)), 0},
		{"last line not ended", strings.NewReader(strings.TrimSuffix(text, "\n")), 0},
		{"a line longer than the buffer", strings.NewReader(header + long + strings.TrimPrefix(text, header)), 1},
		{"nothing but one", io.MultiReader(strings.NewReader(text), strings.NewReader(strings.TrimSuffix(long, "\n"))), 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var snap source.Snapshot
			r := newReader()
			r.begin(asking(source.Query{}), &snap)
			if _, err := r.readFile(context.Background(), test.file, "tcp", &kinds[0], 1); err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(want, inodes(&snap)); diff != "" || r.badLines != test.bad {
				t.Errorf("%d malformed lines (%v), want %d; inodes (-want +got):\n%s", r.badLines, r.firstBad, test.bad, diff)
			}
		})
	}
}

func TestReadFile_NoAllocationPerSession(t *testing.T) {
	text := header + strings.Repeat(tcpLine(1, 1, 11)+tcpLine(2, 6, 0), 1000)
	var snap source.Snapshot
	r := newReader()
	q := asking(source.Query{})
	file := strings.NewReader("")
	pass := func() {
		snap.Reset()
		r.begin(q, &snap)
		file.Reset(text)
		if _, err := r.readFile(context.Background(), file, "tcp", &kinds[0], 1); err != nil {
			t.Fatal(err)
		}
		r.end()
	}
	pass()
	if allocs := testing.AllocsPerRun(10, pass); allocs > 0 {
		t.Errorf("%v allocations for 2,000 lines, want none", allocs)
	}
}

func BenchmarkReadFile_10k(b *testing.B) {
	var text strings.Builder
	text.WriteString(header)
	for i := range 10000 {
		text.WriteString(tcpLine(i, 1, uint64(i+1)))
	}
	var snap source.Snapshot
	r := newReader()
	file := strings.NewReader("")
	b.ReportAllocs()
	for b.Loop() {
		snap.Reset()
		r.begin(asking(source.Query{}), &snap)
		file.Reset(text.String())
		if _, err := r.readFile(context.Background(), file, "tcp", &kinds[0], 1); err != nil {
			b.Fatal(err)
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
