//go:build linux

// Live measures what it costs a busy web server that its connections are
// watched, and how many of them each watcher misses: nginx on loopback, wrk
// without keep-alive, and beside them in turn nobody, `whose watch -o jsonl`
// to a file, and what of Debian's libbpf-tools, bpfcc-tools and conntrack runs
// on the machine.
//
//	go run ./live [-whose PATH] [-rounds N] [-time 5s] [-flat 10m] [-out FILE]
//		[-results FILE]
//
// What disturbs one disturbs all: the watchers take turns, and each round
// begins with another. How many connections there were is what nginx counts.
// A watcher that the machine cannot run is named with its error.
//
// Live needs root. It works in network and mount namespaces of its own and
// leaves nothing behind. It prints a Markdown page. With -results it writes the
// same as JSON, the form of the data of docs/performance.md.
package main
