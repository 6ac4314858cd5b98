package render

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-44df2ae6/whose"
)

// ownerSeparator stands between the values of several owners in one cell. Values
// escape it, so programs can split a cell.
const ownerSeparator = ';'

// csvFraming is RFC 4180 with bare LF line ends.
//
// Text is made visible as by [AppendSafe], so a cell never spans lines. Each part
// of it which a spreadsheet would take for a formula, with whatever separator it
// reads the file, gets an apostrophe before it ([disarm]). Numbers, addresses and names of states stay as they are. A field of the owners
// has the values of all owners in their order, parted by semicolons: the first
// of "pid" belongs to the first of "comm".
func csvFraming(fields []*whose.Field, noHeader bool) framing {
	return cellFraming(fields, noHeader, ',', quoteCSV)
}

// tsvFraming is lines of cells parted by tabs, without quotes. Text is made safe
// as in CSV. Backslashes of the text itself are doubled, so programs can turn
// cells back.
func tsvFraming(fields []*whose.Field, noHeader bool) framing {
	return cellFraming(fields, noHeader, '\t', nil)
}

// cellFraming makes lines of cells. quote, unless nil, mends the cell at an
// offset.
func cellFraming(fields []*whose.Field, noHeader bool, comma byte, quote func([]byte, int) []byte) framing {
	enc := cellEncoder{comma: comma, quote: quote, backslash: quote == nil}
	for _, field := range fields {
		enc.fields = append(enc.fields, cellField{field, field.Getters()})
	}
	f := framing{newEncoder: func() encoder { return infallible(newLineEncoder(enc).session) }}
	if !noHeader {
		for i, field := range fields {
			if i > 0 {
				f.head = append(f.head, comma)
			}
			f.head = append(f.head, field.Name...)
		}
		f.head = append(f.head, '\n')
	}
	return f
}

// A cellField is a field with its getters.
type cellField struct {
	*whose.Field
	get whose.Getters
}

// A cellEncoder makes cells, each by itself.
type cellEncoder struct {
	fields    []cellField
	comma     byte
	quote     func([]byte, int) []byte
	backslash bool
	scratch   []byte
}

// appendCell appends one cell, empty for an unknown value.
func (e *cellEncoder) appendCell(dst []byte, f *cellField, r whose.Row) []byte {
	start := len(dst)
	switch {
	case f.PerOwner():
		return e.finish(e.appendOwners(dst, f.Field, f.OwnersOf(r.Session)), start, f.Kind)
	case f.Kind == whose.KindText:
		return e.finish(e.appendText(dst, f.get.Text(r), false), start, f.Kind)
	}
	return appendPlain(dst, f, r)
}

// appendPlain appends a value nobody chose: a number, an address, a time or one
// of a few names. Like JSON it reads the row by the getter of the field's kind.
func appendPlain(dst []byte, f *cellField, r whose.Row) []byte {
	switch {
	case f.get.Num != nil:
		return f.appendNum(dst, r)
	case f.get.Addr != nil:
		if addr := f.get.Addr(r); addr.IsValid() {
			return addr.AppendTo(dst)
		}
	case f.get.Code != nil:
		return append(dst, f.CodeName(f.get.Code(r))...)
	case f.get.Time != nil:
		v := f.Value(r)
		return appendPlainValue(dst, &v)
	}
	return dst
}

// appendNum appends a number of the field's kind.
func (f *cellField) appendNum(dst []byte, r whose.Row) []byte {
	n, ok := f.get.Num(r)
	switch {
	case !ok:
		return dst
	case f.Kind == whose.KindBool:
		return strconv.AppendBool(dst, n != 0)
	case f.Kind == whose.KindHex:
		return whose.AppendHex(dst, n)
	case f.Kind == whose.KindDuration:
		n /= uint64(time.Microsecond)
	}
	return appendUint(dst, n)
}

// appendOwners appends the values of all owners, an empty one for an owner
// without a value. It appends nothing if no owner has one.
func (e *cellEncoder) appendOwners(dst []byte, f *whose.Field, owners []whose.Owner) []byte {
	start, known := len(dst), false
	for i := range owners {
		if i > 0 {
			dst = append(dst, ownerSeparator)
		}
		v := f.OwnerValue(&owners[i])
		known = known || !v.IsZero() && (v.Kind != whose.KindNumbers || len(v.List) > 0)
		dst = e.appendValue(dst, &v, true)
	}
	if !known {
		return dst[:start]
	}
	return dst
}

// finish makes the whole cell from start on safe.
func (e *cellEncoder) finish(dst []byte, start int, kind whose.Kind) []byte {
	if kind == whose.KindText {
		dst = disarm(dst, start)
	}
	if e.quote != nil {
		dst = e.quote(dst, start)
	}
	return dst
}

// appendValue appends one value, safe and on one line.
func (e *cellEncoder) appendValue(dst []byte, v *whose.Value, ofOwner bool) []byte {
	if v.Kind == whose.KindText {
		return e.appendText(dst, v.Text, ofOwner)
	}
	return appendPlainValue(dst, v)
}

// appendPlainValue appends a value other than text.
func appendPlainValue(dst []byte, v *whose.Value) []byte {
	switch v.Kind {
	case whose.KindTime:
		return v.Time.UTC().AppendFormat(dst, whose.TimeFormat)
	case whose.KindInstant:
		return v.Time.UTC().AppendFormat(dst, whose.InstantFormat)
	}
	return v.Append(dst)
}

// appendText appends text with the owners' separator and, for TSV, backslashes escaped.
func (e *cellEncoder) appendText(dst []byte, s string, ofOwner bool) []byte {
	if e.backslash && strings.IndexByte(s, '\\') >= 0 {
		s = strings.ReplaceAll(s, `\`, `\\`)
	}
	if !ofOwner || strings.IndexByte(s, ownerSeparator) < 0 {
		return AppendSafe(dst, s)
	}
	e.scratch = AppendSafe(e.scratch[:0], s)
	for _, c := range e.scratch {
		if c == ownerSeparator {
			dst = append(dst, `\x3b`...)
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// separators may stand between two cells for a spreadsheet, whatever the file
// says: it is opened with the separator of the reader's country or last import.
const separators = ",;|\t\r\n"

// disarm puts an apostrophe before each part of a cell, from start on, that a
// spreadsheet would take for a formula. A part begins with the cell and after
// each of the separators.
func disarm(dst []byte, start int) []byte {
	for at := start; at < len(dst); {
		if isFormula(dst[at:]) {
			dst = append(dst, 0)
			copy(dst[at+1:], dst[at:])
			dst[at] = '\''
			at++
		}
		next := bytes.IndexAny(dst[at:], separators)
		if next < 0 {
			break
		}
		at += next + 1
	}
	return dst
}

// isFormula reports whether a spreadsheet would take the part for a formula.
// Quotes before it may be taken away, and spaces may be trimmed; a dash or plus
// after a space is an option of a command. Japanese spreadsheets know the wide
// forms.
func isFormula(part []byte) bool {
	bare := bytes.TrimLeft(part, `" `)
	if len(bare) == 0 {
		return false
	}
	r, _ := utf8.DecodeRune(bare)
	switch r {
	case '=', '@', '\t', '\r', '＝', '＠', '﹦', '﹫':
		return true
	case '+', '-', '＋', '－', '﹢', '﹣', '−':
		return bytes.IndexByte(part[:len(part)-len(bare)], ' ') < 0
	}
	return false
}

// wantsQuotes reports whether a cell needs quotes. A semicolon does: it is the
// comma of half the world's spreadsheets.
func wantsQuotes(cell []byte) bool {
	for _, c := range cell {
		if c == ',' || c == ';' || c == '"' {
			return true
		}
	}
	return len(cell) > 0 && cell[0] == ' '
}

// quoteCSV quotes the cell from start on, if needed.
func quoteCSV(dst []byte, start int) []byte {
	cell := dst[start:]
	if !wantsQuotes(cell) {
		return dst
	}
	quotes := bytes.Count(cell, []byte{'"'})
	for range quotes + 2 {
		dst = append(dst, 0)
	}
	cell = dst[start : len(dst)-quotes-2]
	to := len(dst) - 1
	dst[to] = '"'
	for i := len(cell) - 1; i >= 0; i-- {
		to--
		dst[to] = cell[i]
		if cell[i] == '"' {
			to--
			dst[to] = '"'
		}
	}
	dst[start] = '"'
	return dst
}
