package proc

// A CgroupIndex finds control groups (v2) by their ids, as sock_diag gives
// them of sockets: it names the unit or container of a socket whose owner may
// not be seen. The zero value knows none. It is safe for concurrent use.
type CgroupIndex struct{ byID map[uint64]Cgroup }

// Lookup returns the group with the id, false if it is unknown.
func (x *CgroupIndex) Lookup(id uint64) (Cgroup, bool) {
	if x == nil {
		return Cgroup{}, false
	}
	c, ok := x.byID[id]
	return c, ok
}
