package render

import (
	"slices"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// A column of a table makes its cells and says how it behaves when space is
// short. Rows and the fitting of the table fill in its widths.
type column struct {
	title string
	// append makes the cell of a session. An empty cell has no value.
	append func(c *cell, s *whose.Session)
	// right aligns to the right, as numbers are.
	right bool
	// blank leaves a cell without a value empty on a terminal. Others show "-".
	blank bool
	// gap is the space before the column.
	gap int
	// rank orders the dropping of columns. 0: never dropped.
	rank int
	// shorten shortens cells. Nil: they cannot be shortened.
	shorten shortener
	// easy is the least width at which the column is easy to read.
	easy int
	// favour is the column's extra width when columns are shortened.
	favour int
	// briefly gives the short form of a cell. Nil: there is none.
	briefly func(text []byte) []byte
	// wanted decides at the end whether the column is shown. Nil: it is shown.
	wanted func() bool

	// natural is the width of the widest cell, briefNatural the same in short
	// forms.
	natural, briefNatural int
	// used: some cell has a value.
	used bool
	// width is the width of the column in the output. brief: it shows short forms.
	width int
	brief bool
}

// measure updates the widths with a cell.
func (col *column) measure(c *cell) {
	if len(c.text) == 0 {
		return
	}
	col.used = true
	col.natural = max(col.natural, c.width)
	if col.briefly != nil {
		col.briefNatural = max(col.briefNatural, len(col.briefly(c.text)))
	}
}

// merge adds the measurements of the same column in another table.
func (col *column) merge(o *column) {
	col.used = col.used || o.used
	col.natural = max(col.natural, o.natural)
	col.briefNatural = max(col.briefNatural, o.briefNatural)
}

// standardColumns returns the columns of the table and of the wide table.
func (t *table) standardColumns(wide bool) []*column {
	proto := &column{title: "PROTO", gap: 2, rank: 8, append: func(c *cell, s *whose.Session) { c.ascii(s.Proto.String()) }}
	state := &column{title: "STATE", gap: 2, rank: 5, briefly: briefState, append: stateCell}
	local := &column{title: "LOCAL", gap: 2, easy: 13, shorten: shortenEndpoint, append: t.localCell}
	remote := &column{title: "REMOTE", gap: 1, easy: 13, shorten: shortenEndpoint, append: t.remoteCell}
	arrow := &column{title: "DIR", gap: 1, rank: 7, append: arrowCell}
	if t.opts.Width > 0 {
		arrow.title, arrow.blank = "", true // an arrow between two ends explains itself
	}
	t.arrow, t.remote = arrow, remote
	netns := &column{title: "NETNS", gap: 2, rank: 6, easy: 10, shorten: shortenMiddle, append: netnsCell}
	user := &column{title: "USER", gap: 2, rank: luxury, easy: 8, shorten: shortenMiddle,
		append: func(c *cell, s *whose.Session) { c.safe(s.User) }}
	process := &column{title: "PROCESS", gap: 2, easy: 14, favour: 6, shorten: shortenProcess, append: t.processCell}
	user.wanted = func() bool { return user.used }
	if !wide {
		netns.wanted = func() bool { return t.firstNetNS < t.lastNetNS }
		return t.addColumns([]*column{proto, state, local, arrow, remote, netns, user, process})
	}
	family := &column{title: "FAMILY", gap: 2, append: func(c *cell, s *whose.Session) { c.ascii(s.Family.String()) }}
	recv := &column{title: "RECV-Q", gap: 2, right: true, append: func(c *cell, s *whose.Session) {
		if !s.Unknown.Has(whose.FactRecvQueue) {
			c.uint(uint64(s.RecvQueue))
		}
	}}
	send := &column{title: "SEND-Q", gap: 2, right: true, append: func(c *cell, s *whose.Session) {
		if !s.Unknown.Has(whose.FactSendQueue) {
			c.uint(uint64(s.SendQueue))
		}
	}}
	inode := fieldColumn(whose.FieldByName("inode"))
	unit, container := fieldColumn(whose.FieldByName("unit")), fieldColumn(whose.FieldByName("container"))
	unit.wanted = func() bool { return unit.used }
	container.wanted = func() bool { return container.used }
	all := []*column{proto, family, state, recv, send, local, arrow, remote, netns, user, inode, unit, container, process}
	return t.addColumns(all)
}

// addColumns puts the columns of Options.Added before the last one, the column
// of ragged width. An added column already there stays, however little room
// there is.
func (t *table) addColumns(cols []*column) []*column {
	last := len(cols) - 1
	added := slices.Clone(cols[:last])
	for _, f := range t.opts.Added {
		if f.Of == whose.OfPeer {
			continue // the column of the process shows it: "app 1234 → postgres 812"
		}
		if i := slices.IndexFunc(cols, func(c *column) bool { return c.title == f.Title }); i >= 0 {
			cols[i].rank, cols[i].wanted = 0, nil
			continue
		}
		added = append(added, fieldColumn(f))
	}
	return append(added, cols[last])
}

// fieldColumn returns a column with the values of one field.
func fieldColumn(f *whose.Field) *column {
	col := &column{title: f.Title, gap: 2, append: func(c *cell, s *whose.Session) { fieldCell(c, f, s) }}
	switch f.Kind {
	case whose.KindNumber, whose.KindPort, whose.KindBytes, whose.KindDuration:
		col.right = !f.PerOwner()
	}
	if f.PerOwner() || f.Kind == whose.KindText || f.Kind == whose.KindAddr {
		col.shorten, col.easy = shortenMiddle, 12
	}
	return col
}

// fieldCell shows the value. For a field of owners it shows the values of all
// owners in their order, parted by commas, with "-" for an owner without one. A
// text common to all is shown once.
func fieldCell(c *cell, f *whose.Field, s *whose.Session) {
	if !f.PerOwner() {
		v := f.Value(s.Row())
		valueCell(c, &v)
		if f.Name == "state" {
			c.style = styleOf(s.State)
		}
		return
	}
	owners := f.OwnersOf(s)
	if f.Kind == whose.KindText && sameText(f, owners) {
		owners = owners[:1]
	}
	for i := range owners {
		if i > 0 {
			c.ascii(",")
		}
		v := f.OwnerValue(&owners[i])
		if v.IsZero() && len(owners) > 1 {
			c.ascii("-")
		}
		valueCell(c, &v)
	}
}

// sameText reports whether there are several owners, all with the same text.
func sameText(f *whose.Field, owners []whose.Owner) bool {
	if len(owners) < 2 {
		return false
	}
	first := f.OwnerValue(&owners[0]).Text
	for i := range owners[1:] {
		if f.OwnerValue(&owners[i+1]).Text != first {
			return false
		}
	}
	return true
}

// valueCell appends one value as a person reads it.
func valueCell(c *cell, v *whose.Value) {
	switch v.Kind {
	case 0:
	case whose.KindText:
		c.safe(v.Text)
	case whose.KindDuration:
		if v.Num > 0 { // a listener, for example, has measured nothing
			c.safe(time.Duration(v.Num).String())
		}
	default:
		start := len(c.text)
		c.text = v.Append(c.text)
		c.width += len(c.text) - start
	}
}
