package render

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
)

// someLife is a life by chance, nil now and then.
func someLife(r *rand.Rand) *whose.Lifetime {
	if r.IntN(3) == 0 {
		return nil
	}
	l := &whose.Lifetime{Opened: noon.Add(time.Duration(r.IntN(1_000_000)) * time.Microsecond), StoodBefore: r.IntN(2) == 0}
	if r.IntN(2) == 0 {
		l.Duration = time.Duration(r.IntN(1_000_000_000)) * time.Microsecond
		l.Closed, l.End, l.By = l.Opened.Add(l.Duration), whose.End(r.IntN(10)), whose.Side(r.IntN(3))
		l.Errno, l.Counted = uint32(r.IntN(3)), r.IntN(2) == 0
	}
	if l.Counted {
		l.Sent = whose.Traffic{Bytes: r.Uint64(), Datagrams: r.Uint64()}
		l.Received = whose.Traffic{Bytes: uint64(r.IntN(2)), Datagrams: uint64(r.IntN(2))}
	}
	return l
}

// What was written as JSON lines is read back as it was: written again it is the
// same, byte for byte.
func TestReadBack_Sessions(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	sessions := append(randomSessions(2000, 9), whose.Session{}, *sampleSession())
	for _, list := range samples() {
		sessions = append(sessions, list...)
	}
	encoder := newJSONEncoder(whose.Fields(), "", "\n")
	for i := range sessions {
		s := &sessions[i]
		s.Life = someLife(r)
		if s.Life != nil && s.Life.Counted {
			s.TCP = nil // of two counts of the same bytes one is written
		}
		line := string(encoder.session(nil, s))
		read, err := whose.ParseSession([]byte(line))
		if err != nil {
			t.Fatalf("%v, of %s", err, line)
		}
		if diff := cmp.Diff(line, string(encoder.session(nil, &read))); diff != "" {
			t.Fatalf("session %d (-written +read back):\n%s", i, diff)
		}
	}
}

func TestReadBack_Events(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	events := append(dayAtWork(), hostileEvents()...)
	for _, s := range randomSessions(2000, 10) {
		e := whose.Event{Time: noon.Add(time.Duration(r.IntN(1_000_000)) * time.Microsecond), Kind: whose.EventKind(1 + r.IntN(8)), Seq: r.Uint64N(3), Session: s}
		if life := someLife(r); life != nil {
			e.Lifetime = *life
		}
		events = append(events, e)
	}
	writer, again := newEventJSON(whose.Fields()), newEventJSON(whose.Fields())
	for i := range events {
		e := &events[i]
		if e.Kind.Ends() {
			e.Closed = e.Time
		} else {
			e.Lifetime = whose.Lifetime{StoodBefore: e.StoodBefore}
		}
		line, _ := writer.Event(nil, e)
		read, err := whose.ParseEvent(line)
		if err != nil {
			t.Fatalf("%v, of %s", err, line)
		}
		back, _ := again.Event(nil, &read)
		if diff := cmp.Diff(string(line), string(back)); diff != "" {
			t.Fatalf("event %d (-written +read back):\n%s", i, diff)
		}
	}
}

// Bad input gets a message that names the key and quotes what stands there.
func TestReadBack_Errors(t *testing.T) {
	for text, want := range map[string]string{
		`{"local_port":65536}`:                    `local_port: "65536": want a whole number of at most 16 bits`,
		`{"owners":[{"pid":4294967296}]}`:         `owners: pid: "4294967296": too large`,
		`{"state":"OPEN"}`:                        `state: "\"OPEN\"": want one of`,
		`{"local_addr":"10.0.0.256"}`:             `local_addr: "\"10.0.0.256\""`,
		`{"owners":7}`:                            `owners: "7": want a list of objects`,
		`{"end":"orderly","duration":-1}`:         `duration: "-1"`,
		`[]`:                                      `parse session: "[]": want a JSON object`,
		`{"uid":` + strings.Repeat("9", 99) + `}`: `…`,
	} {
		if _, err := whose.ParseSession([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %s", text, err, want)
		}
	}
	for text, want := range map[string]string{
		`{"version":2,"event":"open"}`: `version: "2": want 1`,
		`{"version":1,"sent":3}`:       `sent: "3": want a JSON object`,
	} {
		if _, err := whose.ParseEvent([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %s", text, err, want)
		}
	}
	if s, err := whose.ParseSession([]byte(`{"of_a_later_version":[1],"uid":7}`)); err != nil || s.UID != 7 {
		t.Errorf("a key of a later version: %v", err)
	}
}

// FuzzParse: whatever is read, nothing breaks, and what could be read is written
// and read again to the same.
func FuzzParse(f *testing.F) {
	e := hostileEvents()[0]
	line, _ := newEventJSON(whose.Fields()).Event(nil, &e)
	f.Add(line)
	f.Add(newJSONEncoder(whose.Fields(), "", "").session(nil, sampleSession()))
	f.Add([]byte(`{"sent":{"bytes":1},"owners":[null,{}],"peer":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if e, err := whose.ParseEvent(text); err == nil {
			_, _ = newEventJSON(whose.Fields()).Event(nil, &e)
		}
		s, err := whose.ParseSession(text)
		if err != nil {
			return
		}
		encoder := newJSONEncoder(whose.Fields(), "", "")
		first := string(encoder.session(nil, &s))
		again, err := whose.ParseSession([]byte(first))
		if err != nil {
			t.Fatalf("%v, of %s", err, first)
		}
		if second := string(encoder.session(nil, &again)); second != first {
			t.Fatalf("%s\nis read as\n%s", first, second)
		}
	})
}

func TestReadBack_Coverage(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 11))
	for range 1000 {
		c := whose.Coverage{
			Source: "bpf", Pinned: r.IntN(2) == 0, Sessions: r.IntN(100), OwnersAsked: r.IntN(2) == 0,
			Processes: r.IntN(3), Namespaces: r.IntN(3), Duration: time.Duration(r.IntN(1000)) * time.Microsecond,
		}
		if c.OwnersAsked {
			c.Owned = r.IntN(3)
			for i := 1; i < len(c.Ownerless); i++ {
				c.Ownerless[i] = r.IntN(3)
			}
		}
		for range r.IntN(3) {
			c.Add(whose.Gap{
				Kind: whose.GapKind(1 + r.IntN(len(whose.GapKinds()))), Cause: whose.Cause(1 + r.IntN(len(whose.Causes()))),
				Count: r.IntN(3), Detail: "read \x1b: \"no\"", Hint: "try sudo",
				From: noon.Add(time.Duration(r.IntN(1_000_000)) * time.Microsecond),
			})
		}
		text := string(AppendCoverage(nil, &c))
		read, err := whose.ParseCoverage([]byte(text))
		if err != nil {
			t.Fatalf("%v, of %s", err, text)
		}
		if diff := cmp.Diff(text, string(AppendCoverage(nil, &read))); diff != "" {
			t.Fatalf("(-written +read back):\n%s", diff)
		}
	}
	for _, bad := range []string{"", "[]", `{"ownerless":{"nobody":1}}`, `{"partial":[{"kind":"no","cause":"lost"}]}`} {
		if _, err := whose.ParseCoverage([]byte(bad)); err == nil {
			t.Errorf("%s is read as a coverage", bad)
		}
	}
}
