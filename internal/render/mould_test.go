package render

import (
	"bytes"
	"fmt"
	"net/netip"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
)

// Whatever sessions come one after the other, each becomes what it becomes in
// an encoder that has seen no other, and what the table of fields says.
func TestMoulds_AsAlone(t *testing.T) {
	full := *sampleSession()
	sessions := append(randomSessions(2000, 3), whose.Session{}, full, whose.Session{})
	for i := range sessions {
		sessions[i].Inode *= uint64(i % 3)
		sessions[i].Mark = uint32(i % 5 / 4)
	}
	for _, fields := range [][]*whose.Field{whose.Fields(), DefaultEventFields(JSONL), fieldsNamed("user"), fieldsNamed("inode"), fieldsNamed("cong pid")} {
		all := newJSONEncoder(fields, "<", ">")
		var got, want []byte
		for i := range sessions {
			got, want = all.append(got[:0], &sessions[i]), newJSONEncoder(fields, "<", ">").append(want[:0], &sessions[i])
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Fatalf("session %d (-alone +among others):\n%s", i, diff)
			}
			if want = throughTable(fields).append(want[:0], &sessions[i]); !bytes.Equal(got, want) {
				t.Fatalf("session %d is\n%s\nand by the table of fields\n%s", i, got, want)
			}
		}
	}
}

// throughTable returns an encoder that asks the table for every field.
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

// Sessions of one likeness have the same values in all steady fields: whatever
// is changed of a session, such a field does not change unless the likeness does.
func TestLikeness_Covers(t *testing.T) {
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
				if !accessTo(f).steady() || likenessOf(&base) != likenessOf(&changed) {
					continue
				}
				if was, is := f.Value(&base), f.Value(&changed); was.Text != is.Text || was.Num != is.Num || was.Kind != is.Kind {
					t.Errorf("%s follows Session.%s, which is no part of the likeness", f.Name, reflect.TypeFor[whose.Session]().Field(i).Name)
				}
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
