// Package limits runs a command so that somebody is left to report where the
// system refuses memory or threads: the Go runtime then ends the whole process,
// and no code of that process can answer any more. [Tight] names a limit that may
// do so, [Limit.Run] runs the command in a second process.
package limits
