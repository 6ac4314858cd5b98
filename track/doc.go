// Package track follows the TCP and UDP sessions of a Linux host as they open
// and close, with the process that opened each one.
//
// A [Tracker] begins with a snapshot of the standing sessions and goes on with the
// events of the kernel. Nothing between the two is missing or reported twice. It has
// a stream of events ([Tracker.Events], [Tracker.Each]) and a live table
// ([Tracker.Sessions], [Tracker.Count]), which answers without touching the kernel.
// A loss is an event of its own ([whose.EventLost]): silence is never mistaken for
// quiet.
package track
