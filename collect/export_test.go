package collect

import (
	"context"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// OpenWith returns a collector whose source of that name is s, which it closes.
// It is found where no pin is.
func OpenWith(s source.Source) *Collector {
	key := sourceKey{name: s.Name(), where: pinDir(&Options{})}
	return &Collector{sources: map[sourceKey]*openSource{key: {source: s}}}
}

// A Work counts what a collection did.
type Work struct {
	// Sockets by state, as the source gave them.
	Sockets map[whose.State]int
	// Links and Processes that the walk over descriptors read, and whether it
	// ended early.
	Links, Processes int
	// Described are the processes whose files were read for their facts.
	Described int
	Early     bool
	// Grouped: the control groups were read for sockets with hidden owners.
	Grouped bool
	// GroupsRead is when they were read last.
	GroupsRead time.Time
	// Sessions of the answer.
	Sessions int
	Coverage whose.Coverage

	done work
}

// Cost is the time that the work is likely to take on a host with so many
// descriptors, which programs pass over without counting them.
func (w Work) Cost(descriptors int) time.Duration {
	done := w.done
	if done.walks > 0 {
		done.passed = descriptors
	}
	return done.cost()
}

// workDone counts the work of a collection.
func workDone(read *gathered) work {
	n := len(read.snap.Sockets)
	if !read.can.FindsHolders {
		return work{opened: read.walk.Processes + read.walk.Denied, links: read.walk.Links, dumped: n}
	}
	w := work{walks: 1, visited: read.snap.Processes, met: n}
	if !read.snap.Pinned {
		w.loads = 1
	}
	return w
}

// WorkOf makes a collection and says what it did.
func (c *Collector) WorkOf(ctx context.Context, opts *Options) (Work, error) {
	a, err := c.Collect(ctx, opts)
	if err != nil {
		return Work{}, err
	}
	defer a.Close()
	read := &a.stages.gathered
	w := Work{
		Sockets: make(map[whose.State]int), Links: read.walk.Links, Processes: read.walk.Processes,
		Described: len(a.stages.joined.ids),
		Early:     read.walk.Early, Sessions: a.Len(), Coverage: a.Coverage,
		Grouped: a.stages.described.groups != nil, GroupsRead: c.groups.read,
		done: workDone(read),
	}
	for i := range read.snap.Sockets {
		w.Sockets[read.snap.Sockets[i].State]++
	}
	return w, nil
}

// OpenSources returns the names of the sources that are open.
func (c *Collector) OpenSources() (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sources {
		if s.source != nil {
			names = append(names, s.source.Name())
		}
	}
	return names
}

// LoadingPays reports whether auto loads programs on a host of these sizes.
func LoadingPays(processes, files, sockets int) bool {
	return host{processes, files, sockets}.loadingPays()
}
