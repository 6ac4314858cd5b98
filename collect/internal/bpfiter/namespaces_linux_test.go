package bpfiter

import (
	"context"
	"os"
	"slices"
	"testing"

	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// A countingIter counts the runs of an iterator.
type countingIter struct {
	opener
	runs int
}

func (c *countingIter) Open() (int, error) {
	c.runs++
	return c.opener.Open()
}

// TestRead_Namespaces asks for one process, none of whose sockets leads on: the walk of
// the tables names all namespaces in one run, and no thread walks the elements of tables.
func TestRead_Namespaces(t *testing.T) {
	testenv.NeedKernel(t, 5, 19, "iterators over the socket tables")
	var made []uint32
	for range 3 {
		made = append(made, testenv.NewNetNS(t).Inode())
	}
	s := open(t, Options{})
	walk := &countingIter{opener: s.hashWalk}
	s.hashWalk = walk
	q := source.Query{PIDs: []uint32{uint32(os.Getpid())}}
	alone := read(t, s, asking(q))
	if walk.runs != 1 {
		t.Errorf("the tables were walked in %d runs, want 1", walk.runs)
	}
	for _, ino := range made {
		if !slices.Contains(alone.NetNS, ino) {
			t.Errorf("namespace %d is not among %v", ino, alone.NetNS)
		}
	}

	// Where the elements that name namespaces are others, all are walked.
	all := read(t, s, asking(source.Query{}))
	if missing := slices.DeleteFunc(slices.Clone(made), func(ino uint32) bool { return slices.Contains(all.NetNS, ino) }); len(missing) > 0 {
		t.Errorf("the walk of all elements does not name %v", missing)
	}
	// The elements end here: beyond is none that is walked.
	beyond := newQuestion(asking(q)).resumed(resumption{element: netnsBase + netnsElements})
	var snap source.Snapshot
	s.reading.reset(asking(q), &snap)
	must(t, s.readRuns(context.Background(), []run{s.run(hashWalk, s.hashWalk, beyond, s.reading.applyTables)}))
	if len(snap.NetNS) > 0 {
		t.Errorf("element %d names %v: the namespaces have others", netnsBase+netnsElements, snap.NetNS)
	}
}
