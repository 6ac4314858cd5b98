package collect

import "github.com/seed-44df2ae6/whose"

// chosen are the sockets that meet the question, by their places: the fifth
// stage.
type chosen struct {
	*described
	places []uint32
	// others counts the sockets that meet it in all but the states.
	others whose.StateCounts
}

// choose keeps the sockets that meet the question.
func (c *chosen) choose(d *described) *chosen {
	c.described = d
	c.places = reserve(c.places, len(d.sockets))[:0]
	c.others = whose.StateCounts{}
	pl, narrow := d.plan, d.plan.admits() != nil
	if pl.match != nil {
		d.awaitPeers()
	}
	m := newMaker(d)
	var s whose.Session
	for i := range d.sockets {
		at := uint32(i)
		if !pl.wants(&d.sockets[i]) || narrow && !d.hasProc(at) {
			continue
		}
		if pl.match != nil {
			m.borrow(at, &s)
			if s.Reason == whose.ReasonHidden && pl.states.Has(s.State) && !d.doubtful {
				d.doubtful = pl.doubt != nil && pl.doubt.Match(&s)
			}
			if !pl.match.Match(&s) {
				continue
			}
		}
		if state := d.sockets[i].State; !pl.states.Has(state) {
			c.others[state]++
			continue
		}
		c.places = append(c.places, at)
	}
	return c
}

// hasProc reports whether the socket has a process to name.
func (d *derived) hasProc(i uint32) bool {
	_, named := d.firstProc(i)
	return named
}
