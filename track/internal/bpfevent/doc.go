// Package bpfevent loads the BPF programs that report sessions as they open and
// close, and reads their records. The programs attach only to tracepoints and
// to the root cgroup. They look and never decide, and are gone with their
// process.
package bpfevent
