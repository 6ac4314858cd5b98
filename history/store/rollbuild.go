package store

import (
	"net/netip"
	"slices"
)

const (
	// rollRows bounds the rows of one minute. Beyond it sessions go into rows without
	// their remote address, and beyond twice as many into rows without port, owners
	// and place. These are said to be folded.
	rollRows = 4096
	// longLag is the number of minutes from which on a session counts as long. Long
	// sessions have pages of their own: few of the pages of a later time have sessions
	// of an earlier one.
	longLag = 2
)

// numbered things have numbers, in the order of their coming.
type numbered[K comparable] struct {
	places map[K]uint32
	all    []K
}

func (n *numbered[K]) number(k K) uint32 {
	at, ok := n.places[k]
	if !ok {
		if n.places == nil {
			n.places = make(map[K]uint32)
		}
		at = uint32(len(n.all))
		n.places[k] = at
		n.all = append(n.all, k)
	}
	return at
}

// A pageKey says of a row to which page it belongs: the hour of its minute, and
// whether its sessions were long.
type pageKey struct {
	hour int64
	long bool
}

// A rollBuilder adds up the entries of blocks. Programs and places get their numbers
// in the roll-up by two functions.
type rollBuilder struct {
	prog  func(number uint64) uint32
	place func(number uint64) uint32
	most  int // rows of a minute

	keys   numbered[rollKey]
	crews  numbered[string] // lists of programs, as they are written
	addrs  numbered[netip.Addr]
	table  rowTable
	sums   []rollSums // of the rows
	pageOf []*builtPage
	minute map[int64]int // rows of each
	latest int64
	ranks  []uint32 // of the addresses, for the pages
	byRank []netip.Addr
	pages  map[pageKey]*builtPage
	n      int64
	// memory for one block: numbers plus one of its crews, addresses and places
	blockCrews  []uint32
	blockAddrs  []uint32
	blockPlaces map[uint64]uint32
	shapes      []entry
}

// A builtPage is a page that grows.
type builtPage struct {
	rollPage
	rows []int32
}

func newRollBuilder() *rollBuilder {
	return &rollBuilder{
		most: rollRows, minute: make(map[int64]int), pages: make(map[pageKey]*builtPage),
		blockPlaces: make(map[uint64]uint32),
	}
}

// block adds the entries of a block that are ends of sessions.
func (b *rollBuilder) block(v *block) error {
	b.blockCrews = append(b.blockCrews[:0], make([]uint32, len(v.crews))...)
	b.blockAddrs = append(b.blockAddrs[:0], make([]uint32, len(v.addrs))...)
	clear(b.blockPlaces)
	b.shapes = b.shapes[:0]
	for _, shape := range v.shapes {
		var e entry
		e.setShape(shape)
		b.shapes = append(b.shapes, e)
	}
	return v.each(func(i int, p *packed) {
		if e := &b.shapes[p.shape]; e.kind.ends() {
			b.entry(v, i, p, e)
		}
	})
}

func (b *rollBuilder) entry(v *block, i int, p *packed, e *entry) {
	k := rollKey{port: p.remotePort, far: p.remotePort != 0, crew: b.crew(v, p.crew), place: b.placeOf(p.place)}
	if localSide(e, p.remotePort) {
		k.port = p.localPort
	}
	kept := *e
	kept.flags &= rollFlags
	kept.exposure = 0
	k.shape = shapeOf(&kept)
	addr := &b.blockAddrs[p.remote]
	if *addr == 0 {
		*addr = b.addrs.number(v.addrs[p.remote]) + 1
	}
	r := rollRow{addr: *addr, minute: minuteOf(v.at[i])}
	r.lag = r.minute - minuteOf(v.from[i])
	at := b.row(r, k)
	b.sums[at].add(&rollSums{n: 1, sent: p.sent, received: p.received, retrans: uint64(p.retrans)})
	page := b.pageOf[at]
	page.first, page.last = min(page.first, v.at[i]), max(page.last, v.at[i])
	page.reach, page.late = min(page.reach, v.from[i]), max(page.late, v.from[i])
	page.n++
	b.n++
}

// row returns the row of a session, perhaps one that is folded.
func (b *rollBuilder) row(r rollRow, k rollKey) int32 {
	r.key = b.keys.number(k)
	at, isNew := b.table.find(r, b.minute[r.minute] < b.most)
	if at < 0 {
		r.addr, k.folded = 0, foldedRemote
		if b.minute[r.minute] >= 2*b.most {
			k.folded, k.port, k.crew, k.place = foldedRemote|foldedAll, 0, 0, 0
		}
		r.key = b.keys.number(k)
		at, isNew = b.table.find(r, true)
	}
	if !isNew {
		return at
	}
	b.minute[r.minute]++
	b.latest = max(b.latest, r.minute)
	id := pageOf(&r)
	page := b.pages[id]
	if page == nil {
		const never = int64(1) << 62
		page = &builtPage{rollPage: rollPage{first: never, last: -never, reach: never, late: -never}}
		b.pages[id] = page
	}
	page.folded |= k.folded
	page.rows = append(page.rows, at)
	b.sums, b.pageOf = append(b.sums, rollSums{}), append(b.pageOf, page)
	return at
}

func pageOf(r *rollRow) pageKey {
	hour := r.minute / 60
	if r.minute%60 < 0 {
		hour--
	}
	return pageKey{hour, r.lag >= longLag || r.lag < 0}
}

// crew returns the number plus one of the programs of a crew's place plus one. Each
// program counts once.
func (b *rollBuilder) crew(v *block, place uint32) uint32 {
	if place == 0 {
		return 0
	}
	number := &b.blockCrews[place-1]
	if *number == 0 {
		progs := make([]uint32, 0, len(v.crews[place-1]))
		for _, t := range v.crews[place-1] {
			progs = append(progs, b.prog(v.tasks[t].prog))
		}
		*number = b.crews.number(crewText(progs)) + 1
	}
	return *number
}

// crewText writes a list of programs, which it sorts, each once.
func crewText(progs []uint32) string {
	slices.Sort(progs)
	progs = slices.Compact(progs)
	var list column
	list.uint(uint64(len(progs)))
	for _, p := range progs {
		list.uint(uint64(p))
	}
	return string(list)
}

func (b *rollBuilder) placeOf(number uint64) uint32 {
	at, ok := b.blockPlaces[number]
	if !ok {
		at = b.place(number)
		b.blockPlaces[number] = at
	}
	return at
}

// A rowTable numbers rows. It is a hash table with open addresses.
type rowTable struct {
	rows   []rollRow
	places []int32 // numbers plus one
}

// find returns the number of a row, a new one where it may make one, else -1.
func (t *rowTable) find(r rollRow, may bool) (at int32, isNew bool) {
	if 2*len(t.rows) >= len(t.places) {
		t.grow()
	}
	mask := uint64(len(t.places) - 1)
	for i := r.hash() & mask; ; i = (i + 1) & mask {
		switch at := t.places[i]; {
		case at != 0 && t.rows[at-1] == r:
			return at - 1, false
		case at != 0:
		case !may:
			return -1, false
		default:
			t.rows = append(t.rows, r)
			t.places[i] = int32(len(t.rows))
			return int32(len(t.rows) - 1), true
		}
	}
}

func (r *rollRow) hash() uint64 {
	return mix(mix(uint64(r.addr)<<32|uint64(r.key)) ^ uint64(r.minute)<<20 ^ uint64(r.lag))
}

func (t *rowTable) grow() {
	t.places = make([]int32, max(1<<14, 2*len(t.places)))
	mask := uint64(len(t.places) - 1)
	for n := range t.rows {
		i := t.rows[n].hash() & mask
		for t.places[i] != 0 {
			i = (i + 1) & mask
		}
		t.places[i] = int32(n + 1)
	}
}

// rank orders the addresses: it returns their ranks, and the addresses by rank. The
// first is none.
func (b *rollBuilder) rank() (ranks []uint32, inOrder []netip.Addr) {
	order := make([]uint32, len(b.addrs.all))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(x, y uint32) int { return b.addrs.all[x].Compare(b.addrs.all[y]) })
	ranks, inOrder = make([]uint32, len(order)+1), make([]netip.Addr, 1, len(order)+1)
	for at, i := range order {
		ranks[i+1] = uint32(at) + 1
		inOrder = append(inOrder, b.addrs.all[i])
	}
	return ranks, inOrder
}
