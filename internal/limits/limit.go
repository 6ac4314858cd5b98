package limits

import (
	"fmt"
	"time"
)

// A Limit is a limit of the system that may end the Go runtime. The zero value is
// none.
type Limit struct {
	// Name says which one it is, with its value: "ulimit -v 700 MiB".
	Name string
	// Threads: it is about threads and processes. Else it is about memory.
	Threads bool
}

// Hint is the advice for the limit.
func (l Limit) Hint() string {
	if l.Threads {
		return "raise the limit of processes and threads (ulimit -u, LimitNPROC=, TasksMax=) by some 16"
	}
	return "raise the limit of memory (ulimit -v, LimitAS=, MemoryMax=); of address space whose takes up to 4 GiB"
}

// A DiedError is the end of the second process without an answer.
type DiedError struct {
	// Limit was in force.
	Limit Limit
	// Exit is the exit status. 0: it has none.
	Exit int
	// Status is how the process ended, or why it could not be started.
	Status string
	// Said is the first line that it wrote about its end; it may hold hostile text.
	// Empty: nothing.
	Said string
}

// Error names the limit, the end and the words.
func (e *DiedError) Error() string {
	text := fmt.Sprintf("collect sessions: the process that collects ended under a limit of the system (%s): %s", e.Limit.Name, e.Status)
	if e.Said != "" {
		text += ", " + e.Said
	}
	return text
}

// A LateError is a second process that was still at work at the end of its time.
type LateError struct{ After time.Duration }

// Error names the time.
func (e *LateError) Error() string {
	return fmt.Sprintf("collect sessions: no answer within %s", e.After.Round(time.Millisecond))
}
