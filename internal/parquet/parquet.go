// Package parquet writes sessions as a Parquet file, for programs that read columns.
package parquet

import (
	"cmp"
	"io"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/seed-44df2ae6/whose"
)

const (
	// batch is the number of sessions that are handed to the library at once.
	batch = 1024
	// group is the number of sessions of a row group. It bounds the memory.
	group = 64 << 10
)

// A Writer writes a file. Whoever calls [New] closes it. It is not safe for
// concurrent use.
type Writer struct {
	w       *parquet.GenericWriter[any]
	columns []column
	rows    []parquet.Row
}

// A column is a field with the place that the library gives it.
type column struct {
	*whose.Field
	at int
}

// New returns a writer of a file with fields as columns, by their names. An unknown
// value is null. A field of the owners is a list of the values of all owners, so the
// first PID belongs to the first name.
func New(to io.Writer, fields []*whose.Field) *Writer {
	root := make(parquet.Group, len(fields))
	for _, f := range fields {
		root[f.Name] = node(f)
	}
	schema := parquet.NewSchema("session", root)
	w := &Writer{w: parquet.NewGenericWriter[any](to, schema, parquet.MaxRowsPerRowGroup(group))}
	for _, f := range fields {
		path := []string{f.Name}
		if f.PerOwner() {
			path = append(path, "list", "element")
		}
		leaf, _ := schema.Lookup(path...) // it was just put there
		w.columns = append(w.columns, column{f, leaf.ColumnIndex})
	}
	slices.SortFunc(w.columns, func(a, b column) int { return cmp.Compare(a.at, b.at) })
	return w
}

// node is the type of a field. Numbers and durations are those of JSON.
func node(f *whose.Field) parquet.Node {
	n := parquet.String()
	switch f.Kind {
	case whose.KindNumber, whose.KindPort, whose.KindBytes, whose.KindDuration:
		n = parquet.Int(64)
	case whose.KindTime, whose.KindInstant:
		n = parquet.Timestamp(parquet.Microsecond)
	case whose.KindBool:
		n = parquet.Leaf(parquet.BooleanType)
	}
	if n = parquet.Optional(parquet.Compressed(n, &parquet.Zstd)); f.PerOwner() {
		return parquet.List(n)
	}
	return n
}

// Add writes a session. The error is the writer's.
func (w *Writer) Add(s *whose.Session) error {
	row := make(parquet.Row, 0, len(w.columns))
	for i := range w.columns {
		c := &w.columns[i]
		if !c.PerOwner() {
			v := c.Value(s.Row())
			row = append(row, w.value(&v, 0, 0, c.at))
			continue
		}
		owners := c.OwnersOf(s)
		if len(owners) == 0 {
			row = append(row, parquet.NullValue().Level(0, 0, c.at))
		}
		for k := range owners {
			v := c.OwnerValue(&owners[k])
			row = append(row, w.value(&v, min(k, 1), 1, c.at))
		}
	}
	if w.rows = append(w.rows, row); len(w.rows) < batch {
		return nil
	}
	return w.flush()
}

// value makes a value, null for none, of a column that is repeated so often before
// it, and defined so far without it.
func (w *Writer) value(v *whose.Value, repeated, defined, at int) parquet.Value {
	if v.IsZero() {
		return parquet.NullValue().Level(repeated, defined, at)
	}
	return w.some(v).Level(repeated, defined+1, at)
}

func (w *Writer) some(v *whose.Value) parquet.Value {
	switch v.Kind {
	case whose.KindNumber, whose.KindPort, whose.KindBytes:
		return parquet.Int64Value(int64(v.Num))
	case whose.KindDuration:
		return parquet.Int64Value(int64(v.Num / 1000))
	case whose.KindTime, whose.KindInstant:
		return parquet.Int64Value(v.Time.UnixMicro())
	case whose.KindBool:
		return parquet.BooleanValue(v.Num != 0)
	}
	// Names of processes are any bytes; strings of Parquet are UTF-8.
	return parquet.ByteArrayValue([]byte(strings.ToValidUTF8(string(v.Append(nil)), "\uFFFD")))
}

func (w *Writer) flush() error {
	_, err := w.w.WriteRows(w.rows)
	w.rows = w.rows[:0]
	return err
}

// Close writes the rest, and the end of the file. It does not close the writer below.
func (w *Writer) Close() error {
	if err := w.flush(); err != nil {
		return err
	}
	return w.w.Close()
}
