package whose_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/seed-44df2ae6/whose"
)

// TestSizes keeps the values that are made by the million small. A change here
// is a change of memory: measure it before you write the new number.
func TestSizes(t *testing.T) {
	for name, got := range map[string][2]uintptr{
		"Session": {unsafe.Sizeof(whose.Session{}), 280},
		"Owner":   {unsafe.Sizeof(whose.Owner{}), 32},
	} {
		if got[0] > got[1] {
			t.Errorf("size of %s is %d bytes, want at most %d", name, got[0], got[1])
		}
	}
}

func TestField_NamesAreUnique(t *testing.T) {
	seen := map[string]string{}
	for _, f := range whose.Fields() {
		for _, name := range append([]string{f.Name}, f.Aliases...) {
			if other, ok := seen[name]; ok {
				t.Errorf("%q names both %s and %s", name, other, f.Name)
			}
			seen[name] = f.Name
			if whose.FieldByName(strings.ToUpper(name)) != f {
				t.Errorf("FieldByName(%q) does not find %s", strings.ToUpper(name), f.Name)
			}
		}
	}
}

func TestField_TableIsComplete(t *testing.T) {
	titled := make(map[string]string)
	for _, f := range whose.Fields() {
		if other, ok := titled[f.Title]; ok {
			t.Errorf("fields %s and %s have the title %s", other, f.Name, f.Title)
		}
		titled[f.Title] = f.Name
		if f.Title == "" || f.Doc == "" || f.Kind == 0 || f.Of == 0 || !strings.HasSuffix(f.Doc, ".") {
			t.Errorf("field %s lacks a title, a sentence, a kind or a group", f.Name)
		}
		if (f.Kind == whose.KindName) != (len(f.Values) > 0) {
			t.Errorf("field %s: a field has values just where it is a name", f.Name)
		}
		if f.PerOwner() != (f.Of == whose.OfOwner || f.Of == whose.OfPeer) {
			t.Errorf("field %s: accessor and group disagree", f.Name)
		}
	}
}

func TestField_ValueAllocatesNothing(t *testing.T) {
	s := whose.Session{
		Proto: whose.TCP, Family: whose.IPv4, State: whose.Established, Inode: 7, User: "root",
		Local: netip.MustParseAddrPort("127.0.0.1:80"), TCP: &whose.TCPInfo{Cong: "cubic"},
		Owners: []whose.Owner{{Process: &whose.Process{PID: 1, Comm: "init"}, FDs: []int32{3}}},
	}
	allocs := testing.AllocsPerRun(100, func() {
		for _, f := range whose.Fields() {
			_ = f.Value(s.Row())
			_ = f.OwnerValue(&s.Owners[0])
		}
	})
	if allocs != 0 {
		t.Errorf("reading all fields allocates %v times", allocs)
	}
}

func TestErrors(t *testing.T) {
	err := fmt.Errorf("open: %w", &whose.UnsupportedError{What: "tcp iterator", Since: "5.9", Err: os.ErrPermission})
	if !errors.Is(err, whose.ErrUnsupported) || !errors.Is(err, os.ErrPermission) {
		t.Error("an UnsupportedError is neither ErrUnsupported nor its cause")
	}
	want := "open: tcp iterator not supported (requires Linux 5.9 or newer): permission denied"
	if err.Error() != want {
		t.Errorf("got  %q\nwant %q", err, want)
	}
	hinted := fmt.Errorf("list: %w", whose.WithHint(os.ErrPermission, "try %s", "sudo"))
	if whose.Hint(hinted) != "try sudo" || !errors.Is(hinted, os.ErrPermission) {
		t.Error("a hint hides its error, or is lost")
	}
	if whose.WithHint(nil, "x") != nil {
		t.Error("a hint makes an error of none")
	}
}

func TestStates(t *testing.T) {
	if got := whose.State(99).String(); got != "99" {
		t.Errorf("an unknown state prints %q, want its number", got)
	}
	for _, s := range []whose.State{whose.Established, whose.NewSynRecv, whose.Unconn} {
		if !whose.AllStates.Has(s) {
			t.Errorf("AllStates lacks %s", s)
		}
	}
	if whose.AllStates.Has(0) || whose.AllStates.Has(13) {
		t.Error("AllStates holds what is no state")
	}
}

func TestSet(t *testing.T) {
	var none whose.Set[whose.Proto]
	some := whose.SetOf(whose.TCP, whose.MPTCP)
	if none.Has(whose.TCP) || !some.Has(whose.MPTCP) || some.Has(whose.UDP) {
		t.Errorf("%b holds MPTCP and TCP, %b nothing", some, none)
	}
	if got := whose.AllProtos &^ some; got != whose.SetOf(whose.UDP, whose.UDPLite) {
		t.Errorf("all protocols but %b are %b", some, got)
	}
}

// A fact that nobody told is no value, whatever stands in its place: no output
// shows it, and no filter matches it.
func TestField_Unknown(t *testing.T) {
	s := whose.Session{
		Proto: whose.TCP, Family: whose.IPv6, State: whose.Listen, User: "root", RecvQueue: 1, SendQueue: 2, V6Only: true,
	}
	for fact, names := range map[whose.Facts][]string{
		whose.FactUID: {"uid"}, whose.FactRecvQueue: {"recv_queue"},
		whose.FactSendQueue: {"send_queue"}, whose.FactV6Only: {"v6only"},
	} {
		s.Unknown = 0
		before := valuesOf(&s)
		s.Unknown = fact
		for name, v := range valuesOf(&s) {
			if gone := v == "" && before[name] != ""; gone != slices.Contains(names, name) {
				t.Errorf("without fact %b %s is %q, and %q with it", fact, name, v, before[name])
			}
		}
	}
}

func valuesOf(s *whose.Session) map[string]string {
	all := make(map[string]string)
	for _, f := range whose.Fields() {
		all[f.Name] = string(f.Value(s.Row()).Append(nil))
	}
	return all
}
