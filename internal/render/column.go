package render

import (
	"slices"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// A column of a table: how its cells are made and how it behaves when space is
// short. The widths are filled in as rows come and when the table is fitted.
type column struct {
	title string
	// append makes the cell of a session. A cell left empty has no value.
	append func(c *cell, s *whose.Session)
	// right aligns to the right, as is done with numbers.
	right bool
	// blank leaves a cell without value empty on a terminal, where others show "-".
	blank bool
	// gap is the space before the column.
	gap int
	// rank says when the column is dropped; 0: never.
	rank int
	// shorten shortens cells; nil: they cannot be.
	shorten shortener
	// easy is the width down to which the column is easy to read.
	easy int
	// favour is how much wider than others it may stay when they are shortened.
	favour int
	// briefly gives the short form of a cell; nil: there is none.
	briefly func(text []byte) []byte
	// wanted tells at the end whether the column is shown; nil: it is.
	wanted func() bool

	// natural is the widest cell, briefNatural the same in short forms.
	natural, briefNatural int
	// used tells that some cell has a value.
	used bool
	// width is what the column gets, brief whether it shows short forms.
	width int
	brief bool
}

// measure takes note of a cell.
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

// merge takes over what the same column of another table has measured.
func (col *column) merge(o *column) {
	col.used = col.used || o.used
	col.natural = max(col.natural, o.natural)
	col.briefNatural = max(col.briefNatural, o.briefNatural)
}

// standardColumns are those of the table and of the wide table.
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
		netns.wanted = func() bool { return t.manyNetNS }
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

// addColumns puts the columns of Options.Added before the last one, which is
// the one of ragged width. Those whose column is there already are kept,
// however little room there is.
func (t *table) addColumns(cols []*column) []*column {
	last := len(cols) - 1
	added := slices.Clone(cols[:last])
	for _, f := range t.opts.Added {
		if f.Of == whose.OfPeer {
			continue // it stands in the column of the process: "app 1234 → postgres 812"
		}
		if i := slices.IndexFunc(cols, func(c *column) bool { return c.title == f.Title }); i >= 0 {
			cols[i].rank, cols[i].wanted = 0, nil
			continue
		}
		added = append(added, fieldColumn(f))
	}
	return append(added, cols[last])
}

// fieldColumn is a column with the values of one field.
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

// fieldCell shows the value, or those of all owners parted by commas, in the
// owners' order, "-" for one that has none. A text that all of them have is
// shown once.
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

// sameText reports whether there are several owners and the text is the same for all.
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
		if v.Num > 0 { // a listener, for one, has measured nothing
			c.safe(time.Duration(v.Num).String())
		}
	default:
		start := len(c.text)
		c.text = v.Append(c.text)
		c.width += len(c.text) - start
	}
}
