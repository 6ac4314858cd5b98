package bpfiter

import "math"

// A run of fd_walk shows so many sockets of each process. Where one has more, the
// next run begins with the first of all descriptors that were not reached. It shows
// other processes again from there on; this file decides which of them count.

// A place is how far a process was read.
type place struct {
	// from is the first descriptor that counts.
	from int32
	// unsure: several tables of the process go on, from different descriptors.
	unsure bool
}

// settlePlaces notes the processes that were not read to their end, and returns
// where the next run begins: not behind the first descriptor of any of them.
func (rd *reading) settlePlaces() (start uint32) {
	if rd.later == nil {
		rd.later = make(map[uint32]place)
	}
	clear(rd.later)
	rd.shown = true
	start = math.MaxUint32
	for _, m := range rd.more {
		from := m.from &^ moreOfThread
		start = min(start, from)
		p := place{from: int32(from), unsure: m.from != from}
		if other, ok := rd.later[m.element]; ok {
			p = place{from: min(p.from, other.from), unsure: true}
		}
		rd.later[m.element] = p
	}
	const together = 8 // descriptors that fd_walk looks at together
	return start &^ (together - 1)
}

// placeOf returns from where on the descriptors of the process count.
func (rd *reading) placeOf(pid uint32) place {
	if !rd.shown {
		return place{}
	}
	if p, ok := rd.later[pid]; ok {
		return p
	}
	return place{from: math.MaxInt32}
}

// isFar reports whether the tables beyond start are few and long, by how far the
// last run came. Then runs over all processes cost more than all descriptors do.
func (rd *reading) isFar(start, came uint32) bool {
	longest, sum := uint64(0), uint64(0)
	for _, m := range rd.more {
		longest, sum = max(longest, uint64(m.done)), sum+uint64(m.done)
	}
	const usual, dearer = 50, 4 // descriptors of a process; one of them to a look at a process
	runs := (longest - min(longest, uint64(start))) / uint64(came)
	return runs*uint64(rd.processes) > dearer*(sum+usual*uint64(rd.processes))
}
