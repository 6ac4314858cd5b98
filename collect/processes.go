package collect

import (
	"context"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/proc"
)

// Processes describes the processes that run on this host and whose number is
// wanted, by rising number, with the facts of needs: the names for which a filter may
// ask. A nil wanted wants all. It looks for no session. It ends when ctx does, with
// those described until then. It needs no privilege; what the caller may not see is
// missing. Its source are the files of /proc and those of the runtimes of containers.
func Processes(ctx context.Context, needs whose.Needs, wanted func(pid uint32) bool) ([]whose.Process, error) {
	fs, err := proc.OpenWithin(ctx, "", false)
	if err != nil {
		return nil, err
	}
	defer fs.Close()
	ids, err := fs.Running(ctx, wanted)
	if err != nil {
		return nil, err
	}
	var all []whose.Process
	fs.Describe(ctx, ids, needs, func(_ int, p *whose.Process) { all = append(all, *p) })
	return all, nil
}
