//go:build linux

// Live measures the cost of watching for a busy web server, and the number of
// connections missed by each watcher: nginx on loopback, wrk without keep-alive,
// and beside them in turn nobody, `whose watch -o jsonl` to a file, and those of
// Debian's libbpf-tools, bpfcc-tools and conntrack able to run on the machine.
//
//	go run ./live [-whose PATH] [-rounds N] [-time 5s] [-flat 10m] [-out FILE]
//		[-results FILE]
//
// A disturbance hits all: the watchers take turns, and each round begins with
// another. nginx counts the connections. A watcher unable to run on the machine
// is named with its error.
//
// Live needs root. It works in network and mount namespaces of its own and
// leaves nothing behind. It prints a Markdown page. With -results it writes the
// same as JSON, the form of the data of docs/performance.md.
package main
