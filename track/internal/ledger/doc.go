// Package ledger holds the rules of following: a record or a snapshot in, events
// out, and the live table kept. It knows no goroutine, no clock and no ring
// buffer; of the host it asks only what names and processes are called.
//
// The [Engine] is made of values that can be read one at a time:
//
//	engine.go tcp.go udp.go flows.go    what each record does
//	pending.go                          connections that nobody accepted yet
//	begin.go reconcile.go               the first snapshot, and later ones
//	book.go                             the state, and the steps that keep it in line
//	table.go chains.go entry.go         the live table and its entries
//	processes.go names.go               the process table; what numbers are called
//	ended.go                            what ended last, so that nothing ends twice
//	peers.go recent.go                  other ends: in the table, or just gone from it
//	view.go want.go question.go         entries as sessions; what is wanted and asked
//	event.go ending.go                  what an event says; how a connection ended
//	emit.go outbox.go queue.go          how events are made, put in order, and read
package ledger
