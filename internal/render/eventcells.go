package render

import (
	"slices"
	"strings"

	"github.com/seed-44df2ae6/whose"
)

// An eventCells writes each event as a line of cells, as a cellEncoder does with
// sessions: first the fields beside the session in JSON, then those of the
// session.
type eventCells struct {
	clock   eventClock
	head    []byte
	encoder cellEncoder
	beside  int // fields before those of the session
}

func newEventCells(format string, fields []*whose.Field, noHeader bool) *eventCells {
	r := &eventCells{clock: utcClock(), encoder: cellEncoder{comma: ',', quote: quoteCSV}}
	if format == TSV {
		r.encoder = cellEncoder{comma: '\t', backslash: true}
	}
	beside := besideCells()
	r.beside = len(beside)
	for _, f := range append(beside, fields...) {
		r.encoder.fields = append(r.encoder.fields, cellField{f, f.Getters()})
	}
	if noHeader {
		return r
	}
	names := make([]string, len(r.encoder.fields))
	for i := range r.encoder.fields {
		names[i] = r.encoder.fields[i].Name
	}
	r.head = []byte(strings.Join(names, string(r.encoder.comma)) + "\n")
	return r
}

// besideCells are the fields of the cells beside the session: those of JSON without the
// number in the stream of an agent, since who resumes a stream reads JSON. Places of
// cells stay.
func besideCells() []*whose.Field {
	return slices.DeleteFunc(slices.Clone(whose.EventFields()), func(f *whose.Field) bool { return f.Name == "seq" || f.Name == "host" })
}

// Head appends the titles.
func (r *eventCells) Head(dst []byte) []byte { return append(dst, r.head...) }

// Resize does nothing.
func (r *eventCells) Resize(int) {}

// Event appends one event. Every line has the same number of cells, empty for
// missing values. A loss has no session.
func (r *eventCells) Event(dst []byte, e *whose.Event) ([]byte, error) {
	row := e.Row()
	for i := range r.encoder.fields {
		switch {
		case i == 0: // the time
			dst = r.clock.append(dst, e.Time)
			continue
		case i >= r.beside && e.Kind == whose.EventLost:
			dst = append(dst, r.encoder.comma)
			continue
		}
		dst = r.encoder.appendCell(append(dst, r.encoder.comma), &r.encoder.fields[i], row)
	}
	return append(dst, '\n'), nil
}
