package render

import (
	"bytes"
	"cmp"
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
	// rank orders the dropping of columns, the highest first. 0: never dropped.
	rank int
	// shorten shortens cells. Nil: they cannot be shortened.
	shorten shortener
	// easy is the least width at which the column is easy to read.
	easy int
	// late: the column is shortened after the others, as addresses are.
	late bool
	// favour is the column's extra width when columns are shortened.
	favour int
	// briefly gives the short form of a cell. Nil: there is none.
	briefly func(text []byte) []byte
	// wanted decides at the end whether the column is shown. Nil: it is shown.
	wanted func() bool

	// natural is the width of the widest cell, briefNatural the same in short
	// forms.
	natural, briefNatural int
	// number is the width of the widest cell that is a number. It is never
	// shortened.
	number int
	// whole is the greatest least width of a cell that leaves out nobody.
	whole int
	// short is the width of the widest cell of a column of addresses that has none of
	// IPv6.
	short int
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
	if col.shorten != nil && c.width > col.number && isNumber(c.text) {
		col.number = c.width
	}
	col.whole = max(col.whole, c.least)
	if col.late && c.width > col.short && (c.text[0] != '[' && bytes.Count(c.text, []byte(":")) < 2) {
		col.short = c.width
	}
}

// isNumber reports whether a text is one number.
func isNumber(text []byte) bool {
	for _, b := range text {
		if b-'0' > 9 {
			return false
		}
	}
	return true
}

// merge adds the measurements of the same column in another table.
func (col *column) merge(o *column) {
	col.used = col.used || o.used
	col.natural = max(col.natural, o.natural)
	col.briefNatural = max(col.briefNatural, o.briefNatural)
	col.number = max(col.number, o.number)
	col.short = max(col.short, o.short)
	col.whole = max(col.whole, o.whole)
}

// The ranks of the columns that may be dropped. A luxury goes before anything is
// shortened, and the namespace goes last: without it a row of another namespace
// reads as one of here.
const (
	rankNetNS = iota + 1
	rankState
	rankArrow
	rankProto
	rankScript
	rankUnit
	rankContainer
	rankUser
	rankRecvQueue
	rankSendQueue
	rankInode
	rankFamily
	luxury
)

// standardColumns returns the columns of the table and of the wide table.
func (t *table) standardColumns(wide bool) []*column {
	proto := &column{title: "PROTO", gap: 2, rank: rankProto, briefly: briefProto, append: func(c *cell, s *whose.Session) { c.ascii(s.Proto.String()) }}
	state := &column{title: "STATE", gap: 2, rank: rankState, briefly: briefState, append: stateCell}
	local := &column{title: "LOCAL", gap: 2, easy: 13, late: true, shorten: shortenEndpoint, append: t.localCell}
	remote := &column{title: "REMOTE", gap: 1, easy: 13, late: true, shorten: shortenEndpoint, append: t.remoteCell}
	arrow := &column{title: "DIR", gap: 1, rank: rankArrow, append: t.arrowCell}
	if t.opts.Width > 0 {
		arrow.title, arrow.blank = "", true // an arrow between two ends explains itself
	}
	t.arrow, t.remote = arrow, remote
	t.netns = &column{title: "NETNS", gap: 2, rank: rankNetNS, easy: 12, blank: true, shorten: shortenMiddle, append: t.netnsCell}
	t.netns.wanted = t.differs
	user := &column{title: "USER", gap: 2, rank: luxury, easy: 8, shorten: shortenMiddle,
		append: func(c *cell, s *whose.Session) { c.safe(s.User) }}
	process := &column{title: "PROCESS", gap: 2, easy: 24, favour: 6, shorten: shortenProcess, append: t.processCell}
	user.wanted = func() bool { return user.used }
	if !wide {
		return t.addColumns([]*column{proto, state, local, arrow, remote, t.netns, user, process})
	}
	user.rank = rankUser
	family := &column{title: "FAMILY", gap: 2, rank: rankFamily, append: func(c *cell, s *whose.Session) { c.ascii(s.Family.String()) }}
	recv := &column{title: "RECV-Q", gap: 2, rank: rankRecvQueue, right: true, append: func(c *cell, s *whose.Session) {
		if !s.Unknown.Has(whose.FactRecvQueue) {
			t.bytesCell(c, s, uint64(s.RecvQueue))
		}
	}}
	send := &column{title: "SEND-Q", gap: 2, rank: rankSendQueue, right: true, append: func(c *cell, s *whose.Session) {
		if !s.Unknown.Has(whose.FactSendQueue) {
			t.bytesCell(c, s, uint64(s.SendQueue))
		}
	}}
	inode := t.fieldColumn(whose.FieldByName("inode"))
	unit, container := t.fieldColumn(whose.FieldByName("unit")), t.containerColumn()
	script := t.fieldColumn(whose.FieldByName("script"))
	script.rank = rankScript
	script.wanted = func() bool { return script.used }
	inode.rank, unit.rank, container.rank = rankInode, rankUnit, rankContainer
	unit.wanted = func() bool { return unit.used }
	container.wanted = func() bool { return container.used }
	all := []*column{proto, family, state, recv, send, local, arrow, remote, t.netns, user, inode, unit, container, script, process}
	return t.addColumns(all)
}

// addColumns puts the columns of Options.Added before the last one, the column
// of ragged width. An added column already there stays, however little room
// there is. The namespace by its number or name is another column than that of
// the table, which leaves out the own, and takes its place.
func (t *table) addColumns(cols []*column) []*column {
	last := len(cols) - 1
	added := slices.Clone(cols[:last])
	for _, f := range t.opts.Added {
		if f.Of == whose.OfPeer {
			continue // the column of the process shows it: "app 1234 → postgres 812"
		}
		if f.Name == "netns" || f.Name == "netns_name" {
			t.netns.wanted = func() bool { return false }
		} else if i := slices.IndexFunc(cols, func(c *column) bool { return c.title == f.Title }); i >= 0 {
			cols[i].rank, cols[i].wanted = 0, nil
			continue
		}
		added = append(added, t.fieldColumn(f))
	}
	return append(added, cols[last])
}

// fieldColumn returns a column with the values of one field.
func (t *table) fieldColumn(f *whose.Field) *column {
	col := &column{title: f.Title, gap: 2, append: func(c *cell, s *whose.Session) { t.fieldCell(c, f, s) }}
	switch f.Kind {
	case whose.KindNumber, whose.KindPort, whose.KindBytes, whose.KindDuration:
		col.right = !f.PerOwner()
	}
	switch {
	case f.Kind == whose.KindText:
		col.shorten, col.easy = shortenMiddle, 12
	case f.Kind == whose.KindAddr:
		col.shorten, col.easy, col.late = shortenMiddle, 13, true
	case f.PerOwner():
		col.shorten, col.easy = shortenList, 12
	}
	return col
}

// containerColumn returns a column with the containers of the owners, by their names
// or else by their ids.
func (t *table) containerColumn() *column {
	col := t.fieldColumn(whose.FieldByName("container"))
	col.append = func(c *cell, s *whose.Session) {
		textsCell(c, s.Owners, func(o *whose.Owner) string { return cmp.Or(o.ContainerName, o.Container) })
	}
	return col
}

// fieldCell shows the value. For a field of owners it shows the values of all
// owners in their order, parted by commas, with "-" for an owner without one. A
// text common to all is shown once.
func (t *table) fieldCell(c *cell, f *whose.Field, s *whose.Session) {
	if !f.PerOwner() {
		v := f.Value(s.Row())
		if v.Kind == whose.KindBytes {
			t.bytesCell(c, s, v.Num)
			return
		}
		valueCell(c, &v)
		if f.Name == "state" {
			c.style = styleOf(s.State)
		}
		return
	}
	owners := f.OwnersOf(s)
	if f.Kind == whose.KindText {
		textsCell(c, owners, f.OwnerText)
		return
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

// textsCell shows a text of each owner, or their common one.
func textsCell(c *cell, owners []whose.Owner, text func(*whose.Owner) string) {
	if sameText(owners, text) {
		owners = owners[:1]
	}
	for i := range owners {
		if i > 0 {
			c.ascii(",")
		}
		one := text(&owners[i])
		if one == "" && len(owners) > 1 {
			c.ascii("-")
		}
		c.safe(one)
	}
}

// bytesCell appends a number of bytes, on a terminal as all lines for a person have
// it. The queues of a listener are numbers of connections.
func (t *table) bytesCell(c *cell, s *whose.Session, n uint64) {
	if t.opts.Width == 0 || n == 0 || s.State == whose.Listen {
		c.uint(n)
		return
	}
	c.size(n, false)
}

// sameText reports whether there are several owners, all with the same text.
func sameText(owners []whose.Owner, text func(*whose.Owner) string) bool {
	if len(owners) < 2 {
		return false
	}
	first := text(&owners[0])
	for i := range owners[1:] {
		if text(&owners[i+1]) != first {
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
		c.safe(time.Duration(v.Num).String())
	default:
		start := len(c.text)
		c.text = v.Append(c.text)
		c.width += len(c.text) - start
	}
}
