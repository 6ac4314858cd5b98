package collect

import (
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// Facts are those of one process as it was: by its start, its mark, what was read, and
// for a while.
func TestKnown(t *testing.T) {
	var k known
	id := proc.ProcessID{PID: 7, Start: 100}
	marks := func(mark uint32) []source.Mark { return []source.Mark{{PID: 9, Mark: 3}, {PID: 7, Mark: mark}} }
	const needs = whose.NeedCmdline | whose.NeedExe
	named := proc.ProcessID{PID: 9, Start: 1}
	k.pass(marks(5), needs).keep(id, &whose.Process{PID: 7, Cmdline: "cmd"})
	k.pass(marks(5), whose.NeedContainerNames).keep(named, &whose.Process{PID: 9})
	for _, test := range []struct {
		name  string
		mark  uint32
		needs whose.Needs
		id    proc.ProcessID
		after time.Duration
		want  bool
	}{
		{"the same", 5, needs, id, 0, true},
		{"less is needed", 5, whose.NeedExe, id, 0, true},
		{"more is needed", 5, needs | whose.NeedCgroup, id, 0, false},
		{"another mark", 6, needs, id, 0, false},
		{"no mark, as of an older pin", 0, needs, id, 0, false},
		{"another process of its number", 5, needs, proc.ProcessID{PID: 7, Start: 101}, 0, false},
		{"another number", 5, needs, proc.ProcessID{PID: 9, Start: 100}, 0, false},
		{"long after", 5, needs, id, knownFor, false},
		{"the name of a container", 5, whose.NeedContainerNames, named, 0, true},
		{"the name of a container, after a while", 5, whose.NeedContainerNames, named, namesFor, false},
	} {
		p := k.pass(marks(test.mark), test.needs)
		p.now = p.now.Add(test.after)
		if got := p.find(test.id) != nil; got != test.want {
			t.Errorf("%s: known %v, want %v", test.name, got, test.want)
		}
	}
}

// A process without a command line may be about to get one, and one whose container
// has no name is a gap of each pass.
func TestKnown_Lacking(t *testing.T) {
	var k known
	id := proc.ProcessID{PID: 7, Start: 100}
	for _, test := range []struct {
		needs   whose.Needs
		process whose.Process
	}{
		{whose.NeedCmdline, whose.Process{PID: 7}},
		{whose.NeedContainerNames, whose.Process{PID: 7, Container: "0123456789ab"}},
	} {
		p := k.pass([]source.Mark{{PID: 7, Mark: 5}}, test.needs)
		if p.keep(id, &test.process); p.find(id) != nil {
			t.Errorf("%+v is taken for known", test.process)
		}
	}
}
