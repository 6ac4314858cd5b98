//go:build linux

package main

import (
	"strconv"
	"strings"
)

// A tool is one command line to be timed.
type tool struct {
	// name is the command in the words of the page.
	name string
	// args are the command, with pidArg and portArg.
	args []string
	// keys are the loads it runs on. Empty: all.
	keys []string
	// each: it sees one network namespace and runs in each in turn. one: it sees
	// one, and is left out if there are many.
	each, one bool
	// owners: its rows name processes.
	owners bool
	// rows is the least number of its rows, as a part of the load's sockets.
	rows part
	// counts: its output is the number of its rows.
	counts bool
}

// A part is the share of a load's rows expected of a command.
type part int

// The parts.
const (
	everyRow part = iota
	// halfRows: the ends of a local connection may be shown as a pair.
	halfRows
	listenerRows
	processRows
	// someRows: the output has another form than one row a socket.
	someRows
	// noRows: nothing is printed.
	noRows
)

// Words of a command that stand for facts of the load: the pid of one of its
// processes, and a port of some 90 sockets.
const (
	pidArg  = "{pid}"
	portArg = "{port}"
)

// atLeast is the least number of rows of a right answer.
func (t tool) atLeast(l load) int {
	if l.idle() {
		return 0
	}
	switch t.rows {
	case halfRows:
		return l.sockets / 2
	case listenerRows:
		return min(listeners, l.procs)
	case processRows:
		return l.sockets / l.procs
	case someRows:
		return 1
	case noRows:
		return 0
	}
	return l.sockets + min(listeners, l.procs)
}

// runsOn reports whether the tool is timed on a load.
func (t tool) runsOn(l load) bool {
	if t.one && l.namespaces > 1 {
		return false
	}
	for _, key := range t.keys {
		if key == l.key {
			return true
		}
	}
	return len(t.keys) == 0
}

// command fills in the facts of the load.
func (t tool) command(s *standing) []string {
	fill := strings.NewReplacer(pidArg, strconv.Itoa(s.pid), portArg, strconv.Itoa(s.port))
	args := make([]string, len(t.args))
	for i, a := range t.args {
		args[i] = fill.Replace(a)
	}
	return args
}

// The names of measurements for the targets.
const (
	ssAll     = "ss -tunap"
	ssBare    = "ss -tuna"
	lsofAll   = "lsof -nPi"
	floor     = "C, same pins"
	hello     = "Go hello"
	version   = "whose version"
	bpf       = "whose --source bpf"
	netlink   = "whose --source netlink"
	auto      = "whose"
	jsonLines = "whose --source bpf -o jsonl"
	table     = "whose --source bpf -o table"
	countOnly = "whose count --source bpf"
	listenBPF = "whose -l --source bpf"
	listenNet = "whose -l --source netlink"
	pidBPF    = "whose --source bpf pid N"
	pidNet    = "whose --source netlink pid N"

	pinned        = "whose, pinned"
	pinnedLines   = "whose -o jsonl, pinned"
	pinnedTable   = "whose -o table, pinned"
	pinnedPID     = "whose pid N, pinned"
	pinnedPort    = "whose :PORT, pinned"
	pinnedAddr    = "whose ADDRESS, pinned"
	pinnedProcess = "whose process NAME, pinned"
	pinnedListen  = "whose -l, pinned"
	pinnedQuiet   = "whose -q, pinned"
)

// beforePrefix begins the name of a command run by the older whose.
const beforePrefix = "before: "

// toolsOf returns the timed tools, in the order of the page.
func toolsOf(p programs, r room) []tool {
	var all []tool
	if path := p.found["ss"]; path != "" {
		all = append(all,
			tool{name: ssAll, args: []string{path, "-tunap"}, each: true, owners: true},
			tool{name: ssBare, args: []string{path, "-tuna"}, each: true},
			tool{name: "ss -tlnp", args: []string{path, "-tlnp"}, keys: []string{"100k"}, owners: true, rows: listenerRows})
	}
	if path := p.found["lsof"]; path != "" {
		all = append(all, tool{name: lsofAll, args: []string{path, "-nPi"}, one: true, owners: true})
	}
	if path := p.found["netstat"]; path != "" {
		all = append(all, tool{name: "netstat -tunap", args: []string{path, "-tunap"}, one: true, owners: true})
	}
	all = append(all, tool{name: "gopsutil", args: []string{p.gopsutil}, one: true, owners: true})
	if p.whose != "" {
		all = append(all,
			tool{name: hello, args: []string{p.hello}, keys: []string{"idle"}, rows: noRows},
			tool{name: floor, args: []string{p.floor, r.pins()}, counts: true})
	}
	all = append(all, bothWhose(p, r)...)
	return append(all, scriptTools(p)...)
}

// bothWhose are the command lines of whose, each followed by that of the older
// one.
func bothWhose(p programs, r room) []tool {
	lines := func(path, pins string) []tool {
		if path == "" {
			return nil
		}
		w := whose{path, pins, r.noPins()}
		return append(w.tools(), w.zabbixTools()...)
	}
	after, before := lines(p.whose, r.pins()), lines(p.before, r.pinsBefore())
	for i := range before {
		before[i].name = beforePrefix + before[i].name
	}
	var all []tool
	for i := range max(len(after), len(before)) {
		if i < len(after) {
			all = append(all, after[i])
		}
		if i < len(before) {
			all = append(all, before[i])
		}
	}
	return all
}

// A whose is a binary with its pins, and a folder without any.
type whose struct{ path, pins, noPins string }

// tools are the command lines for sessions. Those without -o are timed with -o
// tsv, the plainest of its formats.
func (w whose) tools() []tool {
	of := func(name string, args ...string) tool {
		return tool{name: name, args: append([]string{w.path}, args...), owners: true}
	}
	tsv := func(name string, args ...string) tool {
		return of(name, append([]string{"-o", "tsv"}, args...)...)
	}
	pin := func(name string, args ...string) tool {
		return tsv(name, append([]string{"--pin-dir", w.pins}, args...)...)
	}
	some := func(t tool, rows part, keys ...string) tool {
		t.rows, t.keys = rows, keys
		return t
	}
	bare := func(t tool) tool {
		t.owners = false
		return t
	}
	formats, narrow := []string{"1k", "10k", "100k", "1m"}, []string{"10k", "100k"}
	pids := []string{"procs5k", "procs5k-lean", "100k"}
	return []tool{
		bare(some(of(version, "version"), someRows, "idle")),
		tsv(bpf, "--source", "bpf"),
		tsv(netlink, "--source", "netlink"),
		tsv("whose --source procfs", "--source", "procfs"),
		tsv(auto, "--pin-dir", w.noPins),
		pin(pinned),
		some(of(jsonLines, "--source", "bpf", "-o", "jsonl"), everyRow, formats...),
		some(of(table, "--source", "bpf", "-o", "table"), halfRows, formats...),
		some(of(pinnedLines, "--pin-dir", w.pins, "-o", "jsonl"), everyRow, formats...),
		some(of(pinnedTable, "--pin-dir", w.pins, "-o", "table"), halfRows, formats...),
		bare(some(of(countOnly, "count", "--source", "bpf"), someRows, formats...)),
		some(tsv(listenBPF, "-l", "--source", "bpf"), listenerRows, "100k"),
		some(tsv(listenNet, "-l", "--source", "netlink"), listenerRows, "100k"),
		some(tsv(pidBPF, "--source", "bpf", "pid", pidArg), processRows, pids...),
		some(tsv(pidNet, "--source", "netlink", "pid", pidArg), processRows, pids...),
		some(pin(pinnedPID, "pid", pidArg), processRows, pids...),
		some(pin(pinnedPort, ":"+portArg), someRows, narrow...),
		some(pin(pinnedAddr, addressOfOne), processRows, narrow...),
		some(pin(pinnedProcess, "process", nameOfOne), processRows, narrow...),
		some(pin(pinnedListen, "-l"), listenerRows, narrow...),
		bare(some(of(pinnedQuiet, "-q", "--pin-dir", w.pins), noRows, narrow...)),
	}
}
