package render

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
)

// Whatever sessions come one after the other, alike or not, each becomes what
// the table of fields says.
func TestMoulds_AsTable(t *testing.T) {
	sessions := append(randomSessions(1000, 3), whose.Session{}, *sampleSession(), whose.Session{})
	for _, fields := range [][]*whose.Field{whose.Fields(), DefaultEventFields(JSONL), fieldsNamed("user"), fieldsNamed("inode"), fieldsNamed("cong pid")} {
		quick := newJSONEncoder(fields, "<", ">")
		var got []byte
		for i := range sessions {
			s := sessions[i]
			for n := range 5 { // the first makes no mould, the second does
				s.Inode, s.Cookie = uint64(n)*99_999, uint64(n%2)<<40
				s.Local, s.Remote = s.Remote, s.Local
				got = quick.session(got[:0], &s)
				if diff := cmp.Diff(byTable(fields, &s), string(got)); diff != "" {
					t.Fatalf("session %d, time %d (-by table +by mould):\n%s", i, n, diff)
				}
			}
		}
		if n := madeMoulds(quick); n < len(quick.own.slots)/2 {
			t.Errorf("%d moulds were made", n)
		}
	}
}

func madeMoulds(e *jsonEncoder) (n int) {
	for i := range e.own.slots {
		if e.own.slots[i].made {
			n++
		}
	}
	return n
}

// byTable returns the object of a session as the table of fields has it, value by
// value.
func byTable(fields []*whose.Field, s *whose.Session) string {
	members := func(of whose.Group, value func(*whose.Field) whose.Value) (all []string) {
		for _, f := range fieldsOf(fields, of) {
			if v := value(f); v.Kind != 0 {
				all = append(all, `"`+f.JSONKey()+`":`+string(appendJSONValue(nil, &v)))
			}
		}
		return all
	}
	list := func(of whose.Group, key string, owners []whose.Owner) []string {
		var all []string
		for i := range owners {
			all = append(all, "{"+strings.Join(members(of, func(f *whose.Field) whose.Value { return f.OwnerValue(&owners[i]) }), ",")+"}")
		}
		return []string{`"` + key + `":[` + strings.Join(all, ",") + "]"}
	}
	own := func(f *whose.Field) whose.Value { return f.Value(s.Row()) }
	all := members(whose.OfSession, own)
	if len(fieldsOf(fields, whose.OfOwner)) > 0 {
		all = append(all, list(whose.OfOwner, "owners", s.Owners)...)
	}
	if len(fieldsOf(fields, whose.OfPeer)) > 0 && len(s.Peer) > 0 {
		all = append(all, list(whose.OfPeer, "peer", s.Peer)...)
	}
	all = append(append(all, members(whose.OfTCP, own)...), members(whose.OfLife, own)...)
	return "<{" + strings.Join(all, ",") + "}>"
}

// Sessions that are alike have the same values in all steady fields: whatever is
// changed of a session, either no such field changes or it is not alike any more.
func TestAlike_Covers(t *testing.T) {
	bases := []whose.Session{{}, *sampleSession(), {Family: whose.IPv6, State: whose.Unconn}}
	for _, base := range bases {
		for i := range reflect.TypeFor[whose.Session]().NumField() {
			changed := base
			member := reflect.ValueOf(&changed).Elem().Field(i)
			switch member.Kind() {
			case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
				member.SetUint(member.Uint() + 1)
			case reflect.Bool:
				member.SetBool(!member.Bool())
			case reflect.String:
				member.SetString(member.String() + "x")
			case reflect.Slice, reflect.Pointer:
				member.SetZero()
			default:
				if member.Type() != reflect.TypeFor[netip.AddrPort]() {
					t.Fatalf("%s: no test of %s", reflect.TypeFor[whose.Session]().Field(i).Name, member.Type())
				}
				member.Set(reflect.ValueOf(netip.MustParseAddrPort("10.0.0.1:1")))
			}
			for _, f := range whose.Fields() {
				if !steady(f) || !alike(&base, &changed) {
					continue
				}
				if was, is := f.Value(base.Row()), f.Value(changed.Row()); was.Text != is.Text || was.Num != is.Num || was.Kind != is.Kind {
					t.Errorf("%s follows Session.%s, which alike does not compare", f.Name, reflect.TypeFor[whose.Session]().Field(i).Name)
				}
			}
		}
	}
}

// What opens and closes in one namespace, either way, never displaces one another.
func TestMoulds_Apart(t *testing.T) {
	for _, netns := range []uint32{0, 4026531840, 4026532177} {
		seen := make(map[uint32]whose.Session)
		for state := range whose.Unconn + 1 {
			for direction := range whose.Out + 1 {
				s := whose.Session{NetNS: netns, UID: 1000, Proto: whose.TCP, State: state, Direction: direction}
				if other, ok := seen[slotOf(&s)]; ok {
					t.Errorf("%v %v has the place of %v %v", s.State, s.Direction, other.State, other.Direction)
				}
				seen[slotOf(&s)] = s
			}
		}
	}
}

// What only TCP has, a session without figures of TCP, without a flow and without a life
// has not.
func TestJSON_TCPAlone(t *testing.T) {
	s := *sampleSession()
	s.TCP, s.Life, s.Flow = nil, nil, 0
	for _, f := range whose.Fields() {
		if f.Of == whose.OfTCP && !f.Value(s.Row()).IsZero() {
			t.Errorf("%s has a value without TCP's figures", f.Name)
		}
	}
}

// BenchmarkMoulds_Unlike is the worst for moulds: each session is of another user.
func BenchmarkMoulds_Unlike(b *testing.B) {
	sessions := loadedHost(1000)
	for i := range sessions {
		sessions[i].UID, sessions[i].User = uint32(i), fmt.Sprint("user-", i)
	}
	e := newJSONEncoder(DefaultFields(JSONL), "", "\n")
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		for i := range sessions {
			out = e.session(out[:0], &sessions[i])
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(sessions)), "ns/session")
}
