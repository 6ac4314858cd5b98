package collect

import (
	"context"
	"sync"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/proc"
)

// A keptGroups has the control groups that an earlier collection read, to name sockets
// with hidden owners. A group keeps its name and its number for as long as it is, so
// all are read again only for a socket of one that is not among them, and after
// knownFor: older kernels give the number of a removed group to another. The zero value
// has none. It is safe for concurrent use.
type keptGroups struct {
	mu    sync.Mutex
	of    *proc.FS
	index *proc.CgroupIndex
	read  time.Time
}

// forSockets returns the index of control groups for the sockets with hidden owners,
// nil if there is none. Without it the hidden owners' units stay unknown, which the
// coverage reports already.
func (k *keptGroups) forSockets(ctx context.Context, d *derived) *proc.CgroupIndex {
	k.mu.Lock()
	defer k.mu.Unlock()
	fs := d.plan.fs
	if k.of == fs && k.index != nil && time.Since(k.read) < knownFor && d.groupsIn(k.index) {
		return k.index
	}
	x, err := fs.Cgroups(ctx)
	if err != nil {
		return nil
	}
	k.of, k.index, k.read = fs, x, time.Now()
	return x
}

// groupsIn reports whether the index has the groups of all sockets with hidden owners.
func (d *derived) groupsIn(x *proc.CgroupIndex) bool {
	for i, reason := range d.reason {
		id := d.sockets[i].Cgroup
		if reason != whose.ReasonHidden || id == 0 {
			continue
		}
		if _, ok := x.Lookup(id); !ok {
			return false
		}
	}
	return true
}
