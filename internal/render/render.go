package render

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/lots"
)

// A Renderer writes sessions in one format.
//
// It is not safe for concurrent use. It may be used again.
type Renderer interface {
	// Write writes all sessions to w, and what comes before and after them. Formats
	// with a place for the coverage write it; nil writes none. An error is the
	// writer's, or the template's, and ends the output. Of a template's error, the
	// sessions before it are written.
	Write(w io.Writer, sessions lots.Sessions, c *whose.Coverage) error
}

// The formats.
const (
	// Table is the format for a person.
	Table = "table"
	// Wide is the table with more columns.
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
	// PyTCPProcess is the output of the script from which whose began.
	PyTCPProcess = "pytcpprocess"
)

// Formats returns the names of all formats.
func Formats() []string {
	return []string{Table, Wide, JSON, JSONL, CSV, TSV, Template, PyTCPProcess}
}

// Options say how to render. The zero value is right for a file or a pipe.
type Options struct {
	// Fields are the columns, or the keys of JSON, in this order. Nil: the defaults
	// of the format, see [DefaultFields]. Template and PyTCPProcess take no fields.
	Fields []*whose.Field
	// Added are columns of Table and Wide beside their own, for a nil Fields. Other
	// formats ignore them.
	Added []*whose.Field
	// Width is the width of the terminal, in columns. Zero: the output goes to
	// no terminal, nothing is shortened and no owner folded away.
	Width int
	// OwnNetNS is the caller's network namespace. The table names those of others. 0:
	// not known, and all are named if they differ.
	OwnNetNS uint32
	// Color colours tables with the terminal's own sixteen colours.
	Color bool
	// ASCII writes tables and summaries for a terminal without UTF-8.
	ASCII bool
	// NoHeader leaves out the titles of table, wide, csv and tsv.
	NoHeader bool
	// Template is the text/template of the format Template.
	Template string
	// Workers is the greatest number of encoding goroutines beside the caller's.
	// Fewer sessions take fewer, and tables with HostName or ServiceName take none.
	// The output does not depend on it. Zero: none.
	Workers int
	// HostName names a remote address in tables; "" or nil shows the address.
	// Tables call it for every row, so it must remember its look-ups.
	HostName func(netip.Addr) string
	// ServiceName names a port in tables; "" or nil shows the number.
	ServiceName func(port uint16, proto whose.Proto) string
}

// New returns a renderer of the format. It refuses an unknown format, a bad
// template, and fields for a format without fields.
func New(format string, opts Options) (Renderer, error) {
	if len(opts.Fields) > 0 && (format == Template || format == PyTCPProcess) {
		return nil, fmt.Errorf("format %s takes no fields", format)
	}
	switch format {
	case Table, Wide:
		return &tableFormat{format, opts}, nil
	case JSON, JSONL, CSV, TSV, PyTCPProcess:
		return &stream{framingOf(format, &opts), opts.Workers}, nil
	case Template:
		f, err := templateFraming(opts.Template)
		if err != nil {
			return nil, err
		}
		return &stream{f, opts.Workers}, nil
	}
	return nil, whose.WithHint(fmt.Errorf("format %q not known", format),
		"the formats are %s", strings.Join(Formats(), ", "))
}

// DefaultFields returns the format's fields for a nil Options.Fields, in order.
// Table and wide put several fields into one column; for them it returns the
// fields behind the columns. A template has no default: nil.
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
			table += " family inode unit container container_name script"
		}
		return fieldsNamed(table)
	}
	return nil
}

// Needs returns the facts to collect for the output of the format. A template
// with a syntax error needs nothing here; New reports the error.
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
