package store

import (
	"net/netip"

	"github.com/seed-44df2ae6/whose"
)

// A view makes entries of a block's columns. Processes and lists of owners are made
// once for each block, and shared by its entries.
type view struct {
	block
	ref   *reference
	procs []*whose.Process
	lists [][]whose.Owner
	ready bool // tables were read
}

// open reads the head of a block and its times.
func (v *view) open(text []byte) error {
	v.ready = false
	if err := v.block.open(text); err != nil {
		return err
	}
	return v.times()
}

// tables reads the tables of the block.
func (v *view) tables() error {
	v.ready = true
	if err := v.block.tables(); err != nil {
		return err
	}
	v.procs = append(v.procs[:0], make([]*whose.Process, len(v.tasks))...)
	v.lists = append(v.lists[:0], make([][]whose.Owner, len(v.crews))...)
	return nil
}

// each calls fn with each entry's place and columns.
func (v *view) each(fn func(i int, p *packed)) error {
	if !v.ready {
		if err := v.tables(); err != nil {
			return err
		}
	}
	return v.block.each(fn)
}

// owners returns the owners of a crew's place plus one.
func (v *view) owners(place uint32) []whose.Owner {
	if place == 0 {
		return nil
	}
	at := place - 1
	if v.lists[at] == nil {
		list := make([]whose.Owner, len(v.crews[at]))
		for i, t := range v.crews[at] {
			if v.procs[t] == nil {
				v.procs[t] = v.ref.process(&v.tasks[t])
			}
			list[i].Process = v.procs[t]
		}
		v.lists[at] = list
	}
	return v.lists[at]
}

// entry makes an entry.
func (v *view) entry(i int, p *packed, e *entry) {
	v.light(i, p, e)
	v.heavy(p, e)
}

// heavy adds the owners.
func (v *view) heavy(p *packed, e *entry) { e.owners, e.peer = v.owners(p.crew), v.owners(p.peer) }

// light makes an entry without owners.
func (v *view) light(i int, p *packed, e *entry) {
	e.owners, e.peer = nil, nil
	e.setShape(v.shapes[p.shape])
	e.at, e.from = v.at[i], v.from[i]
	e.local = netip.AddrPortFrom(v.addrs[p.local], p.localPort)
	e.remote = netip.AddrPortFrom(v.addrs[p.remote], p.remotePort)
	e.cookie, e.inode, e.flow = p.cookie, p.inode, p.flow
	e.place = *v.ref.place(p.place)
	e.duration, e.sent, e.received, e.rtt, e.retrans = p.duration, p.sent, p.received, p.rtt, p.retrans
}

// entries calls fn with each entry of a block.
func (r *reference) entries(text []byte, fn func(*entry)) error {
	v := view{ref: r}
	if err := v.open(text); err != nil {
		return err
	}
	var all []entry
	err := v.each(func(i int, p *packed) {
		var e entry
		v.entry(i, p, &e)
		all = append(all, e)
	})
	if err != nil {
		return err
	}
	for i := range all {
		fn(&all[i])
	}
	return nil
}
