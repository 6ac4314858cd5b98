package ledger

// An endedSet remembers the sessions that ended last, so a repeated record does
// not end one twice. When full it forgets by chance; repeats come within
// moments, so this does not matter. 512 KiB.
type endedSet struct{ places [1 << 15]endedID }

// An endedID is the identity of an ended session. A socket can live again
// (connect after a failed connect), hence the time.
type endedID struct{ cookie, opened uint64 }

func (r *endedSet) slot(id endedID) *endedID {
	h := (id.cookie ^ id.opened*0x9e3779b97f4a7c15) * 0xd6e8feb86659fd93
	return &r.places[h>>49]
}

func (r *endedSet) add(cookie, opened uint64) {
	id := endedID{cookie, opened}
	*r.slot(id) = id
}

func (r *endedSet) has(cookie, opened uint64) bool {
	id := endedID{cookie, opened}
	return cookie != 0 && *r.slot(id) == id
}

func (r *endedSet) drop(cookie, opened uint64) {
	if id := (endedID{cookie, opened}); *r.slot(id) == id {
		*r.slot(id) = endedID{}
	}
}
