package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/lots"
)

func TestTemplate(t *testing.T) {
	bad := session(whose.TCP, whose.Listen, "[::1]:80", "[::]:0", owners(process(7, "a\x1b[31m"), process(8, "b"))...)
	for text, want := range map[string]string{
		`{{.proto}} {{.state}} {{.local_port}}`:                                "tcp LISTEN 80\n",
		`{{endpoint .local_addr .local_port}}`:                                 "[::1]:80\n",
		`{{range .owners}}{{.comm}}/{{.pid}} {{end}}`:                          `a\x1b[31m/7 b/8 ` + "\n",
		`{{range .owners}}{{raw .comm}},{{end}}`:                               "a\x1b[31m,b,\n",
		`{{owners .owners}}|{{owners .peer}}`:                                  `a\x1b[31m 7, b 8|` + "\n",
		`{{(index .owners 1).comm}} {{join "+" (index .owners 1).fds}}`:        "b 4\n",
		`{{join " " .owners}}`:                                                 `a\x1b[31m:7 b:8` + "\n",
		`{{if .rtt}}rtt{{else}}none{{end}}{{.rtt}}`:                            "none\n",
		`{{if gt .local_port 79}}high{{end}}`:                                  "high\n",
		`{{with index .owners 0}}{{.comm | printf "%s"}} {{len .comm}}{{end}}`: `a\x1b[31m 6` + "\n",
		"{{.uid}}\n": "33\n",
		`{{if eq (index .owners 1).comm "b"}}yes{{end}}`: "yes\n",
	} {
		if got := rendered(t, Template, Options{Template: text}, []whose.Session{bad}); got != want {
			t.Errorf("%s is %q, want %q", text, got, want)
		}
	}
}

// Help names every function, and no other, by a call that works.
func TestTemplateFunctions(t *testing.T) {
	known := templateFuncs()
	for _, f := range TemplateFunctions() {
		name, _, _ := strings.Cut(f.Usage, " ")
		if _, ok := known[name]; !ok {
			t.Errorf("there is no function %s", name)
		}
		delete(known, name)
		call := "{{" + f.Usage + "}}"
		if strings.HasSuffix(f.Usage, ".fds") || strings.HasSuffix(f.Usage, ".comm") {
			call = "{{range .owners}}" + call + "{{end}}"
		}
		if got := rendered(t, Template, Options{Template: call}, []whose.Session{*sampleSession()}); strings.TrimSpace(got) == "" {
			t.Errorf("%s gives nothing", call)
		}
	}
	for name := range known {
		t.Errorf("function %s is not told of", name)
	}
}

func TestTemplate_JSON(t *testing.T) {
	sessions := append(hostile(), *sampleSession())
	got := rendered(t, Template, Options{Template: `{{json .}}`}, sessions)
	_, one := compileSchema(t)
	for line := range strings.Lines(got) {
		validate(t, one, line)
	}
	if strings.ContainsAny(got, "\x1b\u202e") {
		t.Error("json let an escape code through")
	}
	if got := rendered(t, Template, Options{Template: `{{range .owners}}{{json .comm}}{{end}}`}, hostile()[:1]); got != `"a b):\u001b[31m"`+"\n" {
		t.Errorf("json of a name is %s", got)
	}
}

func TestTemplate_Bad(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "parse template: it is empty",
		"{{":                                     "parse template: ",
		"{{.locl_port}}":                         `no entry for key "locl_port"`,
		"{{range .owners}}{{.state}}{{end}}":     `no entry for key "state"`,
		"{{nosuch .proto}}":                      "nosuch",
		"{{join 1 2}}":                           "expected string",
		"{{." + strings.Repeat("x", 5000) + "}}": "…",
		"{{\"\x1b[31m\" | nosuch}}":              "nosuch",
	} {
		_, err := New(Template, Options{Template: text})
		if err == nil {
			t.Errorf("%.50q was accepted", text)
			continue
		}
		msg := err.Error()
		if !strings.Contains(msg, want) || len(msg) > maxErrorText+100 || strings.ContainsAny(msg, "\x1b\n") {
			t.Errorf("%.50q: error %q, want one line with %q", text, msg, want)
		}
	}
}

// An error in the middle names the session, and what went before is written.
func TestTemplate_FailsLater(t *testing.T) {
	var b bytes.Buffer
	r, err := New(Template, Options{Template: `{{.local_port}} {{(index .owners 0).comm}}`})
	if err != nil {
		t.Fatal(err)
	}
	held := session(whose.TCP, whose.Listen, "0.0.0.0:80", "0.0.0.0:0", owners(process(1, "a"))...)
	free := session(whose.TCP, whose.Listen, "0.0.0.0:81", "0.0.0.0:0")
	err = r.Write(&b, lots.Slice{held, free, held}, nil)
	var exec template.ExecError
	if err == nil || !strings.Contains(err.Error(), "session 2") || !errors.As(err, &exec) {
		t.Errorf("error is %v, want that of session 2", err)
	}
	if b.String() != "80 a\n" {
		t.Errorf("%q was written, want the first session alone", b.String())
	}
}

func TestNeeds(t *testing.T) {
	def := Needs(JSONL, Options{})
	if def != whose.NeedDefault {
		t.Errorf("json needs %b, want the default %b", def, whose.NeedDefault)
	}
	if n := Needs(Table, Options{}); !whose.NeedDefault.Has(n) {
		t.Errorf("the table needs %b, more than is collected by default", n)
	}
	for text, want := range map[string]whose.Needs{
		`{{.local_port}}`:                   0,
		`{{range .owners}}{{.exe}}{{end}}`:  whose.NeedOwners | whose.NeedExe,
		`{{owners .peer}}`:                  whose.NeedPeer,
		`{{if .rtt}}{{$x := .user}}{{end}}`: whose.NeedTCPInfo | whose.NeedUser | whose.NeedCreds,
		`{{with $s := .}}{{$s.rtt}}{{end}}`: whose.NeedTCPInfo | whose.NeedDefault,
		`{{json .}}`:                        whose.NeedDefault,
		`{{index . "cmdline"}}`:             whose.NeedDefault | whose.NeedCmdline,
		`{{define "x"}}{{.unit}}{{end}}{{template "x" (index .owners 0)}}`: whose.NeedOwners | whose.NeedCgroup,
		`{{`: 0,
	} {
		if got := Needs(Template, Options{Template: text}); got != want {
			t.Errorf("%s needs %b, want %b", text, got, want)
		}
	}
	if got := Needs(CSV, Options{Fields: fieldsNamed("cmdline")}); got != whose.FieldByName("cmdline").Needs {
		t.Errorf("cmdline needs %b", got)
	}
}

func TestNew_Refuses(t *testing.T) {
	if _, err := New("xml", Options{}); err == nil || !strings.Contains(whose.Hint(err), "jsonl") {
		t.Errorf("xml: %v, hint %q", err, whose.Hint(err))
	}
	for _, format := range []string{Template, PyTCPProcess} {
		if _, err := New(format, Options{Fields: whose.Fields(), Template: "x"}); err == nil {
			t.Errorf("%s takes fields", format)
		}
	}
	for _, format := range Formats() {
		if _, err := New(format, Options{Template: "x"}); err != nil {
			t.Errorf("%s: %v", format, err)
		}
		if slices.Contains(DefaultFields(format), nil) {
			t.Errorf("a default field of %s does not exist", format)
		}
	}
}

func TestPyTCPProcess_LeavesOut(t *testing.T) {
	var rows []struct {
		LocalPort, RemotePort      int
		State, Proccess, LocalAddr string
	}
	if err := json.Unmarshal([]byte(rendered(t, PyTCPProcess, Options{}, webHost())), &rows); err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, s := range webHost() {
		if s.Reason == whose.ReasonNone && s.State != whose.Unconn {
			want += len(s.Owners)
		}
	}
	if len(rows) != want || want == 0 {
		t.Fatalf("%d rows, want one for each of %d owners", len(rows), want)
	}
	for _, r := range rows {
		name, pid, ok := strings.Cut(r.Proccess, ":")
		if !ok || name == "" || pid == "" || r.LocalPort == 0 || r.State == "UNCONN" {
			t.Errorf("row %+v", r)
		}
	}
	if got := rendered(t, PyTCPProcess, Options{}, nil); got != "[]\n" {
		t.Errorf("nothing is %q, want an empty list", got)
	}
}
