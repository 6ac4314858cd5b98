package render

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// Text is the format of events for a person: a line for each.
const Text = "text"

// EventFormats returns the names of the formats of events.
func EventFormats() []string { return []string{Text, JSONL, CSV, TSV, Template} }

// An EventRenderer makes lines of events. It appends to the caller's memory; the
// caller decides when to write them. It is not safe for concurrent use.
type EventRenderer interface {
	// Head appends the text before the first event.
	Head(dst []byte) []byte
	// Event appends the text of one event: one line, or the output of a template.
	// An error comes from the template; nothing is appended then.
	Event(dst []byte, e *whose.Event) ([]byte, error)
	// Resize sets a new width of the terminal. Only Text uses it.
	Resize(width int)
}

// EventOptions say how to render events. The zero value is right for a file or
// a pipe.
type EventOptions struct {
	// Fields are the fields of the session, in this order. Nil: those of
	// [DefaultEventFields]. Text and Template take no fields.
	Fields []*whose.Field
	// Width is the width of the terminal, in columns. Zero: the output goes to
	// no terminal, and nothing is shortened.
	Width int
	// Color colours Text with the terminal's own sixteen colours.
	Color bool
	// ASCII writes Text for a terminal without UTF-8.
	ASCII bool
	// NoHeader leaves out the titles of csv and tsv.
	NoHeader bool
	// Template is the text/template of the format Template.
	Template string
	// NetNS is the network namespace left unnamed in Text, by its inode number.
	// Zero: each is named.
	NetNS uint32
	// Zone is the time zone of Text. Nil: the local one.
	Zone *time.Location
	// HostName names a remote address in Text; "" or nil shows the address. Text
	// calls it for every line, so it must remember and not wait.
	HostName func(netip.Addr) string
	// ServiceName names a port in Text; "" or nil shows the number.
	ServiceName func(port uint16, proto whose.Proto) string
}

// NewEvents returns a renderer of the format. It refuses an unknown format, a
// bad template, and fields for a format without fields.
func NewEvents(format string, opts EventOptions) (EventRenderer, error) {
	if len(opts.Fields) > 0 && (format == Template || format == Text) {
		return nil, fmt.Errorf("format %s takes no fields", format)
	}
	fields := opts.Fields
	if len(fields) == 0 {
		fields = DefaultEventFields(format)
	}
	switch format {
	case Text:
		return newEventText(&opts), nil
	case JSONL:
		return newEventJSON(fields), nil
	case CSV, TSV:
		return newEventCells(format, fields, opts.NoHeader), nil
	case Template:
		return newEventTemplate(opts.Template)
	}
	return nil, whose.WithHint(fmt.Errorf("format %q not possible for events", format),
		"the formats are %s", strings.Join(EventFormats(), ", "))
}

// DefaultEventFields returns the format's fields of the session for a nil
// EventOptions.Fields. For Text they are the fields behind its line.
func DefaultEventFields(format string) []*whose.Field {
	switch format {
	case JSONL:
		// Queues and descriptors are facts of a moment. No event knows them.
		return fieldsNamed("proto family local_addr local_port remote_addr remote_port state inode cookie " +
			"uid user netns netns_name direction bound_dev scope mark reason socket_unit socket_container " +
			"pid start_time comm cmdline exe peer_pid peer_comm rtt retrans")
	case CSV, TSV:
		return fieldsNamed("proto direction local_addr local_port remote_addr remote_port " +
			"pid comm user netns netns_name reason rtt retrans")
	case Text:
		return fieldsNamed("proto direction local_addr local_port remote_addr remote_port scope " +
			"pid comm user netns netns_name reason socket_unit socket_container peer_pid peer_comm rtt retrans")
	}
	return nil
}

// EventNeeds returns the facts to collect for the output of the format.
func EventNeeds(format string, opts EventOptions) whose.Needs {
	fields := opts.Fields
	switch {
	case format == Template:
		fields = eventTemplateFields(opts.Template)
	case len(fields) == 0:
		fields = DefaultEventFields(format)
	}
	var n whose.Needs
	for _, f := range fields {
		n |= f.Needs
	}
	return n
}
