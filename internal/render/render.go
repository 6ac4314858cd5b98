package render

import (
	"fmt"
	"io"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/seed-44df2ae6/whose"
)

// A Renderer writes sessions in one format.
//
// It is not safe for concurrent use. Close has to be called, after an error
// too: it writes what is still held back and ends the renderer's goroutines.
// A renderer may keep a session's owners, which are never written again (see
// [whose.Session]), but not the session itself. It does not close its writer.
type Renderer interface {
	// Session writes one session. An error is that of the writer, or of the
	// template, and ends the output. It may belong to an earlier session.
	Session(s *whose.Session) error
	// Close writes the end of the output. The coverage is written where the
	// format has a place for it; nil writes none.
	Close(c *whose.Coverage) error
}

// The formats.
const (
	// Table is made for a person.
	Table = "table"
	// Wide is the table with more columns, none of which is dropped for want of space.
	Wide = "wide"
	// JSON is one object with the sessions and the coverage.
	JSON = "json"
	// JSONL is one object a session and nothing else.
	JSONL = "jsonl"
	// CSV is comma-separated values as in RFC 4180, safe to open in a spreadsheet.
	CSV = "csv"
	// TSV is tab-separated values with backslash escapes, one line a session.
	TSV = "tsv"
	// Template executes Options.Template for each session.
	Template = "template"
	// PyTCPProcess is what the script printed that whose began with.
	PyTCPProcess = "pytcpprocess"
)

// Formats returns the names of all formats.
func Formats() []string {
	return []string{Table, Wide, JSON, JSONL, CSV, TSV, Template, PyTCPProcess}
}

// Options say how to render. The zero value is right for a file or a pipe.
type Options struct {
	// Fields are the columns, or the keys of JSON, in this order. Nil: those
	// that the format shows by default, see [DefaultFields]. Template and
	// PyTCPProcess take no fields.
	Fields []*whose.Field
	// Added are columns that Table and Wide show beside their own, which is for
	// where Fields is nil. Other formats take no note of them.
	Added []*whose.Field
	// Width is the width of the terminal, in columns. Zero: the output goes to
	// no terminal, nothing is shortened and no owner folded away.
	Width int
	// Color colours tables with the terminal's own sixteen colours.
	Color bool
	// NoHeader leaves out the titles of table, wide, csv and tsv.
	NoHeader bool
	// Template is the text/template of the format Template.
	Template string
	// Workers is the number of goroutines that encode beside the caller's once
	// there are many sessions; not for Template, nor for tables with HostName
	// or ServiceName. Zero: none.
	Workers int
	// HostName names a remote address in tables; "" or nil shows the address.
	// It is called for every row, so it remembers what it has looked up.
	HostName func(netip.Addr) string
	// ServiceName names a port in tables; "" or nil shows the number.
	ServiceName func(port uint16, proto whose.Proto) string
}

// New returns a renderer of the format that writes to w. An unknown format, a
// bad template, or fields for a format that takes none are errors.
func New(format string, w io.Writer, opts Options) (Renderer, error) {
	if len(opts.Fields) > 0 && (format == Template || format == PyTCPProcess) {
		return nil, fmt.Errorf("format %s takes no fields", format)
	}
	switch format {
	case Table, Wide:
		return newTable(w, format, &opts), nil
	case JSON, JSONL, CSV, TSV, PyTCPProcess:
		return newStream(w, framingOf(format, &opts), opts.Workers), nil
	case Template:
		return newTemplate(w, opts.Template)
	}
	return nil, whose.WithHint(fmt.Errorf("format %q not known", format),
		"the formats are %s", strings.Join(Formats(), ", "))
}

// All feeds every session of seq to r and stops at the first error of r. It
// does not close r.
func All(r Renderer, seq iter.Seq[whose.Session]) error {
	one := new(whose.Session) // in one place: the loop's variable would be allocated each time
	for s := range seq {
		*one = s
		if err := r.Session(one); err != nil {
			return err
		}
	}
	return nil
}

// DefaultFields returns the fields that a format shows where Options.Fields is
// nil, in order. For table and wide, which put several fields into one column,
// they are the fields that the columns are made of; for a template there is no
// default and the result is nil.
func DefaultFields(format string) []*whose.Field {
	switch format {
	case JSON, JSONL:
		var all []*whose.Field
		for _, f := range whose.Fields() {
			if whose.NeedDefault.Has(f.Needs) {
				all = append(all, f)
			}
		}
		return all
	case CSV, TSV:
		return fieldsNamed("proto state local_addr local_port remote_addr remote_port direction " +
			"pid comm user netns netns_name inode recv_queue send_queue reason peer_pid peer_comm")
	case PyTCPProcess:
		return fieldsNamed("local_addr local_port remote_addr remote_port state pid comm")
	case Table, Wide:
		table := "proto state local_addr local_port direction remote_addr remote_port scope " +
			"recv_queue send_queue netns netns_name user pid comm reason " +
			"socket_unit socket_container peer_pid peer_comm"
		if format == Wide {
			table += " family inode unit container"
		}
		return fieldsNamed(table)
	}
	return nil
}

// Needs returns what has to be collected for what the format shows. A template
// that does not parse needs nothing here; New says what is wrong with it.
func Needs(format string, opts Options) whose.Needs {
	fields := opts.Fields
	switch {
	case format == Template:
		fields = templateFields(opts.Template)
	case len(fields) == 0:
		fields = append(DefaultFields(format), opts.Added...)
	}
	var n whose.Needs
	for _, f := range fields {
		n |= f.Needs
	}
	return n
}

// fieldsNamed returns the fields of a space-separated list of names.
func fieldsNamed(names string) []*whose.Field {
	list := strings.Fields(names)
	fields := make([]*whose.Field, len(list))
	for i, name := range list {
		fields[i] = whose.FieldByName(name)
	}
	return fields
}

// fieldsOf returns the fields of a group, in the order of the list.
func fieldsOf(fields []*whose.Field, group whose.Group) []*whose.Field {
	return slices.DeleteFunc(slices.Clone(fields), func(f *whose.Field) bool { return f.Of != group })
}
