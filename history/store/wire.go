package store

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// errMalformed is the error of a block that is not one of this package's.
var errMalformed = errors.New("malformed block")

// A column is the text of one column of a block.
type column []byte

func (c *column) uint(n uint64) { *c = binary.AppendUvarint(*c, n) }
func (c *column) int(n int64)   { *c = binary.AppendVarint(*c, n) }
func (c *column) port(n uint16) { *c = binary.LittleEndian.AppendUint16(*c, n) }
func (c *column) bytes(b []byte) {
	c.uint(uint64(len(b)))
	*c = append(*c, b...)
}

// addr appends an address: its length in bytes, and these.
func (c *column) addr(a netip.Addr) {
	switch {
	case a.Is4():
		b := a.As4()
		c.bytes(b[:])
	case a.Is6():
		b := a.As16()
		c.bytes(b[:])
	default:
		c.bytes(nil)
	}
}

// A cursor reads a column. The first fault stays: afterwards all is zero.
type cursor struct {
	text []byte
	bad  bool
}

func (c *cursor) fail() { c.text, c.bad = nil, true }

func (c *cursor) uint() uint64 {
	if len(c.text) > 0 && c.text[0] < 0x80 { // most are small
		n := uint64(c.text[0])
		c.text = c.text[1:]
		return n
	}
	n, size := binary.Uvarint(c.text)
	if size <= 0 {
		c.fail()
		return 0
	}
	c.text = c.text[size:]
	return n
}

func (c *cursor) int() int64 {
	n := c.uint()
	return int64(n>>1) ^ -int64(n&1)
}

func (c *cursor) port() uint16 {
	if len(c.text) < 2 {
		c.fail()
		return 0
	}
	n := binary.LittleEndian.Uint16(c.text)
	c.text = c.text[2:]
	return n
}

func (c *cursor) bytes() []byte {
	n := c.uint()
	if n > uint64(len(c.text)) {
		c.fail()
		return nil
	}
	b := c.text[:n]
	c.text = c.text[n:]
	return b
}

func (c *cursor) addr() netip.Addr {
	switch b := c.bytes(); len(b) {
	case 0:
		return netip.Addr{}
	case 4:
		return netip.AddrFrom4([4]byte(b))
	case 16:
		return netip.AddrFrom16([16]byte(b))
	}
	c.fail()
	return netip.Addr{}
}

// count reads the number of things that follow, of at least a byte each.
func (c *cursor) count() int {
	n := c.uint()
	if n > uint64(len(c.text)) {
		c.fail()
		return 0
	}
	return int(n)
}

// index reads the place of a thing in a table of n.
func (c *cursor) index(n int) uint32 {
	at := c.uint()
	if at >= uint64(n) {
		c.fail()
		return 0
	}
	return uint32(at)
}
