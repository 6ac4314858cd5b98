package store

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/seed-44df2ae6/whose"
)

// A page holds the rows of a roll-up for one hour. Its head has the keys, and for each
// the sums of all its rows: a count that asks for no address, and cuts the page
// nowhere, reads no more. Its rows stand in a text of their own, column by column as in
// a block, in the order of their remote addresses.

// pageVersion is the first byte of a page.
const pageVersion = 1

// The columns of the rows, in the order of their texts.
const (
	rollColTable = iota // of the addresses
	rollColAddr         // less that of the row before
	rollColKey
	rollColMinute
	rollColLag
	rollColSums
	numRollColumns = rollColSums + numSumColumns
)

// The columns of sums.
const (
	sumN = iota
	sumSent
	sumReceived
	sumDatagrams
	sumRetrans
	numSumColumns
)

// A rollRow is what the sessions of one row have in common. Times are minutes from
// 1970.
type rollRow struct {
	addr uint32 // of the builder's addresses, plus one; 0 where it is left out
	// minute is the one in which they ended, lag how many minutes before they began.
	minute, lag int64
	key         uint32 // of the builder's keys
}

// rollSums are the sums of a row.
type rollSums struct {
	n              uint64
	sent, received whose.Traffic
	retrans        uint64
}

func (s *rollSums) add(o *rollSums) {
	s.n += o.n
	s.sent.Bytes += o.sent.Bytes
	s.sent.Datagrams += o.sent.Datagrams
	s.received.Bytes += o.received.Bytes
	s.received.Datagrams += o.received.Datagrams
	s.retrans += o.retrans
}

// write appends the sums to their columns: those that a shape has.
func (s *rollSums) write(c []column, shape uint64) {
	c[sumN].uint(s.n)
	if shapeFlags(shape)&counted != 0 {
		c[sumSent].uint(s.sent.Bytes)
		c[sumReceived].uint(s.received.Bytes)
		if shapeProto(shape).IsDatagram() {
			c[sumDatagrams].uint(s.sent.Datagrams)
			c[sumDatagrams].uint(s.received.Datagrams)
		}
	}
	if shapeFlags(shape)&hasTCP != 0 {
		c[sumRetrans].uint(s.retrans)
	}
}

// read reads the sums of a shape.
func (s *rollSums) read(c []cursor, shape uint64) {
	*s = rollSums{n: c[sumN].uint()}
	if shapeFlags(shape)&counted != 0 {
		s.sent.Bytes, s.received.Bytes = c[sumSent].uint(), c[sumReceived].uint()
		if shapeProto(shape).IsDatagram() {
			s.sent.Datagrams, s.received.Datagrams = c[sumDatagrams].uint(), c[sumDatagrams].uint()
		}
	}
	if shapeFlags(shape)&hasTCP != 0 {
		s.retrans = c[sumRetrans].uint()
	}
}

func shapeProto(shape uint64) whose.Proto { return whose.Proto(shape >> 4 & 15) }

func shapeFlags(shape uint64) uint8 { return uint8(shape >> 28) }

// pageText makes the two texts of a page of some rows of a builder, which it sorts.
func (b *rollBuilder) pageText(rows []int32) (head, data []byte) {
	all := b.table.rows
	if b.ranks == nil {
		b.ranks, b.byRank = b.rank()
	}
	slices.SortFunc(rows, func(x, y int32) int {
		r, s := &all[x], &all[y]
		if c := cmp.Compare(uint64(b.ranks[r.addr])<<32|uint64(r.key), uint64(b.ranks[s.addr])<<32|uint64(s.key)); c != 0 {
			return c
		}
		return cmp.Or(cmp.Compare(r.minute, s.minute), cmp.Compare(r.lag, s.lag))
	})
	var columns [numRollColumns]column
	var crews shared[uint32]
	var keys, addrs column
	var shapes []uint64
	var sums []rollSums
	places := make([]uint32, len(b.keys.all)) // of the keys in the page, plus one
	place := func(number uint32) uint64 {
		if places[number] == 0 {
			k := &b.keys.all[number]
			crew := uint64(0)
			if k.crew > 0 {
				crew = crews.place(k.crew, func(c *column) { *c = append(*c, b.crews.all[k.crew-1]...) }) + 1
			}
			keys.uint(k.shape)
			keys.uint(uint64(k.port))
			keys.uint(uint64(k.folded)<<1 | btou(k.far))
			keys.uint(crew)
			keys.uint(uint64(k.place))
			shapes, sums = append(shapes, k.shape), append(sums, rollSums{})
			places[number] = uint32(len(sums))
		}
		return uint64(places[number] - 1)
	}
	base, addr, numAddrs := all[rows[0]].minute, uint32(math.MaxUint32), uint64(0)
	for _, i := range rows {
		base = min(base, all[i].minute)
	}
	for _, i := range rows {
		r, s := &all[i], &b.sums[i]
		step := uint64(0)
		if r.addr != addr {
			addrs.addr(b.byRank[b.ranks[r.addr]])
			addr, step, numAddrs = r.addr, min(numAddrs, 1), numAddrs+1
		}
		columns[rollColAddr].uint(step)
		key := place(r.key)
		columns[rollColKey].uint(key)
		columns[rollColMinute].uint(uint64(r.minute - base))
		columns[rollColLag].int(r.lag)
		s.write(columns[rollColSums:], shapes[key])
		sums[key].add(s)
	}
	columns[rollColTable].uint(numAddrs)
	columns[rollColTable] = append(columns[rollColTable], addrs...)
	rowText := column{pageVersion}
	rowText.uint(uint64(len(rows)))
	rowText.int(base)

	var tables column
	tables.uint(uint64(len(crews.places)))
	tables = append(tables, crews.text...)
	tables.uint(uint64(len(sums)))
	tables = append(tables, keys...)
	var totals [numSumColumns]column
	for i := range sums {
		sums[i].write(totals[:], shapes[i])
	}
	return joinColumns(column{pageVersion}, append([]column{tables}, totals[:]...)), joinColumns(rowText, columns[:])
}

// joinColumns appends columns, their lengths first.
func joinColumns(dst column, columns []column) []byte {
	for _, c := range columns {
		dst.uint(uint64(len(c)))
	}
	for _, c := range columns {
		dst = append(dst, c...)
	}
	return dst
}

// splitColumns reads so many columns to the end of a text.
func splitColumns(c *cursor, columns [][]byte) error {
	lengths := make([]uint64, len(columns))
	for i := range lengths {
		lengths[i] = c.uint()
	}
	for i, length := range lengths {
		columns[i] = c.take(length)
	}
	if c.bad || c.left() > 0 {
		return fmt.Errorf("%w: the columns do not fit", errMalformed)
	}
	return nil
}

func btou(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// A pageView is a page that can be read. Its programs and places are numbers of the
// file. Its memory is used again.
type pageView struct {
	crews [][]uint32
	keys  []rollKey
	sums  []rollSums // of the keys
	// The others are there after rows.
	n       int
	base    int64
	columns [numRollColumns][]byte
	addrs   []netip.Addr
	crew    []uint32 // memory of crews
}

var errPageVersion = fmt.Errorf("%w: want version %d", errMalformed, pageVersion)

// head reads the head of a page.
func (v *pageView) head(text []byte) error {
	if len(text) == 0 || text[0] != pageVersion {
		return errPageVersion
	}
	c := cursor{text: text[1:]}
	var columns [1 + numSumColumns][]byte
	if err := splitColumns(&c, columns[:]); err != nil {
		return err
	}
	c = cursor{text: columns[0]}
	v.crews, v.keys, v.sums, v.crew = v.crews[:0], v.keys[:0], v.sums[:0], v.crew[:0]
	for range c.count() {
		from := len(v.crew)
		for range c.count() {
			v.crew = append(v.crew, uint32(c.uint()))
		}
		v.crews = append(v.crews, v.crew[from:len(v.crew):len(v.crew)])
	}
	var totals [numSumColumns]cursor
	for i := range totals {
		totals[i].text = columns[1+i]
	}
	for range c.count() {
		k := rollKey{shape: c.uint(), port: uint16(c.uint())}
		flags := c.uint()
		k.far, k.folded = flags&1 != 0, uint8(flags>>1)
		k.crew, k.place = c.index(len(v.crews)+1), uint32(c.uint())
		if !validShape(k.shape) {
			c.fail()
		}
		var sums rollSums
		sums.read(totals[:], k.shape)
		v.keys, v.sums = append(v.keys, k), append(v.sums, sums)
	}
	for _, t := range totals {
		c.bad = c.bad || t.bad
	}
	if c.bad || len(v.keys) == 0 {
		return fmt.Errorf("%w: tables", errMalformed)
	}
	return nil
}

// rows makes the rows ready. It keeps text.
func (v *pageView) rows(text []byte) error {
	if len(text) == 0 || text[0] != pageVersion {
		return errPageVersion
	}
	c := cursor{text: text[1:]}
	n := c.uint()
	v.base = c.int()
	if err := splitColumns(&c, v.columns[:]); err != nil {
		return err
	}
	t := cursor{text: v.columns[rollColTable]}
	v.addrs = v.addrs[:0]
	for range t.count() {
		v.addrs = append(v.addrs, t.addr())
	}
	if t.bad || n > uint64(len(v.columns[rollColKey])) || n > 0 && len(v.addrs) == 0 {
		return fmt.Errorf("%w: rows", errMalformed)
	}
	v.n = int(n)
	return nil
}

// A pageRow is a row of a page, by the places in its tables.
type pageRow struct {
	addr, key   uint32
	minute, lag int64
	rollSums
}

// each calls fn with each row. After an error the rows were not as they are written.
func (v *pageView) each(fn func(r *pageRow)) error {
	var c [numRollColumns]cursor
	for i := range c {
		c[i].text = v.columns[i]
	}
	var r pageRow
	addr := uint64(0)
	for range v.n {
		addr += c[rollColAddr].uint()
		if addr >= uint64(len(v.addrs)) {
			c[rollColAddr].fail()
			break
		}
		r.addr, r.key = uint32(addr), c[rollColKey].index(len(v.keys))
		if c[rollColKey].bad {
			break
		}
		r.minute, r.lag = v.base+int64(c[rollColMinute].uint()), c[rollColLag].int()
		r.read(c[rollColSums:], v.keys[r.key].shape)
		fn(&r)
	}
	for k := range c {
		if c[k].bad {
			return fmt.Errorf("%w: column %d", errMalformed, k)
		}
	}
	return nil
}
