package render

import (
	"bytes"
	"fmt"
	"text/template"

	"github.com/seed-44df2ae6/whose"
)

// An eventTemplate executes a text/template for each event and ends it with a
// newline, unless the template does. The data are the keys of JSON: those of the
// event, and .session with the data of a template of the listing. A key without
// a value is "".
type eventTemplate struct {
	tmpl *template.Template
	data templateData
	buf  bytes.Buffer
	n    int
}

// eventSession is the key of the session in the data of an event.
const eventSession = "session"

func newEventTemplate(text string) (*eventTemplate, error) {
	if text == "" {
		return nil, fmt.Errorf("parse template: it is empty")
	}
	tmpl, err := parseTemplate(text)
	if err != nil {
		return nil, templateError("parse", err)
	}
	r := &eventTemplate{tmpl: tmpl, data: dataFor(namesIn(tmpl))}
	sample := whose.Event{Kind: whose.EventClose, Session: *sampleSession()}
	if err := try(tmpl, r.of(&sample)); err != nil {
		return nil, whose.WithHint(templateError("try", err),
			"the facts of the session are in .session: {{.event}} {{.session.remote_addr}}")
	}
	return r, nil
}

// eventTemplateFields returns the fields in a template of events.
func eventTemplateFields(text string) []*whose.Field {
	tmpl, err := parseTemplate(text)
	if err != nil {
		return nil
	}
	return fieldsMentioned(namesIn(tmpl))
}

// Head appends nothing.
func (r *eventTemplate) Head(dst []byte) []byte { return dst }

// Resize does nothing.
func (r *eventTemplate) Resize(int) {}

// Event appends the output of the template for one event.
func (r *eventTemplate) Event(dst []byte, e *whose.Event) ([]byte, error) {
	r.n++
	r.buf.Reset()
	if err := r.tmpl.Execute(&r.buf, r.of(e)); err != nil {
		return dst, templateError(fmt.Sprintf("event %d: execute", r.n), err)
	}
	dst = append(dst, r.buf.Bytes()...)
	if b := r.buf.Bytes(); len(b) == 0 || b[len(b)-1] != '\n' {
		dst = append(dst, '\n')
	}
	return dst, nil
}

// of returns the data of an event for the template.
func (r *eventTemplate) of(e *whose.Event) map[string]any {
	row := e.Row()
	data := map[string]any{eventSession: r.data.of(row)}
	for _, o := range eventObjects() {
		into := data
		if o.name != "" {
			into = make(map[string]any)
			data[o.name] = into
		}
		for i, f := range o.fields {
			into[o.keys[i]] = templateValue(f.Value(row))
		}
	}
	return data
}
