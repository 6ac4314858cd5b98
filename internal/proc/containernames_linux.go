package proc

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/container"
)

// containerNames keep the names of containers for a while: those that root's
// runtimes started, and those of the user who asks.
type containerNames struct {
	once       sync.Once
	files      []*hostFiles
	host, user *container.Finder

	mu    sync.Mutex
	known map[container.ID]foundContainer
}

// A foundContainer has the names of a container at a time.
type foundContainer struct {
	names container.Names
	// refused: a file may not be read.
	refused bool
	at      time.Time
}

// maxContainers bounds the containers whose names are kept.
const maxContainers = 1 << 14

// prepare makes the finders. The files of a user are read for himself alone, by
// whoever has no more rights than he: root reads none in his home, which may be on a
// file system of the user's making.
func (c *containerNames) prepare(f *FS) {
	host := &hostFiles{fs: f}
	c.files, c.host = []*hostFiles{host}, container.NewFinder(host)
	if uid := unix.Geteuid(); f.own && uid != 0 && !mayReadOthers() {
		data := os.Getenv("XDG_DATA_HOME")
		if home, err := os.UserHomeDir(); err == nil && !filepath.IsAbs(data) {
			data = filepath.Join(home, ".local/share")
		}
		if filepath.IsAbs(data) {
			own := &hostFiles{fs: f, owner: uint32(uid)}
			c.files = append(c.files, own)
			c.user = container.NewUserFinder(own, data, "/run/user/"+strconv.Itoa(uid))
		}
	}
}

// close gives the roots back.
func (c *containerNames) close() {
	for _, files := range c.files {
		files.close()
	}
}

// ContainerNames returns the names of the containers whose control groups these are,
// in their order. Each container is looked up once, and again when it is asked for
// some seconds later: it may have another name by then. Unknown names are empty.
// refused counts the containers that only a more privileged caller can name.
//
// Without names by a file, a container of LXC or systemd-nspawn has its own name.
// Those of a container that a user may have made up have the mark [whose.ByUser].
func (f *FS) ContainerNames(ctx context.Context, groups []Cgroup) (names []container.Names, refused int) {
	names = make([]container.Names, len(groups))
	f.containers.once.Do(func() { f.containers.prepare(f) })
	asked := make(map[container.ID]bool)
	var unknown []container.ID
	now := time.Now()
	for i := range groups {
		if id := groups[i].id(); id != (container.ID{}) && !asked[id] {
			asked[id] = true
			if !f.containers.knows(id, now) {
				unknown = append(unknown, id)
			}
		}
	}
	f.findContainers(ctx, unknown, now)
	f.containers.mu.Lock()
	defer f.containers.mu.Unlock()
	for id := range asked {
		if f.containers.known[id].refused {
			refused++
		}
	}
	for i := range groups {
		names[i] = groups[i].named(f.containers.known[groups[i].id()].names)
	}
	return names, refused
}

// knows reports whether the names of the container were looked up lately.
func (c *containerNames) knows(id container.ID, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, met := c.known[id]
	return met && now.Sub(k.at) < lookEvery
}

// findContainers looks up the names of containers. A file that does not answer
// leaves its container without.
func (f *FS) findContainers(ctx context.Context, ids []container.ID, now time.Time) {
	c := &f.containers
	work := calls[foundContainer]{n: len(ids), do: func(i int, _ func(foundContainer)) foundContainer {
		return c.find(ids[i], now)
	}}
	results := makeCalls(ctx, &f.crew, &work)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known)+len(ids) > maxContainers {
		c.known = make(map[container.ID]foundContainer)
	}
	for i, r := range results {
		switch r.end {
		case made:
			c.known[ids[i]] = r.value
		case givenUp: // not asked for again before the next minute
			c.known[ids[i]] = foundContainer{at: now.Add(askAgain - lookEvery)}
		}
	}
}

// find looks up the names of one container. The files of a user are asked for what
// a user may have made up, and nothing else.
func (c *containerNames) find(id container.ID, now time.Time) foundContainer {
	finder, bare := c.host, id
	if whose.Claimed(id.ID) || whose.Claimed(id.Pod) {
		finder, bare.Pod = c.user, ""
		bare.ID = unclaimed(id.ID)
	}
	if finder == nil {
		return foundContainer{at: now}
	}
	names, refused := finder.Find(bare)
	return foundContainer{names, refused, now}
}

// id returns the key for the files. The mark of what a user may have made up
// stays on it.
func (c *Cgroup) id() container.ID {
	if c.ID == "" && c.Pod == "" {
		return container.ID{}
	}
	id := container.ID{ID: c.ID, Runtime: c.Runtime, Pod: c.Pod}
	if id.ID != "" && whose.Claimed(c.Container) {
		id.ID = whose.ByUser + id.ID
	}
	return id
}

// named returns the names of the group's container with their marks. An image and a
// pod of a user's making are no names to rely on, and left out.
func (c *Cgroup) named(n container.Names) container.Names {
	switch {
	case whose.Claimed(c.Container) && n.Name != "":
		return container.Names{Name: whose.ByUser + n.Name}
	case whose.Claimed(c.Container), whose.Claimed(c.Pod):
		n = container.Names{}
	}
	if c.ID == "" {
		n.Name = cmp.Or(n.Name, c.Container)
	}
	return n
}

// unclaimed returns a name without its mark.
func unclaimed(name string) string {
	if whose.Claimed(name) {
		return name[len(whose.ByUser):]
	}
	return name
}

// setNames gives a process the names of its container.
func setNames(p *whose.Process, n container.Names) {
	p.ContainerName, p.Image, p.PodName, p.PodNamespace = n.Name, n.Image, n.PodName, n.PodNamespace
}
