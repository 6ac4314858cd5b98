package proc

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// The command line of a hung process is unknown, and everything else is there:
// its other facts, and the command lines of others. It is not asked again.
func TestHostileProcess_Hung(t *testing.T) {
	testenv.CheckLeaks(t)
	f := open(t)
	f.crew.patience = 200 * time.Millisecond
	hung := testenv.HungProcess(t)
	ids := []ProcessID{{uint32(os.Getpid()), startOf(t, os.Getpid())}, {uint32(hung.PID), startOf(t, hung.PID)}}
	ids = append(ids, ids[0])
	tried, wrong := 0, 0
	for range 3 {
		tried++
		got := make([]whose.Process, len(ids))
		gaps := f.Describe(t.Context(), ids, allNeeds, func(i int, p *whose.Process) { got[i] = *p })
		if len(gaps) != 1 || gaps[0] != StuckGap(1) {
			t.Errorf("gaps %+v, want one of one process", gaps)
			wrong++
		}
		for i, p := range got {
			if p.PID != ids[i].PID || p.Exe == "" || p.Comm == "" || p.StartTime.IsZero() || (p.Cmdline == "") != (i == 1) {
				t.Errorf("process %d of the pass is %+v", i, p)
				wrong++
			}
		}
		if lost := maxLost - f.crew.room(); lost != 1 {
			t.Errorf("%d readers are lost, want one for all passes", lost)
			wrong++
		}
		if p, err := f.Process(ids[1].PID, ids[1].Start, allNeeds); !errors.Is(err, ErrStuck) || p.Exe == "" {
			t.Errorf("alone it is %+v, %v", p, err)
			wrong++
		}
	}
	hung.Release()
	await(t, func() bool { return f.crew.room() == maxLost })
	testenv.Tried(t, tried, wrong)
}

// A root on a file system that does not answer is an error, in time.
func TestHostileOpen_DeadRoot(t *testing.T) {
	dead := testenv.NewDeadFS(t)
	dead.Die()
	wrong := 0
	if f, err := OpenWithin(t.Context(), filepath.Join(dead.Dir, "proc"), false); !errors.Is(err, ErrStuck) || whose.Hint(err) == "" {
		t.Errorf("got %v, %v, want no answer", f, err)
		wrong++
	}
	testenv.Tried(t, 1, wrong)
}
