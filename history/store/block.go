package store

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// A block is a number of entries, column by column: the times, then tables of
// the repeated values (shapes, addresses, tasks, crews), then the other columns by
// their places in the tables. Numbers are variable in length and, where the next
// is near, differences. Names are numbers of the file's dictionaries.

// blockVersion is the first byte of a block.
const blockVersion = 1

// maxBlock is the greatest number of entries of a block.
const maxBlock = 1 << 16

// The columns, in the order of their texts.
const (
	colAt = iota
	colFrom
	colTables
	colShape
	colLocal
	colRemote
	colPorts
	colCrew
	colPeer
	colPlace
	colCookie
	colInode
	colDuration
	colSent
	colReceived
	colDatagrams
	colTCP
	numColumns
)

// names are the numbers of names in a file.
type names interface {
	prog(p *whose.Process) uint64
	place(p *place) uint64
}

// A shape holds the facts of few bits, and the error number.
func shapeOf(e *entry) uint64 {
	return uint64(e.kind) | uint64(e.proto)<<4 | uint64(e.family)<<8 | uint64(e.state)<<12 | uint64(e.direction)<<16 |
		uint64(e.reason)<<18 | uint64(e.end)<<22 | uint64(e.by)<<26 | uint64(e.flags)<<28 | uint64(e.unknown)<<36 | uint64(e.errno&0xffff)<<44 | uint64(e.exposure)<<60
}

func (e *entry) setShape(n uint64) {
	e.kind, e.proto, e.family, e.state = kind(n&15), whose.Proto(n>>4&15), whose.Family(n>>8&15), whose.State(n>>12&15)
	e.direction, e.reason = whose.Direction(n>>16&3), whose.Reason(n>>18&15)
	e.end, e.by, e.flags, e.unknown = whose.End(n>>22&15), whose.Side(n>>26&3), uint8(n>>28), whose.Facts(n>>36)
	e.errno, e.exposure = uint32(n>>44&0xffff), whose.Exposure(n>>60)
}

// validShape reports whether a number is the shape of an entry.
func validShape(n uint64) bool {
	var e entry
	e.setShape(n)
	return e.kind >= stands && e.kind <= gone && whose.AllProtos.Has(e.proto) && whose.AllFamilies.Has(e.family) &&
		whose.AllStates.Has(e.state) && e.direction <= whose.Out && int(e.reason) < whose.NumReasons &&
		e.end <= whose.EndError && e.by <= whose.There
}

// A shared table gives the things of a block their places.
type shared[K comparable] struct {
	places map[K]uint64
	text   column
}

// place returns the place of a thing; write appends the text of a new one.
func (s *shared[K]) place(key K, write func(*column)) uint64 {
	if at, ok := s.places[key]; ok {
		return at
	}
	at := uint64(len(s.places))
	if s.places == nil {
		s.places = make(map[K]uint64)
	}
	s.places[key] = at
	write(&s.text)
	return at
}

// reset empties the table and keeps its memory.
func (s *shared[K]) reset() {
	clear(s.places)
	s.text = s.text[:0]
}

// A crewKey is a list of owners, by its memory: lists are shared and never
// written again.
type crewKey struct {
	first *whose.Owner
	n     int
}

// An encoder makes blocks. Its memory is used again.
type encoder struct {
	names   names
	columns [numColumns]column
	shapes  shared[uint64]
	addrs   shared[netip.Addr]
	tasks   shared[*whose.Process]
	crews   shared[crewKey]
	lists   shared[string] // crews by their tasks
	start   int64          // of the task before, in steps of 10 ms
	list    column
}

// block appends the block of entries, which are in the order of their times.
func (b *encoder) block(dst []byte, entries []entry) []byte {
	for i := range b.columns {
		b.columns[i] = b.columns[i][:0]
	}
	b.shapes.reset()
	b.addrs.reset()
	b.tasks.reset()
	b.crews.reset()
	b.lists.reset()
	b.start = 0
	var last entry
	for i := range entries {
		b.entry(&entries[i], &last)
		last.at, last.cookie, last.inode = entries[i].at, entries[i].cookie, entries[i].inode
	}
	tables := &b.columns[colTables]
	tables.uint(uint64(len(b.shapes.places)))
	*tables = append(*tables, b.shapes.text...)
	tables.uint(uint64(len(b.addrs.places)))
	*tables = append(*tables, b.addrs.text...)
	tables.uint(uint64(len(b.tasks.places)))
	*tables = append(*tables, b.tasks.text...)
	tables.uint(uint64(len(b.lists.places)))
	*tables = append(*tables, b.lists.text...)

	head := column(append(dst, blockVersion))
	head.uint(uint64(len(entries)))
	for i := range b.columns {
		head.uint(uint64(len(b.columns[i])))
	}
	for i := range b.columns {
		head = append(head, b.columns[i]...)
	}
	return head
}

func (b *encoder) entry(e, last *entry) {
	c := &b.columns
	c[colAt].int(e.at - last.at)
	c[colFrom].int(e.at - e.from)
	c[colShape].uint(b.shape(shapeOf(e)))
	c[colLocal].uint(b.addr(e.local.Addr()))
	c[colRemote].uint(b.addr(e.remote.Addr()))
	c[colPorts].port(e.local.Port())
	c[colPorts].port(e.remote.Port())
	c[colCrew].uint(b.crew(e.owners))
	c[colPeer].uint(b.crew(e.peer))
	c[colPlace].uint(b.names.place(&e.place))
	c[colCookie].int(int64(e.cookie - last.cookie))
	c[colInode].int(int64(e.inode - last.inode))
	if e.kind == closed || e.kind == failed {
		usual := int64(0)
		if e.flags&knownOpen != 0 {
			usual = e.at - e.from
		}
		c[colDuration].int(e.duration - usual)
	}
	if e.flags&counted != 0 {
		c[colSent].uint(e.sent.Bytes)
		c[colReceived].uint(e.received.Bytes)
		if e.proto.IsDatagram() {
			c[colDatagrams].uint(e.sent.Datagrams)
			c[colDatagrams].uint(e.received.Datagrams)
		}
	}
	if e.flags&hasTCP != 0 {
		c[colTCP].uint(uint64(e.rtt))
		c[colTCP].uint(uint64(e.retrans))
	}
	if e.flags&hasFlow != 0 {
		c[colTCP].uint(e.flow)
	}
}

func (b *encoder) shape(n uint64) uint64 {
	return b.shapes.place(n, func(c *column) { c.uint(n) })
}

func (b *encoder) addr(a netip.Addr) uint64 {
	a = a.WithZone("")
	return b.addrs.place(a, func(c *column) { c.addr(a) })
}

// crew returns the place of a list of owners plus one, 0 for none.
func (b *encoder) crew(owners []whose.Owner) uint64 {
	if len(owners) == 0 {
		return 0
	}
	key := crewKey{&owners[0], len(owners)}
	if at, ok := b.crews.places[key]; ok {
		return at
	}
	b.list = b.list[:0]
	b.list.uint(uint64(len(owners)))
	for i := range owners {
		b.list.uint(b.task(owners[i].Process))
	}
	at := b.lists.place(string(b.list), func(c *column) { *c = append(*c, b.list...) }) + 1
	if b.crews.places == nil {
		b.crews.places = make(map[crewKey]uint64)
	}
	b.crews.places[key] = at
	return at
}

// startStep is the step of start times.
const startStep = 10 * time.Millisecond

func (b *encoder) task(p *whose.Process) uint64 {
	return b.tasks.place(p, func(c *column) {
		prog := b.names.prog(p)
		start := int64(0)
		if !p.StartTime.IsZero() {
			start = p.StartTime.UnixNano()/int64(startStep) + 1
		}
		c.uint(uint64(p.PID))
		c.int(start - b.start)
		c.uint(uint64(p.Parent))
		c.uint(prog)
		b.start = start
	})
}

// A block is a block whose entries can be read. Its tables refer to the names of
// the file.
type block struct {
	n       int
	columns [numColumns][]byte
	// at and from are there after times, the others after tables.
	at, from []int64
	shapes   []uint64
	addrs    []netip.Addr
	tasks    []task
	crews    [][]uint32
}

// A task is a process as a block has it.
type task struct {
	pid, parent uint32
	start       int64 // as in the block
	prog        uint64
}

func (t *task) startTime() time.Time {
	if t.start == 0 {
		return time.Time{}
	}
	return time.Unix(0, (t.start-1)*int64(startStep))
}

// open reads the head of a block. It keeps text.
func (b *block) open(text []byte) error {
	if len(text) == 0 || text[0] != blockVersion {
		return fmt.Errorf("%w: want version %d", errMalformed, blockVersion)
	}
	c := cursor{text: text[1:]}
	n := c.uint()
	var lengths [numColumns]uint64
	for i := range lengths {
		lengths[i] = c.uint()
	}
	for i, length := range lengths {
		b.columns[i] = c.take(length)
	}
	if c.bad || n > maxBlock || n > uint64(len(b.columns[colAt])) || c.left() > 0 {
		return fmt.Errorf("%w: the columns do not fit", errMalformed)
	}
	b.n = int(n)
	return nil
}

// times reads the two columns of times.
func (b *block) times() error {
	b.at, b.from = b.at[:0], b.from[:0]
	at, from := cursor{text: b.columns[colAt]}, cursor{text: b.columns[colFrom]}
	now := int64(0)
	for range b.n {
		now += at.int()
		b.at = append(b.at, now)
		b.from = append(b.from, now-from.int())
	}
	if at.bad || from.bad {
		return fmt.Errorf("%w: times", errMalformed)
	}
	return nil
}

// tables reads the tables of repeated values.
func (b *block) tables() error {
	c := cursor{text: b.columns[colTables]}
	b.shapes, b.addrs, b.tasks, b.crews = b.shapes[:0], b.addrs[:0], b.tasks[:0], b.crews[:0]
	for range c.count() {
		shape := c.uint()
		if !validShape(shape) {
			c.fail()
		}
		b.shapes = append(b.shapes, shape)
	}
	for range c.count() {
		b.addrs = append(b.addrs, c.addr())
	}
	start := int64(0)
	for range c.count() {
		t := task{pid: uint32(c.uint())}
		start += c.int()
		t.start, t.parent, t.prog = start, uint32(c.uint()), c.uint()
		b.tasks = append(b.tasks, t)
	}
	for range c.count() {
		var crew []uint32
		for range c.count() {
			crew = append(crew, c.index(len(b.tasks)))
		}
		b.crews = append(b.crews, crew)
	}
	if c.bad {
		return fmt.Errorf("%w: tables", errMalformed)
	}
	return nil
}

// A packed entry is an entry by the places in the block's tables.
type packed struct {
	shape, local, remote uint32
	crew, peer           uint32 // plus one
	localPort            uint16
	remotePort           uint16
	place                uint64
	cookie, inode, flow  uint64
	duration             int64
	sent, received       whose.Traffic
	rtt, retrans         uint32
}

// each calls fn with each entry. times and tables have been called. After an
// error the entries were not as they are written.
func (b *block) each(fn func(i int, p *packed)) error {
	var c [numColumns]cursor
	for i := range c {
		c[i].text = b.columns[i]
	}
	var p packed
	var head entry
	if len(b.addrs) == 0 && b.n > 0 {
		return fmt.Errorf("%w: no addresses", errMalformed)
	}
	for i := range b.n {
		p.shape = c[colShape].index(len(b.shapes))
		if c[colShape].bad {
			break
		}
		head.setShape(b.shapes[p.shape])
		p.local, p.remote = c[colLocal].index(len(b.addrs)), c[colRemote].index(len(b.addrs))
		p.localPort, p.remotePort = c[colPorts].port(), c[colPorts].port()
		p.crew, p.peer = c[colCrew].index(len(b.crews)+1), c[colPeer].index(len(b.crews)+1)
		p.place = c[colPlace].uint()
		p.cookie += uint64(c[colCookie].int())
		p.inode += uint64(c[colInode].int())
		p.duration, p.sent, p.received, p.rtt, p.retrans = 0, whose.Traffic{}, whose.Traffic{}, 0, 0
		if head.kind == closed || head.kind == failed {
			p.duration = c[colDuration].int()
			if head.flags&knownOpen != 0 {
				p.duration += b.at[i] - b.from[i]
			}
		}
		if head.flags&counted != 0 {
			p.sent.Bytes, p.received.Bytes = c[colSent].uint(), c[colReceived].uint()
			if head.proto.IsDatagram() {
				p.sent.Datagrams, p.received.Datagrams = c[colDatagrams].uint(), c[colDatagrams].uint()
			}
		}
		if head.flags&hasTCP != 0 {
			p.rtt, p.retrans = uint32(c[colTCP].uint()), uint32(c[colTCP].uint())
		}
		if p.flow = 0; head.flags&hasFlow != 0 {
			p.flow = c[colTCP].uint()
		}
		fn(i, &p)
	}
	for k := range c {
		if c[k].bad {
			return fmt.Errorf("%w: column %d", errMalformed, k)
		}
	}
	return nil
}
