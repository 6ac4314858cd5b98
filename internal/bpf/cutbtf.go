package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// The kernel's BTF holds some hundred thousand types, and sorting them out
// takes longer than all other work for a small host. Of these the programs use
// some forty. cutBTF makes a BTF of those alone, in one pass over the headers
// of all: structs by name, with no more than the members of our names, pointers
// leading nowhere. For relocation this is as good as the whole.

// Kinds of BTF types, as in include/uapi/linux/btf.h.
const (
	btfInt = 1 + iota
	btfPtr
	btfArray
	btfStruct
	btfUnion
	btfEnum
	btfFwd
	btfTypedef
	btfVolatile
	btfConst
	btfRestrict
	btfFunc
	btfFuncProto
	btfVar
	btfDatasec
	btfFloat
	btfDeclTag
	btfTypeTag
	btfEnum64
)

const (
	btfMagic      = 0xeb9f
	btfHeaderSize = 24
	btfTypeSize   = 12
	btfMemberSize = 12
)

var errBTF = errors.New("malformed BTF")

// btfTails holds, for each kind of type, the bytes after its header: some, and
// some more for each of its members. Tables and not branches, since the kinds
// come in no order that a processor could guess.
var btfTails = [32]struct{ fixed, each int32 }{
	btfInt: {fixed: 4}, btfVar: {fixed: 4}, btfDeclTag: {fixed: 4}, btfArray: {fixed: 12},
	btfStruct: {each: 12}, btfUnion: {each: 12}, btfDatasec: {each: 12}, btfEnum64: {each: 12},
	btfEnum: {each: 8}, btfFuncProto: {each: 8},
	0: unknownKind, 20: unknownKind, 21: unknownKind, 22: unknownKind, 23: unknownKind, 24: unknownKind, 25: unknownKind,
	26: unknownKind, 27: unknownKind, 28: unknownKind, 29: unknownKind, 30: unknownKind, 31: unknownKind,
}

// unknownKind ends every BTF.
var unknownKind = struct{ fixed, each int32 }{fixed: -1 << 30}

// btfTail returns the number of bytes after the header of a type, less than 0
// for an unknown kind.
func btfTail(info uint32) int {
	t := &btfTails[info>>24&0x1f]
	return int(t.fixed) + int(t.each)*int(info&0xffff)
}

// btfNamed are the kinds of types that are looked for by name.
const btfNamed = 1<<btfStruct | 1<<btfUnion | 1<<btfTypedef | 1<<btfFunc

// A btfCutter makes the small BTF.
type btfCutter struct {
	types   []byte
	strs    []byte
	count   uint32   // of all types
	marks   []uint32 // the offsets in types of one type in markEvery
	members map[string]bool
	out     [][]byte
	ids     map[uint32]uint32 // from the kernel's to ours
	names   map[string]uint32
	outStrs []byte
	pointer uint32
}

// markEvery is the number of types for each mark. Noting all would touch half a
// megabyte.
const markEvery = 16

// offset returns the place of a type, from the nearest mark on.
func (c *btfCutter) offset(id uint32) int {
	at := int(c.marks[(id-1)/markEvery])
	for range (id - 1) % markEvery {
		at += btfTypeSize + btfTail(binary.LittleEndian.Uint32(c.types[at+4:]))
	}
	return at
}

// cutBTF returns a BTF with the structs and typedefs named in types, their
// members named in members, and the ids in the whole of the functions, structs
// and typedefs named in others.
func cutBTF(raw []byte, types, members, others map[string]bool) (small []byte, ids map[string]uint32, err error) {
	c := &btfCutter{
		members: members, ids: make(map[uint32]uint32), names: map[string]uint32{"": 0}, outStrs: []byte{0},
	}
	if err := c.open(raw); err != nil {
		return nil, nil, err
	}
	wanted, ids, err := c.scan(types, others)
	if err != nil {
		return nil, nil, err
	}
	for _, id := range wanted {
		if _, err := c.emit(id, 0); err != nil {
			return nil, nil, err
		}
	}
	return c.bytes(), ids, nil
}

// open parts the BTF into types and strings.
func (c *btfCutter) open(raw []byte) error {
	if len(raw) < btfHeaderSize {
		return errBTF
	}
	if binary.LittleEndian.Uint16(raw) != btfMagic {
		return errBTF
	}
	u := func(at int) uint64 { return uint64(binary.LittleEndian.Uint32(raw[at:])) }
	header, size := u(4), uint64(len(raw))
	typeOff, typeLen, strOff, strLen := header+u(8), u(12), header+u(16), u(20)
	if typeOff+typeLen > size || strOff+strLen > size {
		return errBTF
	}
	c.types, c.strs = raw[typeOff:typeOff+typeLen], raw[strOff:strOff+strLen]
	return nil
}

// A nameFilter excludes most names outside a set by their first eight bytes,
// without looking for their ends.
type nameFilter [1 << 13 / 64]uint64

// place returns the bit for a name by its first eight bytes, those after its end
// left out. A plain load is cheaper here than a look at each byte.
func (f *nameFilter) place(start uint64) (*uint64, uint64) {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	if ends := (start - ones) &^ start & tops; ends != 0 {
		start &= ends&-ends>>7 - 1
	}
	h := start * 0x9e3779b97f4a7c15 >> 51
	return &f[h>>6], 1 << (h & 63)
}

func (f *nameFilter) add(names map[string]bool) {
	for name := range names {
		var start [8]byte
		copy(start[:], name)
		word, bit := f.place(binary.LittleEndian.Uint64(start[:]))
		*word |= bit
	}
}

// has reports whether the string at this offset of strs may be one of the
// names.
func (f *nameFilter) has(strs []byte, off uint32) bool {
	if uint64(off)+8 > uint64(len(strs)) {
		return true // one of the last few
	}
	word, bit := f.place(binary.LittleEndian.Uint64(strs[off:]))
	return *word&bit != 0
}

// scan notes the place of each type, and finds the wanted ones by name.
func (c *btfCutter) scan(types, others map[string]bool) (wanted []uint32, ids map[string]uint32, err error) {
	ids = make(map[string]uint32)
	c.marks = make([]uint32, 0, len(c.types)/24/markEvery)
	var filter nameFilter
	filter.add(types)
	filter.add(others)
	for at := 0; at < len(c.types); {
		if len(c.types)-at < btfTypeSize {
			return nil, nil, errBTF
		}
		info := binary.LittleEndian.Uint32(c.types[at+4:])
		tail := btfTail(info)
		if tail < 0 || len(c.types)-at-btfTypeSize < tail {
			return nil, nil, fmt.Errorf("%w: type of kind %d", errBTF, info>>24&0x1f)
		}
		if c.count%markEvery == 0 {
			c.marks = append(c.marks, uint32(at))
		}
		c.count++
		off := binary.LittleEndian.Uint32(c.types[at:])
		at += btfTypeSize + tail
		kind := info >> 24 & 0x1f
		if btfNamed>>kind&1 == 0 || !filter.has(c.strs, off) {
			continue
		}
		id, name := c.count, c.name(off)
		if kind != btfFunc && types[string(name)] {
			wanted = append(wanted, id)
		}
		if kind != btfUnion && others[string(name)] && (kind == btfFunc || ids[string(name)] == 0) {
			ids[string(name)] = id
		}
	}
	return wanted, ids, nil
}

// name returns the string at this offset, without copying it.
func (c *btfCutter) name(off uint32) []byte {
	if uint64(off) >= uint64(len(c.strs)) {
		return nil
	}
	s := c.strs[off:]
	if end := bytes.IndexByte(s, 0); end >= 0 {
		return s[:end]
	}
	return nil
}

// maxBTFDepth bounds how deep types may lie in each other.
const maxBTFDepth = 64

// emit copies a type with its parts, and returns its new id.
func (c *btfCutter) emit(id uint32, depth int) (uint32, error) {
	if id == 0 {
		return 0, nil
	}
	if have, ok := c.ids[id]; ok {
		return have, nil
	}
	if id > c.count || depth > maxBTFDepth {
		return 0, errBTF
	}
	at := c.offset(id)
	info := binary.LittleEndian.Uint32(c.types[at+4:])
	body := c.types[at : at+btfTypeSize+btfTail(info)]
	switch info >> 24 & 0x1f {
	case btfPtr:
		return c.emitPointer(), nil
	case btfTypeTag, btfVolatile, btfConst, btfRestrict:
		return c.emit(binary.LittleEndian.Uint32(body[8:]), depth+1)
	}
	c.out = append(c.out, nil)
	fresh := uint32(len(c.out))
	c.ids[id] = fresh
	t, err := c.copyType(body, info, depth)
	c.out[fresh-1] = t
	return fresh, err
}

// emitPointer returns the one pointer there is: to void.
func (c *btfCutter) emitPointer() uint32 {
	if c.pointer == 0 {
		c.out = append(c.out, c.header(0, btfPtr<<24, 0))
		c.pointer = uint32(len(c.out))
	}
	return c.pointer
}

func (c *btfCutter) header(name, info, size uint32) []byte {
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, btfTypeSize), name)
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, info), size)
}

func (c *btfCutter) copyType(body []byte, info uint32, depth int) ([]byte, error) {
	name, size := c.addString(c.name(binary.LittleEndian.Uint32(body))), binary.LittleEndian.Uint32(body[8:])
	switch kind := info >> 24 & 0x1f; kind {
	case btfInt, btfFwd, btfFloat:
		return append(c.header(name, info, size), body[btfTypeSize:]...), nil
	case btfEnum, btfEnum64:
		return c.header(name, info&^0xffff, size), nil
	case btfTypedef:
		ref, err := c.emit(size, depth+1)
		return c.header(name, info, ref), err
	case btfArray:
		return c.copyArray(name, info, body, depth)
	case btfStruct, btfUnion:
		return c.copyMembers(name, info, body, depth)
	default:
		return nil, fmt.Errorf("%w: member of kind %d", errBTF, kind)
	}
}

func (c *btfCutter) copyArray(name, info uint32, body []byte, depth int) ([]byte, error) {
	elem, err := c.emit(binary.LittleEndian.Uint32(body[12:]), depth+1)
	if err != nil {
		return nil, err
	}
	index, err := c.emit(binary.LittleEndian.Uint32(body[16:]), depth+1)
	b := binary.LittleEndian.AppendUint32(c.header(name, info, 0), elem)
	b = binary.LittleEndian.AppendUint32(b, index)
	return binary.LittleEndian.AppendUint32(b, binary.LittleEndian.Uint32(body[20:])), err
}

// copyMembers copies the wanted members, and those without a name, which may
// hold some.
func (c *btfCutter) copyMembers(name, info uint32, body []byte, depth int) ([]byte, error) {
	b := c.header(name, 0, binary.LittleEndian.Uint32(body[8:]))
	n := uint32(0)
	for m := body[btfTypeSize:]; len(m) >= btfMemberSize; m = m[btfMemberSize:] {
		field := c.name(binary.LittleEndian.Uint32(m))
		if len(field) > 0 && !c.members[string(field)] {
			continue
		}
		ref, err := c.emit(binary.LittleEndian.Uint32(m[4:]), depth+1)
		if err != nil {
			return nil, err
		}
		b = binary.LittleEndian.AppendUint32(b, c.addString(field))
		b = binary.LittleEndian.AppendUint32(b, ref)
		b = binary.LittleEndian.AppendUint32(b, binary.LittleEndian.Uint32(m[8:]))
		n++
	}
	binary.LittleEndian.PutUint32(b[4:], info&^0xffff|n)
	return b, nil
}

func (c *btfCutter) addString(s []byte) uint32 {
	off, ok := c.names[string(s)]
	if !ok {
		off = uint32(len(c.outStrs))
		c.names[string(s)] = off
		c.outStrs = append(append(c.outStrs, s...), 0)
	}
	return off
}

// bytes returns the small BTF.
func (c *btfCutter) bytes() []byte {
	types := bytes.Join(c.out, nil)
	b := binary.LittleEndian.AppendUint16(nil, btfMagic)
	b = append(b, 1, 0)
	for _, n := range []int{btfHeaderSize, 0, len(types), len(types), len(c.outStrs)} {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	return append(append(b, types...), c.outStrs...)
}
