// Package shrink has a map that gives memory back. The runtime's own keeps the room of
// its greatest number of entries for ever, so a burst would stay in the memory of a
// long-lived process.
package shrink

import "maps"

const (
	// floor is the number of entries below which room is not worth giving back.
	floor = 4096
	// share is the part of the greatest number of entries below which it is given back.
	share = 4
)

// A Map is a map that gives room back when few of its entries are left. The zero
// value is empty and ready. It is not safe for concurrent use.
type Map[K comparable, V any] struct {
	all  map[K]V
	most int // entries since it was made
}

// Get returns the value of a key, and whether it has one.
func (m *Map[K, V]) Get(key K) (V, bool) {
	v, ok := m.all[key]
	return v, ok
}

// Set gives a key a value.
func (m *Map[K, V]) Set(key K, v V) {
	if m.all == nil {
		m.all = make(map[K]V)
	}
	if m.most > floor && len(m.all) < m.most/share {
		m.most, m.all = len(m.all), maps.Collect(maps.All(m.all))
	}
	m.all[key] = v
	m.most = max(m.most, len(m.all))
}

// Delete forgets a key.
func (m *Map[K, V]) Delete(key K) { delete(m.all, key) }

// Len returns the number of entries.
func (m *Map[K, V]) Len() int { return len(m.all) }

// All returns the entries, to be read. The loop may call Delete, not Set.
func (m *Map[K, V]) All() map[K]V { return m.all }

// Expect makes an empty map with room for n entries.
func (m *Map[K, V]) Expect(n int) { m.all, m.most = make(map[K]V, n), n }
