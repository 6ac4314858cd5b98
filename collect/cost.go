package collect

import (
	"fmt"
	"time"
)

// A work counts the steps of a source for a question about all processes.
// Sources are chosen by their costs, and a test holds the choice against the counts
// of what each of them did.
type work struct {
	// loads is 1 if programs are loaded, and walks 1 if they walk the socket tables
	// and all processes.
	loads, walks int
	// visited are processes that programs visit, and passed the descriptors there.
	visited, passed int
	// opened are processes looked into under /proc, and links their descriptors.
	opened, links int
	// dumped are sockets given by netlink or by files of /proc, and met those given
	// by programs.
	dumped, met int
}

// The cost of one of each, as time of the answer on two processors. Measured by
// whole processes side by side on a virtual machine with Linux 6.18, with the loads of
// ../bench/compare: medians less the start of the process. The comments name the load
// that decides most about a figure, and how it differs.
const (
	costOfLoad   = 15 * time.Millisecond  // small: own programs 26.3 ms, pinned ones 11.0
	costOfWalk   = 1 * time.Millisecond   // idle: tables without sockets 0.6 to 0.8 ms, and a pin opened
	costOfVisit  = 2 * time.Microsecond   // procs5k: pinned, by process
	costOfPassed = 50 * time.Nanosecond   // procs5k: pinned, by descriptor
	costOfOpened = 20 * time.Microsecond  // small: netlink, by process
	costOfLink   = 1200 * time.Nanosecond // procs5k: netlink 437 ms, by descriptor
	costOfDumped = 2 * time.Microsecond   // 100k: netlink 281 ms, by socket, less its link
	costOfMet    = 700 * time.Nanosecond  // 100k: pinned 72 ms, by socket
)

// cost is the time that the work is likely to take.
func (w work) cost() time.Duration {
	n := func(count int, each time.Duration) time.Duration { return time.Duration(count) * each }
	return n(w.loads, costOfLoad) + n(w.walks, costOfWalk) +
		n(w.visited, costOfVisit) + n(w.passed, costOfPassed) +
		n(w.opened, costOfOpened) + n(w.links, costOfLink) +
		n(w.dumped, costOfDumped) + n(w.met, costOfMet)
}

// A host has the sizes of the host that are known before an answer: the kernel counts
// them. A number that is unknown is 0, as of a small host.
type host struct{ processes, files, sockets int }

func readHost() host { return host{runningProcesses(), openFiles(), allocatedSockets()} }

// byPrograms is the likely work of programs that are to be loaded, and byLinks that
// of netlink and the links of descriptors.
func (h host) byPrograms() work {
	return work{loads: 1, walks: 1, visited: h.processes, passed: h.files, met: h.sockets}
}

func (h host) byLinks() work {
	return work{opened: h.processes, links: h.files, dumped: h.sockets}
}

// loadingPays reports whether loading programs costs less than reading the links of
// all descriptors.
func (h host) loadingPays() bool { return h.byPrograms().cost() < h.byLinks().cost() }

// compare says in a sentence which of the two costs less.
func (h host) compare() string {
	than := "most of it to be loaded"
	if h.loadingPays() {
		than = "their loading included"
	}
	return fmt.Sprintf("%d processes with %d open files: netlink with their links takes some %v, and programs some %v, %s",
		h.processes, h.files, rounded(h.byLinks().cost()), rounded(h.byPrograms().cost()), than)
}

func rounded(d time.Duration) time.Duration { return max(d.Round(time.Millisecond), time.Millisecond) }
