//go:build linux

package main

import "strconv"

// A tool is one command line to be timed.
type tool struct {
	// name is the command in the words of the page.
	name string
	// args are the command; pidArg stands for the pid of a process of the load.
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
)

const pidArg = "{pid}"

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

// command fills the pid in.
func (t tool) command(pid int) []string {
	args := make([]string, len(t.args))
	for i, a := range t.args {
		if a == pidArg {
			a = strconv.Itoa(pid)
		}
		args[i] = a
	}
	return args
}

// The names of measurements for the targets.
const (
	ssAll     = "ss -tunap"
	ssBare    = "ss -tuna"
	lsofAll   = "lsof -nPi"
	bpf       = "whose --source bpf"
	netlink   = "whose --source netlink"
	auto      = "whose"
	pinned    = "whose, pinned"
	jsonLines = "whose --source bpf -o jsonl"
	countOnly = "whose count --source bpf"
	listenBPF = "whose -l --source bpf"
	listenNet = "whose -l --source netlink"
	pidBPF    = "whose --source bpf pid N"
	pidNet    = "whose --source netlink pid N"
)

// toolsOf returns the timed tools, in the order of the page.
func toolsOf(p programs, pins string) []tool {
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
		all = append(all, whoseTools(p.whose, pins)...)
	}
	all = append(all, zabbixTools(p, pins)...)
	if p.base != "" {
		for _, source := range []string{"bpf", "netlink"} {
			all = append(all, tool{
				name: "base: whose --source " + source, args: []string{p.base, "-o", "tsv", "--source", source}, owners: true,
			})
		}
	}
	return all
}

// whoseTools are the command lines of whose. Those without -o are timed with -o
// tsv, the plainest of its formats.
func whoseTools(path, pins string) []tool {
	tsv := func(name string, args ...string) tool {
		return tool{name: name, args: append([]string{path, "-o", "tsv"}, args...), owners: true}
	}
	some := func(t tool, rows part, keys ...string) tool {
		t.rows, t.keys = rows, keys
		return t
	}
	formats := []string{"1k", "10k", "100k"}
	return []tool{
		tsv(bpf, "--source", "bpf"),
		tsv(netlink, "--source", "netlink"),
		tsv("whose --source procfs", "--source", "procfs"),
		tsv(auto),
		tsv(pinned, "--pin-dir", pins),
		some(tool{name: jsonLines, args: []string{path, "--source", "bpf", "-o", "jsonl"}, owners: true}, everyRow, formats...),
		some(tool{name: "whose --source bpf -o table", args: []string{path, "--source", "bpf", "-o", "table"}, owners: true},
			halfRows, formats...),
		some(tool{name: countOnly, args: []string{path, "count", "--source", "bpf"}}, someRows, formats...),
		some(tsv(listenBPF, "-l", "--source", "bpf"), listenerRows, "100k"),
		some(tsv(listenNet, "-l", "--source", "netlink"), listenerRows, "100k"),
		some(tsv(pidBPF, "--source", "bpf", "pid", pidArg), processRows, "procs5k", "procs5k-lean"),
		some(tsv(pidNet, "--source", "netlink", "pid", pidArg), processRows, "procs5k", "procs5k-lean"),
	}
}
