// Package track follows the TCP and UDP sessions of a Linux host as they open
// and close, with the process that opened each one.
//
// A [Tracker] begins with a snapshot of what stands and goes on with what the
// kernel tells, with no gap and nothing told twice between the two. It gives
// both a stream of events and a live table that answers without touching the
// kernel. What was lost on the way stands in the stream as an event of its
// own: silence is never mistaken for quiet.
package track
