package render

import (
	"strconv"
	"strings"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// eventColumns are the columns before those of the session. They are the keys
// of JSON, what is within another joined by an underscore.
const eventColumns = "time event end by errno duration stood_before sent_bytes sent_datagrams " +
	"received_bytes received_datagrams lost why"

// An eventCells writes each event as a line of cells, as a cellEncoder does
// with sessions.
type eventCells struct {
	clock   eventClock
	head    []byte
	session cellEncoder
	comma   byte
	commas  int // one for each field of the session
}

func newEventCells(format string, fields []*whose.Field, noHeader bool) *eventCells {
	r := &eventCells{clock: utcClock(), comma: ',', commas: len(fields)}
	r.session = cellEncoder{comma: ',', quote: quoteCSV}
	if format == TSV {
		r.comma = '\t'
		r.session = cellEncoder{comma: '\t', backslash: true}
	}
	names := strings.Fields(eventColumns)
	for _, f := range fields {
		r.session.fields = append(r.session.fields, cellField{f, accessTo(f)})
		names = append(names, f.Name)
	}
	if !noHeader {
		r.head = []byte(strings.Join(names, string(r.comma)) + "\n")
	}
	return r
}

// Head appends the titles.
func (r *eventCells) Head(dst []byte) []byte { return append(dst, r.head...) }

// Resize does nothing.
func (r *eventCells) Resize(int) {}

// Event appends one event. Every line has the same number of cells; one
// without a value is empty.
func (r *eventCells) Event(dst []byte, e *whose.Event) ([]byte, error) {
	dst = append(r.clock.append(dst, e.Time), r.comma)
	dst = append(append(dst, e.Kind.String()...), r.comma)
	dst = append(append(dst, e.End.String()...), r.comma)
	dst = append(append(dst, e.By.String()...), r.comma)
	dst = r.number(dst, uint64(e.Errno), e.Errno != 0)
	dst = r.number(dst, uint64(e.Duration/time.Microsecond), ends(e.Kind))
	if ends(e.Kind) {
		dst = strconv.AppendBool(dst, e.Since)
	}
	dst = append(dst, r.comma)
	for _, way := range [...]*whose.Traffic{&e.Sent, &e.Received} {
		dst = r.number(dst, way.Bytes, trafficKnown(e))
		dst = r.number(dst, way.Datagrams, trafficKnown(e) && isUDP(e))
	}
	dst = r.number(dst, e.Lost, e.Kind == whose.EventLost)
	start := len(dst)
	dst = r.session.finish(r.session.appendText(dst, e.Why, false), start, whose.KindText)
	if e.Kind != whose.EventLost {
		return r.session.append(append(dst, r.comma), &e.Session), nil
	}
	for range r.commas {
		dst = append(dst, r.comma)
	}
	return append(dst, '\n'), nil
}

// number appends a number, if there is one, and the comma after it.
func (r *eventCells) number(dst []byte, n uint64, known bool) []byte {
	if known {
		dst = strconv.AppendUint(dst, n, 10)
	}
	return append(dst, r.comma)
}
