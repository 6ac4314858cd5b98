//go:build linux

// Compare times whole processes: whose, and other tools for the same question,
// over standing loads of known shape. It interleaves them in one run, so a
// disturbance hits all.
//
//	go run ./compare [-loads LIST] [-runs N] [-quick] [-whose PATH]
//		[-before PATH] [-out FILE] [-results FILE]
//
// Each load is built by ../load in network namespaces of its own. Every command
// runs inside the load's namespace with its output in a file, and is measured by
// ../timed: wall time, CPU time of user and system, and the peak of resident
// memory. After each run Compare counts the rows of the output, and those with a
// process of the load: no tool is timed for an empty answer.
//
// With -before an older whose runs beside this one, in the same turns. The floor
// is ../floor, a reader in C of the same pins.
//
// Compare needs root, a C compiler and the tools. It mounts a BPF file system
// for the pins in a mount namespace of its own, and leaves nothing behind. It
// prints a Markdown page with medians, ratios and the project's targets, each
// reached or missed; a missed target is no failure. With -results it writes the
// same as JSON, the form of the data of docs/performance.md.
package main
