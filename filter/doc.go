// Package filter is the language for selecting sessions:
// "tcp and state established and not remote in 127.0.0.0/8".
//
// [Parse] reads an expression, [Split] separates the part for a source from the
// rest, and [Compile] makes a [Matcher] for evaluation. [Complete] serves
// completion. The names are the fields of package
// [github.com/seed-44df2ae6/whose], and [Reference] makes the reference page of
// them. The package knows no kernel and reads nothing of the host.
package filter
