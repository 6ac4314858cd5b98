package render

import "github.com/seed-44df2ae6/whose"

// A lineEncoder writes a session as a line of cells, as its cellEncoder has them.
// It makes the cells common to sessions once, in moulds, and those of a session's
// only owner once per process.
type lineEncoder struct {
	cells cellEncoder
	own   *moulds
	memo  processMemo[[]string]
	// ofProcess are the fields that follow from a process alone.
	ofProcess []*whose.Field
	only      []whose.Owner
	scratch   []byte
}

func newLineEncoder(cells cellEncoder) *lineEncoder {
	e := &lineEncoder{cells: cells}
	e.memo.make = e.cellsOf
	parts := make([]part, len(cells.fields))
	for i := range parts {
		parts[i] = e.part(i)
	}
	e.own = newMoulds("", parts, "\n")
	return e
}

// session appends one session.
func (e *lineEncoder) session(dst []byte, s *whose.Session) []byte { return e.own.append(dst, s.Row()) }

// part is the cell of field number i, with the comma before it.
func (e *lineEncoder) part(i int) part {
	f := &e.cells.fields[i]
	cell := func(dst []byte, r whose.Row) []byte { return e.cells.appendCell(dst, f, r) }
	if f.PerOwner() && f.Kind != whose.KindNumbers {
		cell = e.ofOwners(f)
	}
	if i == 0 {
		return part{steady(f.Field), cell}
	}
	comma := e.cells.comma
	return part{steady(f.Field), func(dst []byte, r whose.Row) []byte { return cell(append(dst, comma), r) }}
}

// ofOwners makes the cell of a field of owners. The cell of several owners is
// safe as a whole, and so made each time.
func (e *lineEncoder) ofOwners(f *cellField) func([]byte, whose.Row) []byte {
	place := len(e.ofProcess)
	e.ofProcess = append(e.ofProcess, f.Field)
	return func(dst []byte, r whose.Row) []byte {
		switch owners := f.OwnersOf(r.Session); len(owners) {
		case 0:
			return dst
		case 1:
			return append(dst, (*e.memo.of(&owners[0]))[place]...)
		}
		return e.cells.appendCell(dst, f, r)
	}
}

// cellsOf makes the cells of a session's only owner.
func (e *lineEncoder) cellsOf(owner *whose.Owner) []string {
	text, ends := e.scratch[:0], make([]int, len(e.ofProcess))
	e.only = append(e.only[:0], *owner)
	for i, f := range e.ofProcess {
		text = e.cells.finish(e.cells.appendOwners(text, f, e.only), len(text), f.Kind)
		ends[i] = len(text)
	}
	e.scratch = text
	whole, cells, from := string(text), make([]string, len(ends)), 0
	for i, end := range ends {
		cells[i], from = whole[from:end], end
	}
	return cells
}
