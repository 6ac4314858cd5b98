// Package ledger holds the rules of following. Records and snapshots go in,
// events come out, and the live table stays current. The package knows no
// goroutine, no clock and no ring buffer. It asks the host only for names and
// for facts of processes.
//
// The parts of an [Engine] can be read one at a time:
//
//	engine.go tcp.go udp.go flows.go    the effect of each record
//	pending.go waiting.go               connections that nobody accepted yet
//	begin.go reconcile.go               the first snapshot, and later ones
//	book.go                             the state, and the steps that keep it in line
//	table.go chains.go entry.go         the live table and its entries
//	processes.go names.go               the process table; the names of numbers
//	ended.go                            the last ends, so that nothing ends twice
//	peers.go recent.go                  peers: in the table, or just gone from it
//	view.go want.go question.go         entries as sessions; the options and questions
//	event.go ending.go                  the content of an event; the end of a connection
//	emit.go outbox.go queue.go          events made, put in order, and read
package ledger
