// Package export sends what happened to where a fleet is asked. Events become lines in
// a spool, which holds them on the disk of this host while the receiver is away, and a
// sink takes them from there, one batch at a time.
package export
