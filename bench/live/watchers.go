//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
)

// A watcher is a program which reports connections while they are made.
type watcher struct {
	name string
	args []string // nil: nobody watches
	// server reports whether a line of its output is the server's end of one
	// connection of wrk. Each connection has one such line.
	server func(line []byte) bool
	// before and after change the namespace for it, and restore it.
	before, after [][]string
	// read reads what it kept, for one that writes no lines. Nil: its output is read.
	read func(ctx context.Context) (kept, error)
	// fault is the reason against a measurement.
	fault string
}

// The rows of the page.
const (
	nobody   = "nobody"
	whoseRow = "`whose watch -o jsonl`"
	agentRow = "`whose agent`, history and metrics"
)

var portText = strconv.Itoa(serverPort)

// trackRule makes the kernel track connections, as a stateful firewall does.
var trackRule = [][]string{
	{"nft", "add table ip live"},
	{"nft", "add chain ip live c { type filter hook input priority 0; }"},
	{"nft", "add rule ip live c ct state invalid counter"},
}

var untrackRule = [][]string{{"nft", "delete table ip live"}, {"conntrack", "-F"}}

// watchers returns the watchers in turn. PATH is searched for those of Debian's
// packages.
func watchers(whose string, r room) []watcher {
	all := []watcher{{name: nobody}}
	if whose != "" {
		all = append(all, watcher{name: whoseRow, args: []string{whose, "watch", "-o", "jsonl"}, server: whoseLine}, agentOf(whose, r))
	}
	return append(all,
		watcher{name: "`tcplife` (libbpf-tools)", args: []string{"tcplife"}, server: tcplifeLine},
		watcher{name: "`tcptracer` (libbpf-tools)", args: []string{"tcptracer"}, server: tcptracerLine},
		watcher{name: "`tcplife-bpfcc`", args: []string{"tcplife-bpfcc"}, server: tcplifeLine},
		watcher{name: "`tcptracer-bpfcc`", args: []string{"tcptracer-bpfcc"}, server: tcptracerLine},
		watcher{name: "nobody, connections tracked", before: trackRule, after: untrackRule},
		watcher{
			name: "`conntrack -E`", args: []string{"conntrack", "-E"}, server: conntrackLine, before: trackRule, after: untrackRule,
		})
}

var (
	whoseClose = []byte(`"event":"close"`)
	whosePort  = []byte(`"local_port":` + portText + `,`)
)

// whoseLine finds the close of the server's end.
func whoseLine(line []byte) bool {
	return bytes.Contains(line, whoseClose) && bytes.Contains(line, whosePort)
}

var (
	whoseLost = []byte(`"event":"lost"`)
	lostCount = []byte(`"lost":`)
)

// lostIn returns the number of lost events in a line of whose.
func lostIn(line []byte) (n uint64) {
	if !bytes.Contains(line, whoseLost) {
		return 0
	}
	// The first is the kind's name, without a colon after it.
	_, rest, _ := bytes.Cut(line, lostCount)
	for _, c := range rest {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}

// tcplifeLine finds the server's end: PID COMM LADDR LPORT RADDR RPORT ….
func tcplifeLine(line []byte) bool { return field(line, 3) == portText }

// tcptracerLine finds accepts: T PID COMM IP SADDR DADDR SPORT DPORT.
func tcptracerLine(line []byte) bool { return field(line, 0) == "A" && field(line, 6) == portText }

var (
	conntrackNew  = []byte("[NEW] tcp")
	conntrackPort = []byte(" dport=" + portText + " ")
)

// conntrackLine finds the beginning of a connection; there is one entry for both ends.
func conntrackLine(line []byte) bool {
	return bytes.Contains(line, conntrackNew) && bytes.Contains(line, conntrackPort)
}

// field returns a column of a line of columns.
func field(line []byte, number int) string {
	for i, f := range bytes.Fields(line) {
		if i == number {
			return string(f)
		}
	}
	return ""
}

// apply runs the commands.
func apply(ctx context.Context, commands [][]string) error {
	for _, c := range commands {
		if out, err := exec.CommandContext(ctx, c[0], c[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("run %v: %w: %s", c, err, bytes.TrimSpace(out))
		}
	}
	return nil
}
