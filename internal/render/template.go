package render

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"text/template"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// A templated executes a text/template for each session and ends each with a
// newline, unless the template does. Each goroutine has one of its own.
//
// The data is a map: the fields of the session by their names in JSON, such as
// {{.local_port}}, and "owners" and "peer", which are lists of maps:
// {{range .owners}}{{.comm}} {{.pid}} {{end}}. A field without a value is "".
// Text is safe as by [AppendSafe] wherever it is printed. The functions are
//
//	join SEP LIST   the elements of a list, parted: {{join "," .fds}}
//	owners LIST     as in the table: {{owners .owners}} is "nginx 812,813"
//	endpoint A P    address and port: {{endpoint .local_addr .local_port}}
//	json VALUE      as JSON
//	raw VALUE       the text as it is, escape codes and all
type templated struct {
	tmpl *template.Template
	data templateData
	buf  bytes.Buffer
}

// maxErrorText bounds the quotes of a template in errors.
const maxErrorText = 300

func templateFraming(text string) (framing, error) {
	if text == "" {
		return framing{}, fmt.Errorf("parse template: it is empty")
	}
	tmpl, err := parseTemplate(text)
	if err != nil {
		return framing{}, templateError("parse", err)
	}
	data := dataFor(namesIn(tmpl))
	if err := try(tmpl, data.of(sampleSession().Row())); err != nil {
		return framing{}, whose.WithHint(templateError("try", err), "`whose fields` lists the names")
	}
	return framing{newEncoder: func() encoder { return (&templated{tmpl: tmpl, data: data}).session }}, nil
}

// try executes the template with a value for every field, and so finds unknown
// names before the first row. The number of owners depends on the session, and
// so does the range of an index.
func try(tmpl *template.Template, data map[string]any) error {
	err := tmpl.Execute(io.Discard, data)
	if err == nil || strings.Contains(err.Error(), "error calling index") || strings.Contains(err.Error(), "error calling slice") {
		return nil
	}
	return err
}

func parseTemplate(text string) (*template.Template, error) {
	return template.New("template").Option("missingkey=error").Funcs(templateFuncs()).Parse(text)
}

func templateError(verb string, err error) error {
	return fmt.Errorf("%s template: %w", verb, &boundedError{err})
}

// A boundedError is another error, safe to print and at most maxErrorText long.
type boundedError struct{ err error }

func (e *boundedError) Error() string {
	s := strings.TrimPrefix(e.err.Error(), "template: ")
	if len(s) > maxErrorText {
		s = s[:backToRune(s, maxErrorText)] + "…"
	}
	return Safe(s)
}

func (e *boundedError) Unwrap() error { return e.err }

// session appends the text of one session.
func (t *templated) session(dst []byte, s *whose.Session) ([]byte, error) {
	t.buf.Reset()
	if err := t.tmpl.Execute(&t.buf, t.data.of(s.Row())); err != nil {
		return dst, templateError("execute", err)
	}
	dst = append(dst, t.buf.Bytes()...)
	if n := t.buf.Len(); n == 0 || dst[len(dst)-1] != '\n' {
		dst = append(dst, '\n')
	}
	return dst, nil
}

// A hostileText is made safe when printed. Comparisons and lengths use the text
// as it is.
type hostileText string

// String returns the safe form.
func (t hostileText) String() string { return Safe(string(t)) }

// MarshalJSON keeps the text itself.
func (t hostileText) MarshalJSON() ([]byte, error) { return appendJSONString(nil, string(t)), nil }

// templateData makes the data of a session for a template: only the fields it
// may ask for.
type templateData struct{ session, owners, peer []*whose.Field }

// dataFor returns the data for a template with these names. A template with a
// map as a whole may ask for everything.
func dataFor(names map[string]bool) templateData {
	var d templateData
	for _, f := range whose.Fields() {
		if !names[f.JSONKey()] && !names["."] && !names["$"] {
			// The functions for owners need the names and numbers.
			if f.JSONKey() != "pid" && f.JSONKey() != "comm" {
				continue
			}
		}
		switch f.Of {
		case whose.OfOwner:
			d.owners = append(d.owners, f)
		case whose.OfPeer:
			d.peer = append(d.peer, f)
		default:
			d.session = append(d.session, f)
		}
	}
	return d
}

func (d *templateData) of(r whose.Row) map[string]any {
	data := make(map[string]any, len(d.session)+2)
	for _, f := range d.session {
		data[f.JSONKey()] = templateValue(f.Value(r))
	}
	data["owners"] = ownersData(d.owners, r.Session.Owners)
	data["peer"] = ownersData(d.peer, r.Session.Peer)
	return data
}

func ownersData(fields []*whose.Field, owners []whose.Owner) []map[string]any {
	all := make([]map[string]any, len(owners))
	for i := range owners {
		all[i] = make(map[string]any, len(fields))
		for _, f := range fields {
			all[i][f.JSONKey()] = templateValue(f.OwnerValue(&owners[i]))
		}
	}
	return all
}

// templateValue is a value of a type for templates.
func templateValue(v whose.Value) any {
	switch v.Kind {
	case whose.KindText:
		return hostileText(v.Text)
	case whose.KindName:
		return v.Text
	case whose.KindNumber, whose.KindPort, whose.KindBytes:
		return v.Num
	case whose.KindHex:
		return string(v.Append(nil))
	case whose.KindDuration:
		return v.Num / uint64(time.Microsecond)
	case whose.KindBool:
		return v.Num != 0
	case whose.KindAddr:
		return v.Addr.String()
	case whose.KindTime:
		return v.Time.UTC().Format(whose.TimeFormat)
	case whose.KindInstant:
		return v.Time.UTC().Format(whose.InstantFormat)
	case whose.KindNumbers:
		return v.List
	}
	return ""
}

// sampleSession has a value for every field.
func sampleSession() *whose.Session {
	end := netip.AddrPortFrom(netip.IPv6Loopback(), 1)
	owners := []whose.Owner{{Process: &whose.Process{
		PID: 1, StartTime: time.Unix(1, 0), Comm: "a", Cmdline: "a", Exe: "/a", User: "a",
		Parent: 1, Unit: "a", Container: "a", Pod: "a",
		Script: "a", ContainerName: "a", Image: "a", PodName: "a", PodNamespace: "a"}, FDs: []int32{1}}}
	return &whose.Session{
		Local: end, Remote: end, Inode: 1, Cookie: 1, Flow: 1, NetNS: 1, Mark: 1, Proto: whose.TCP,
		Family: whose.IPv6, State: whose.Listen, Direction: whose.In, Reason: whose.ReasonHidden,
		NetNSName: "a", User: "a", BoundDev: "a", Scope: "a", Unit: "a", Container: "a", Owners: owners, Peer: owners,
		TCP: &whose.TCPInfo{RTT: time.Microsecond, Retrans: 1, BytesSent: 1, BytesReceived: 1, Cong: "a", Cwnd: 1, HasIdle: true, Unused: true, Idle: time.Millisecond,
			Timer: whose.Timer{Kind: whose.TimerKeepalive}},
		Life: &whose.Lifetime{
			Opened: time.Unix(1, 0), Closed: time.Unix(2, 0), Duration: time.Second, End: whose.EndOrderly, By: whose.Here,
			Errno: 1, StoodBefore: true, Counted: true, Sent: whose.Traffic{Bytes: 1}, Received: whose.Traffic{Bytes: 1},
		},
	}
}
