// Package track follows the TCP and UDP sessions of a Linux host as they open
// and close, with the process that opened each one.
//
// A [Tracker] begins with a snapshot of the standing sessions and goes on with
// the events of the kernel. Nothing between the two is missing or reported
// twice. It has a stream of events ([Tracker.Events], [Tracker.Each]) and a
// live table ([Tracker.Sessions], [Tracker.Count]), which answers without
// touching the kernel. A loss is an event of its own ([whose.EventLost]):
// silence is never mistaken for quiet.
//
// The files:
//
//	tracker.go                          a tracker and its readers
//	keep.go                             its periodic work
//	options.go plan.go                  the options, and the plan made of them
//	source.go                           the interface of the sources
//	bpf_linux.go privilege_linux.go     by BPF programs (internal/bpfevent)
//	netlink_linux.go destroyed.go       by netlink and snapshots
//	openers_linux.go other.go           the list of sources
//	stats.go                            the account, and the losses
//
// The rules are in internal/ledger: records and snapshots in, events out.
package track
