package whose

import "time"

// A Coverage is the account of an answer: its sessions with and without owners,
// and its gaps. The zero value is the account of an empty and whole answer.
type Coverage struct {
	// Source is the name of the source: "bpf", "netlink" or "procfs".
	Source string
	// Pinned: the source read a pinned iterator.
	Pinned bool
	// Sessions counts the sessions of the answer.
	Sessions int
	// Owned counts the sessions with owners.
	Owned int
	// Ownerless counts the others by their [Reason].
	Ownerless [NumReasons]int
	// OtherStates counts the sessions that met the question in all but its default
	// states (CountOthers in the options of package collect). They are not among Sessions.
	OtherStates StateCounts
	// OwnersAsked: the question asked for owners.
	OwnersAsked bool
	// Processes counts the processes whose descriptors were read.
	Processes int
	// Namespaces counts the network namespaces read.
	Namespaces int
	// Gaps are the missing parts. Empty: the answer is whole.
	Gaps Gaps
	// Duration is the time of the collection, without rendering.
	Duration time.Duration
}

// Add adds a gap by [Gaps.Add].
func (c *Coverage) Add(g Gap) { c.Gaps.Add(g) }

// Missing describes all gaps in one line, without their hints: "12 of 340
// processes could not be looked into (permission denied)". It is empty for a
// whole answer.
func (c *Coverage) Missing() string { return c.Gaps.describe(c.Processes) }

// Unowned counts the sessions without owners, whatever the reason.
func (c *Coverage) Unowned() int {
	n := 0
	for _, count := range c.Ownerless {
		n += count
	}
	return n
}

// Err returns a [*PartialError] for an answer with gaps, nil for a whole one.
func (c *Coverage) Err() error {
	if len(c.Gaps) == 0 {
		return nil
	}
	return &PartialError{Gaps: c.Gaps, Processes: c.Processes}
}
