//go:build linux

// Agent measures what `whose agent` costs a host, with history, socket and metrics: its
// memory beside 10,000 and 100,000 sessions that stand, its CPU time and wake-ups on an
// idle host with 1,000, and what its API gives to many askers at once. What it costs a
// busy web server is measured by live.
//
//	go run ./agent [-whose PATH] [-idle 30s] [-results FILE]
//
// It needs root and a C compiler. The agent follows the whole host, so others at work
// there are in its figures; the page names the load average. It takes four minutes,
// leaves nothing behind, and prints a Markdown page. With -results it writes the same as
// JSON, the form of the data of docs/performance.md.
package main
