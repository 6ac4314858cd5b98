// Package source is the contract between the collector and its sources: the
// question that a source can apply, and the flat arrays that it fills.
//
// A source is one way to ask the kernel for its sockets. There are three, in
// collect/internal, and nobody outside this module can write a fourth: it has
// to pass the suite of collecttest, and to give what the join of package
// collect needs. So the contract is internal and changes with both.
package source
