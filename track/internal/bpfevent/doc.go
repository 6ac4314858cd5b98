// Package bpfevent loads the BPF programs that tell of sessions as they open
// and close, and reads what they tell. The programs attach to tracepoints and
// to the root cgroup only, look and never decide, and are gone when their
// process is.
package bpfevent
