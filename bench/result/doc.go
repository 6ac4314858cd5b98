// Package result holds the figures of the project, one JSON file for each run in
// the folder data, and makes docs/performance.md from them.
//
// bench/compare and bench/live write such a file with their flag -results. The
// figures of tests and of single experiments are written by hand in the same form.
package result
