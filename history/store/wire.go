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

// A cursor reads a column. The first fault stays: afterwards all is zero. It moves a
// number and no slice: to store a pointer costs more than to read a byte.
type cursor struct {
	text []byte
	at   int
	bad  bool
}

func (c *cursor) fail() { c.at, c.bad = len(c.text), true }

// left returns the number of bytes that are left.
func (c *cursor) left() int { return len(c.text) - c.at }

func (c *cursor) uint() uint64 {
	if c.at < len(c.text) && c.text[c.at] < 0x80 { // most are small
		c.at++
		return uint64(c.text[c.at-1])
	}
	n, size := binary.Uvarint(c.text[c.at:])
	if size <= 0 {
		c.fail()
		return 0
	}
	c.at += size
	return n
}

func (c *cursor) int() int64 {
	n := c.uint()
	return int64(n>>1) ^ -int64(n&1)
}

func (c *cursor) port() uint16 {
	if c.left() < 2 {
		c.fail()
		return 0
	}
	c.at += 2
	return binary.LittleEndian.Uint16(c.text[c.at-2:])
}

// take returns the next n bytes.
func (c *cursor) take(n uint64) []byte {
	if n > uint64(c.left()) {
		c.fail()
		return nil
	}
	c.at += int(n)
	return c.text[c.at-int(n) : c.at]
}

func (c *cursor) bytes() []byte { return c.take(c.uint()) }

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
	if n > uint64(c.left()) {
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
