package tally

import "slices"

// A Group is the sum over all with one key.
type Group[K comparable, V any] struct {
	Key K
	Sum V
	// seen is the number of the session counted last.
	seen int
}

// groups find the group of a key. A group keeps its place, a number from 0.
type groups[K comparable, V any] struct {
	// limit is the greatest number of groups, 0 for no bound.
	limit  int
	places map[K]int32
	all    []Group[K, V]
	// shares are those of the groups made with one, by place.
	shares []Share
	quota  quota
	// beyond counts the calls without room for another group.
	beyond int
}

func newGroups[K comparable, V any](limit int) groups[K, V] {
	return groups[K, V]{limit: limit, places: make(map[K]int32)}
}

// place returns the place of a key's group, -1 for no room.
func (g *groups[K, V]) place(key K) int32 {
	if at, known := g.places[key]; known {
		return at
	}
	return g.add(key)
}

// placeFor is place for a group of a share, which may have no room of its own left.
func (g *groups[K, V]) placeFor(key K, share Share) int32 {
	if at, known := g.places[key]; known {
		return at
	}
	if len(g.all) < g.limit && !g.quota.take(share) {
		g.beyond++
		return -1
	}
	at := g.add(key)
	if at >= 0 {
		g.shares = append(g.shares, share)
	}
	return at
}

// add makes the group of a key without one.
func (g *groups[K, V]) add(key K) int32 {
	if g.limit > 0 && len(g.all) >= g.limit {
		g.beyond++
		return -1
	}
	at := int32(len(g.all))
	if len(g.all) == cap(g.all) {
		g.all = slices.Grow(g.all, 8+len(g.all)) // doubled: growing by a quarter copies them oftener
	}
	g.all = append(g.all, Group[K, V]{Key: key})
	g.places[key] = at
	return at
}

// sum returns the sum of a key's group, nil for no room.
func (g *groups[K, V]) sum(key K) *V {
	at := g.place(key)
	if at < 0 {
		return nil
	}
	return &g.all[at].Sum
}

// once returns the sum at a place, for the session of this number. It returns
// nil if there is no group, or if the session was counted in it already.
// Sessions are numbered from 1.
func (g *groups[K, V]) once(at int32, session int) *V {
	if at < 0 || g.all[at].seen == session {
		return nil
	}
	g.all[at].seen = session
	return &g.all[at].Sum
}

// largest sorts a list by order, cuts it to its first top entries, and returns
// the number cut. With 0 it cuts none.
func largest[T any](list []T, top int, order func(a, b T) int) (first []T, more int) {
	const few = 8 // where they are few among many, to sort all of them takes longer
	if top > 0 && len(list)/few > top {
		first = list[:top:top]
		slices.SortFunc(first, order)
		for _, x := range list[top:] {
			if order(x, first[top-1]) < 0 {
				at, _ := slices.BinarySearchFunc(first, x, order)
				copy(first[at+1:], first[at:top-1])
				first[at] = x
			}
		}
		return first, len(list) - top
	}
	slices.SortFunc(list, order)
	if top > 0 && len(list) > top {
		return list[:top], len(list) - top
	}
	return list, 0
}
