package store

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/seed-44df2ae6/whose"
)

// A page holds the rows of a roll-up for one hour, in the order of their remote
// addresses: first tables of the crews, keys and addresses, then the rows column by
// column, as a block does it.

// pageVersion is the first byte of a page.
const pageVersion = 1

// The columns of a page, in the order of their texts.
const (
	rollColTables = iota
	rollColAddr   // less that of the row before
	rollColKey
	rollColMinute
	rollColLag
	rollColN
	rollColSent
	rollColReceived
	rollColDatagrams
	rollColRetrans
	numRollColumns
)

// A rollRow is what the sessions of one row have in common. Times are minutes from
// 1970.
type rollRow struct {
	addr netip.Addr
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

func shapeProto(shape uint64) whose.Proto { return whose.Proto(shape >> 4 & 15) }

func shapeFlags(shape uint64) uint8 { return uint8(shape >> 28) }

// pageText makes the text of a page of some rows of a builder, which it sorts.
func (b *rollBuilder) pageText(rows []int32) []byte {
	all := b.rows
	slices.SortFunc(rows, func(x, y int32) int {
		r, s := &all[x], &all[y]
		if c := r.addr.Compare(s.addr); c != 0 {
			return c
		}
		switch {
		case r.key != s.key:
			return int(r.key) - int(s.key)
		case r.minute != s.minute:
			return int(r.minute - s.minute)
		}
		return int(r.lag - s.lag)
	})
	var columns [numRollColumns]column
	var crews, addrs shared[string]
	var keys shared[uint32]
	place := func(number uint32) uint64 {
		return keys.place(number, func(c *column) {
			k := &b.keys.all[number]
			crew := uint64(0)
			if k.crew > 0 {
				list := b.crews.all[k.crew-1]
				crew = crews.place(list, func(c *column) { *c = append(*c, list...) }) + 1
			}
			c.uint(k.shape)
			c.uint(uint64(k.port))
			c.uint(uint64(k.folded)<<1 | btou(k.far))
			c.uint(crew)
			c.uint(uint64(k.place))
		})
	}
	base, lastAddr := all[rows[0]].minute, uint64(0)
	for _, i := range rows {
		base = min(base, all[i].minute)
	}
	for _, i := range rows {
		r, s := &all[i], &b.sums[i]
		shape := b.keys.all[r.key].shape
		addr := addrs.place(string(r.addr.AsSlice()), func(c *column) { c.addr(r.addr) })
		columns[rollColAddr].uint(addr - lastAddr)
		lastAddr = addr
		columns[rollColKey].uint(place(r.key))
		columns[rollColMinute].uint(uint64(r.minute - base))
		columns[rollColLag].int(r.lag)
		columns[rollColN].uint(s.n)
		if shapeFlags(shape)&counted != 0 {
			columns[rollColSent].uint(s.sent.Bytes)
			columns[rollColReceived].uint(s.received.Bytes)
			if shapeProto(shape).IsDatagram() {
				columns[rollColDatagrams].uint(s.sent.Datagrams)
				columns[rollColDatagrams].uint(s.received.Datagrams)
			}
		}
		if shapeFlags(shape)&hasTCP != 0 {
			columns[rollColRetrans].uint(s.retrans)
		}
	}
	tables := &columns[rollColTables]
	tables.uint(uint64(len(crews.places)))
	*tables = append(*tables, crews.text...)
	tables.uint(uint64(len(keys.places)))
	*tables = append(*tables, keys.text...)
	tables.uint(uint64(len(addrs.places)))
	*tables = append(*tables, addrs.text...)

	head := column{pageVersion}
	head.uint(uint64(len(rows)))
	head.int(base)
	for i := range columns {
		head.uint(uint64(len(columns[i])))
	}
	for i := range columns {
		head = append(head, columns[i]...)
	}
	return head
}

func btou(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// A pageView is a page whose rows can be read. Its programs and places are numbers
// of the file.
type pageView struct {
	n       int
	base    int64
	columns [numRollColumns][]byte
	crews   [][]uint32
	keys    []rollKey
	addrs   []netip.Addr
}

// open reads the head of a page and its tables. It keeps text.
func (v *pageView) open(text []byte) error {
	if len(text) == 0 || text[0] != pageVersion {
		return fmt.Errorf("%w: want version %d", errMalformed, pageVersion)
	}
	c := cursor{text: text[1:]}
	n := c.uint()
	v.base = c.int()
	var lengths [numRollColumns]uint64
	for i := range lengths {
		lengths[i] = c.uint()
	}
	for i, length := range lengths {
		v.columns[i] = c.take(length)
	}
	if c.bad || c.left() > 0 || n > uint64(len(v.columns[rollColKey])) {
		return fmt.Errorf("%w: the columns do not fit", errMalformed)
	}
	v.n = int(n)
	return v.tables()
}

func (v *pageView) tables() error {
	c := cursor{text: v.columns[rollColTables]}
	v.crews, v.keys, v.addrs = v.crews[:0], v.keys[:0], v.addrs[:0]
	for range c.count() {
		crew := make([]uint32, c.count())
		for i := range crew {
			crew[i] = uint32(c.uint())
		}
		v.crews = append(v.crews, crew)
	}
	for range c.count() {
		k := rollKey{shape: c.uint(), port: uint16(c.uint())}
		flags := c.uint()
		k.far, k.folded = flags&1 != 0, uint8(flags>>1)
		k.crew, k.place = c.index(len(v.crews)+1), uint32(c.uint())
		if !validShape(k.shape) {
			c.fail()
		}
		v.keys = append(v.keys, k)
	}
	for range c.count() {
		v.addrs = append(v.addrs, c.addr())
	}
	if c.bad || v.n > 0 && (len(v.keys) == 0 || len(v.addrs) == 0) {
		return fmt.Errorf("%w: tables", errMalformed)
	}
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
		shape := v.keys[r.key].shape
		r.minute, r.lag = v.base+int64(c[rollColMinute].uint()), c[rollColLag].int()
		r.rollSums = rollSums{n: c[rollColN].uint()}
		if shapeFlags(shape)&counted != 0 {
			r.sent.Bytes, r.received.Bytes = c[rollColSent].uint(), c[rollColReceived].uint()
			if shapeProto(shape).IsDatagram() {
				r.sent.Datagrams, r.received.Datagrams = c[rollColDatagrams].uint(), c[rollColDatagrams].uint()
			}
		}
		if shapeFlags(shape)&hasTCP != 0 {
			r.retrans = c[rollColRetrans].uint()
		}
		fn(&r)
	}
	for k := range c {
		if c[k].bad && k != rollColTables {
			return fmt.Errorf("%w: column %d", errMalformed, k)
		}
	}
	return nil
}
