package whose

import "time"

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
	Gaps Gaps
	// Duration is how long the collection took, rendering not counted.
	Duration time.Duration
}

// Add notes a gap, as [Gaps.Add] does.
func (c *Coverage) Add(g Gap) { c.Gaps.Add(g) }

// Missing says all gaps in one line, without their hints: "12 of 340 processes
// could not be looked into (permission denied)"; "" where the answer is whole.
func (c *Coverage) Missing() string { return c.Gaps.describe(c.Processes) }

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
	return &PartialError{Gaps: c.Gaps, Processes: c.Processes}
}
