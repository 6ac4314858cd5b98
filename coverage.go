package whose

import (
	"fmt"
	"time"
)

// A Coverage is the account, kept with every answer, of what was seen, what
// could not be seen or attributed, and why. The zero value is that of an
// answer in which nothing was seen and nothing was missing.
type Coverage struct {
	// Source names the source that answered: "bpf", "netlink" or "procfs".
	Source string
	// Pinned tells that it answered through a pinned iterator.
	Pinned bool
	// Sessions counts the sessions of the answer.
	Sessions int
	// Owned counts those that a process was found to hold.
	Owned int
	// Ownerless counts the others by their reason.
	Ownerless [NumReasons]int
	// OwnersAsked tells whether owners were looked for at all.
	OwnersAsked bool
	// Processes counts the processes whose descriptors were looked into.
	Processes int
	// Namespaces counts the network namespaces that were looked into.
	Namespaces int
	// Gaps say what was not seen. Empty: the answer is whole.
	Gaps []Gap
	// Duration is how long the collection took, rendering not counted.
	Duration time.Duration
}

// A Gap is one thing, or many of a kind, that could not be seen, and why.
type Gap struct {
	// Kind is the kind of thing.
	Kind GapKind
	// Count is how many there were, 0 where nobody can know.
	Count int
	// Why is the cause: "permission denied".
	Why string
	// Hint says what the user can do, empty where nothing helps.
	Hint string
}

// A GapKind is a kind of thing that can be missing from an answer.
type GapKind string

// The kinds of gaps.
const (
	// GapProcesses: processes whose descriptors could not be read.
	GapProcesses GapKind = "processes"
	// GapNamespaces: network namespaces that could not be entered or read.
	GapNamespaces GapKind = "namespaces"
	// GapInterrupted: tables that changed under every attempt to read them whole.
	GapInterrupted GapKind = "interrupted"
	// GapSockets: sockets or records that a source could not read or understand.
	GapSockets GapKind = "sockets"
	// GapDeadline: the time allowed ran out.
	GapDeadline GapKind = "deadline"
)

// String says the gap in one line: "12 processes: permission denied".
func (g Gap) String() string {
	if g.Count == 0 {
		return fmt.Sprintf("%s: %s", g.Kind, g.Why)
	}
	return fmt.Sprintf("%d %s: %s", g.Count, g.Kind, g.Why)
}

// Add notes a gap; one of the same kind and cause is counted up.
func (c *Coverage) Add(g Gap) {
	for i := range c.Gaps {
		if c.Gaps[i].Kind == g.Kind && c.Gaps[i].Why == g.Why {
			c.Gaps[i].Count += g.Count
			return
		}
	}
	c.Gaps = append(c.Gaps, g)
}

// Unowned counts the sessions without owners, whatever the reason.
func (c *Coverage) Unowned() int {
	n := 0
	for _, count := range c.Ownerless {
		n += count
	}
	return n
}

// Err returns a *PartialError where something was not seen, nil where the
// answer is whole.
func (c *Coverage) Err() error {
	if len(c.Gaps) == 0 {
		return nil
	}
	return &PartialError{Gaps: c.Gaps}
}
