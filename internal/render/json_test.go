package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/lots"
)

// compileSchema returns the schema, so strict that it refuses keys that it
// does not know, and that of one session.
func compileSchema(t testing.TB) (whole, session *jsonschema.Schema) {
	t.Helper()
	c := strictSchema(t)
	return c.MustCompile("whose.json"), c.MustCompile("whose.json#/$defs/session")
}

func strictSchema(t testing.TB) *jsonschema.Compiler {
	t.Helper()
	raw, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	forbidOthers(doc)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("whose.json", doc); err != nil {
		t.Fatal(err)
	}
	return c
}

// forbidOthers sets additionalProperties to false wherever properties are listed.
func forbidOthers(node any) {
	switch node := node.(type) {
	case map[string]any:
		if _, ok := node["properties"].(map[string]any); ok && node["type"] == "object" {
			node["additionalProperties"] = false
		}
		for _, child := range node {
			forbidOthers(child)
		}
	case []any:
		for _, child := range node {
			forbidOthers(child)
		}
	}
}

func validate(t testing.TB, schema *jsonschema.Schema, text string) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if err := schema.Validate(doc); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

func TestJSON_MeetsSchema(t *testing.T) {
	whole, one := compileSchema(t)
	for name, sessions := range samples() {
		t.Run(name, func(t *testing.T) {
			sessions = append(sessions, *sampleSession())
			for _, fields := range [][]*whose.Field{nil, whose.Fields(), fieldsNamed("pid"), fieldsNamed("rtt fds unit")} {
				opts := Options{Fields: fields}
				validate(t, whole, rendered(t, JSON, opts, sessions))
				for line := range strings.Lines(rendered(t, JSONL, opts, sessions)) {
					validate(t, one, line)
				}
			}
		})
	}
	validate(t, whole, rendered(t, JSON, Options{}, nil))
}

// Every field has its key, with all of them asked for and a value for each.
func TestJSON_EveryField(t *testing.T) {
	var got map[string]any
	sample := sampleSession()
	sample.Subflow = true
	sample.Exposure = whose.ExposureAny
	sample.Life.FirstSeen, sample.Life.Host = sample.Life.Opened, "a"
	line := rendered(t, JSONL, Options{Fields: whose.Fields()}, []whose.Session{*sample})
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatal(err)
	}
	objects := map[whose.Group]map[string]any{whose.OfSession: got, whose.OfTCP: got, whose.OfLife: got}
	for group, key := range map[whose.Group]string{whose.OfOwner: "owners", whose.OfPeer: "peer"} {
		objects[group] = got[key].([]any)[0].(map[string]any)
		delete(got, key)
	}
	udp := sampleSession() // some are facts of UDP
	udp.Proto = whose.UDP
	if err := json.Unmarshal([]byte(rendered(t, JSONL, Options{Fields: fieldsOf(whose.Fields(), whose.OfLife)}, []whose.Session{*udp})), &got); err != nil {
		t.Fatal(err)
	}
	standing := sampleSession() // one is of those that stand
	standing.Life = nil
	if err := json.Unmarshal([]byte(rendered(t, JSONL, Options{Fields: fieldsOf(whose.Fields(), whose.OfTCP)}, []whose.Session{*standing})), &got); err != nil {
		t.Fatal(err)
	}
	for _, f := range whose.Fields() {
		if _, ok := objects[f.Of][f.JSONKey()]; !ok {
			t.Errorf("%s has no key %q in %s", f.Name, f.JSONKey(), line)
		}
		delete(objects[f.Of], f.JSONKey())
	}
	for _, rest := range objects {
		if len(rest) > 0 {
			t.Errorf("keys %q belong to no field", slices.Collect(maps.Keys(rest)))
		}
	}
}

func TestJSON_Exact(t *testing.T) {
	s := measured()[0]
	s.Owners = append(s.Owners, owners(process(815, "a\"b\\c\n"))...)
	s.Peer = owners(process(9, "\xffpeer"))
	s.Cookie = 1<<64 - 1
	want := `{"proto":"tcp","family":"ipv4","local_addr":"10.0.0.5","local_port":443,"remote_addr":"203.0.113.7","remote_port":51234,` +
		`"state":"ESTABLISHED","inode":30443,"cookie":18446744073709551615,"uid":33,"user":"www-data","netns":4026531840,"netns_name":"host",` +
		`"direction":"in","recv_queue":0,"send_queue":0,"bound_dev":"eth0","mark":7,` +
		`"owners":[{"pid":814,"start_time":"2026-03-01T08:43:34.12Z","comm":"nginx","fds":[3]},` +
		`{"pid":815,"start_time":"2026-03-01T08:43:35.12Z","comm":"a\"b\\c\u000a","fds":[3]}],` +
		`"peer":[{"pid":9,"comm":"` + "\ufffd" + `peer"}]}` + "\n"
	if diff := cmp.Diff(want, rendered(t, JSONL, Options{}, []whose.Session{s})); diff != "" {
		t.Error(diff)
	}
	withTCP := rendered(t, JSONL, Options{Fields: append(DefaultFields(JSONL), fieldsNamed("rtt cwnd")...)}, []whose.Session{s})
	if !strings.HasSuffix(withTCP, `}],"rtt":12345,"cwnd":10}`+"\n") {
		t.Errorf("the figures of TCP, where asked for, are not at the end of %s", withTCP)
	}
}

func TestJSON_NoCoverage(t *testing.T) {
	var b bytes.Buffer
	r, err := New(JSON, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Write(&b, lots.Slice{}, nil); err != nil {
		t.Fatal(err)
	}
	if want := "{\"version\":1,\"sessions\":[\n]}\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
	b.Reset()
	if err := r.Write(&b, lots.Slice{}, &whose.Coverage{Source: "procfs"}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "own") {
		t.Errorf("owners were not asked for, the coverage counts them: %s", b.String())
	}
}

// A process is known by its pointer and no other: two that look alike but for
// one fact are told apart, in any order.
func TestJSON_ProcessMemo(t *testing.T) {
	a, b := process(1, "a"), process(2, "b")
	var want, got []string
	var sessions []whose.Session
	for _, p := range []*whose.Process{a, a, b, a, b, b} {
		sessions = append(sessions, session(whose.TCP, whose.Listen, "0.0.0.0:1", "0.0.0.0:0", owners(p, b)...))
		want = append(want, fmt.Sprintf(`{"owners":[{"pid":%d,"comm":%q,"fds":[3]},{"pid":2,"comm":"b","fds":[4]}]}`, p.PID, p.Comm))
	}
	got = strings.Fields(rendered(t, JSONL, Options{Fields: fieldsNamed("pid comm fds")}, sessions))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestJSONEncoder_NoAllocs(t *testing.T) {
	sessions := append(webHost(), crowd()...)
	for name, enc := range map[string]encoder{
		"jsonl": jsonlFraming(DefaultFields(JSONL)).newEncoder(),
		"csv":   csvFraming(DefaultFields(CSV), true).newEncoder(),
		"tsv":   tsvFraming(DefaultFields(TSV), true).newEncoder(),
		"pytcp": pytcpFraming().newEncoder(),
	} {
		var dst []byte
		run := func() {
			dst = dst[:0]
			for i := range sessions {
				dst, _ = enc(dst, &sessions[i])
			}
		}
		run()
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %v allocations for %d sessions, want none", name, n, len(sessions))
		}
	}
}

func FuzzPrograms(f *testing.F) {
	_, one := compileSchema(f)
	for _, s := range hostile() {
		f.Add(s.User, s.Owners[0].Cmdline)
	}
	f.Fuzz(func(t *testing.T, comm, other string) {
		p := process(7, comm)
		p.Cmdline, p.Unit, p.Container = other, comm, other
		s := session(whose.TCP, whose.Listen, "127.0.0.1:1", "0.0.0.0:0", owners(p, process(8, other))...)
		s.User, s.NetNSName = other, comm
		sessions := []whose.Session{s}
		opts := Options{Fields: whose.Fields()}

		line := rendered(t, JSONL, opts, sessions)
		validate(t, one, line)
		for _, r := range strings.TrimSuffix(line, "\n") {
			if unicode.IsControl(r) {
				t.Fatalf("control character %+q in %q", r, line)
			}
		}
		var back struct{ Owners []struct{ Comm string } }
		if err := json.Unmarshal([]byte(line), &back); err != nil {
			t.Fatal(err)
		}
		// As encoding/json does it: each bad byte becomes one U+FFFD.
		want := string([]rune(comm))
		if back.Owners[0].Comm != want || !utf8.ValidString(line) {
			t.Fatalf("%q came back as %q", comm, back.Owners[0].Comm)
		}
		checkPyTCP(t, rendered(t, PyTCPProcess, Options{}, sessions), want+":7")
		checkCells(t, sessions, opts)
		checkTable(t, sessions, allWidths[(len(comm)+len(other))%len(allWidths)]) // one is enough for one input
	})
}

func checkPyTCP(t *testing.T, text, want string) {
	t.Helper()
	var rows []map[string]any
	if err := json.Unmarshal([]byte(text), &rows); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if len(rows) != 2 || rows[0]["Proccess"] != want || rows[0]["LocalPort"] != 1.0 {
		t.Fatalf("got %v, want two rows, the first of %q", rows, want)
	}
}
