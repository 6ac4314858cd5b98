package render

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
)

// Whatever sessions come one after the other, alike or not, each becomes what
// the table of fields says.
func TestMoulds_AsTable(t *testing.T) {
	sessions := append(randomSessions(1000, 3), whose.Session{}, *sampleSession(), whose.Session{})
	for _, fields := range [][]*whose.Field{whose.Fields(), DefaultEventFields(JSONL), fieldsNamed("user"), fieldsNamed("inode"), fieldsNamed("cong pid")} {
		quick, plain := newJSONEncoder(fields, "<", ">"), throughTable(fields)
		var got, want []byte
		for i := range sessions {
			s := sessions[i]
			for n := range 5 { // the first makes no mould, the second does
				s.Inode, s.Cookie = uint64(n)*99_999, uint64(n%2)<<40
				s.Local, s.Remote = s.Remote, s.Local
				got, want = quick.append(got[:0], &s), plain.append(want[:0], &s)
				if diff := cmp.Diff(string(want), string(got)); diff != "" {
					t.Fatalf("session %d, time %d (-by table +by mould):\n%s", i, n, diff)
				}
			}
		}
		if n := madeMoulds(quick); n < len(quick.session.slots)/2 {
			t.Errorf("%d moulds were made", n)
		}
	}
}

func madeMoulds(e *jsonEncoder) (n int) {
	for i := range e.session.slots {
		if e.session.slots[i].made {
			n++
		}
	}
	return n
}

// throughTable returns an encoder that asks the table for every field: all of
// them are gaps, so that a mould holds nothing but keys.
func throughTable(fields []*whose.Field) *jsonEncoder {
	e := newJSONEncoder(fields, "<", ">")
	for i := range e.session.fields {
		e.session.fields[i].access = byTable
	}
	for i := range e.tcp {
		e.tcp[i].access = byTable
	}
	e.session = newMoulds(e.session.before, e.session.fields, e.session.after)
	return e
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
				if !accessTo(f).steady() || !alike(&base, &changed) {
					continue
				}
				if was, is := f.Value(&base), f.Value(&changed); was.Text != is.Text || was.Num != is.Num || was.Kind != is.Kind {
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

// What only TCP has, a session without figures of TCP has not.
func TestJSON_TCPAlone(t *testing.T) {
	s := *sampleSession()
	s.TCP = nil
	for _, f := range whose.Fields() {
		if f.Of == whose.OfTCP && !f.Value(&s).IsZero() {
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
			out = e.append(out[:0], &sessions[i])
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(sessions)), "ns/session")
}
