package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

func main() {
	root := flag.String("root", "/proc", "root of procfs")
	flag.Parse()
	archive, err := capture(*root)
	if err != nil {
		fmt.Fprintln(os.Stderr, "capture:", err)
		os.Exit(1)
	}
	if _, err := os.Stdout.Write(txtar.Format(archive)); err != nil {
		fmt.Fprintln(os.Stderr, "capture:", err)
		os.Exit(1)
	}
}

// tables are the files of sockets below net.
var tables = []string{"tcp", "tcp6", "udp", "udp6", "udplite", "udplite6"}

// A capturer is a capture under way.
type capturer struct {
	root    string
	archive *txtar.Archive
	scrub   *scrubber
	netns   map[string]bool // namespaces whose tables were taken
	first   string          // process that was taken
}

// capture reads the processes that hold sockets, process 1, and the tables of
// their namespaces. A process that exits meanwhile is left out.
func capture(root string) (*txtar.Archive, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	c := &capturer{root: root, archive: &txtar.Archive{}, scrub: newScrubber(), netns: make(map[string]bool)}
	if err := c.bootTime(); err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	for _, pid := range pids {
		c.process(strconv.Itoa(pid))
	}
	if c.first == "" {
		return nil, fmt.Errorf("%s: no process that holds sockets may be read", root)
	}
	c.add("links", "self "+c.first+"\n")
	return c.archive, nil
}

func (c *capturer) add(name, text string) {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	c.archive.Files = append(c.archive.Files, txtar.File{Name: name, Data: []byte(text)})
}

// bootTime takes the line of /proc/stat by which start times are reckoned.
func (c *capturer) bootTime() error {
	text, err := os.ReadFile(filepath.Join(c.root, "stat"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "btime ") {
			c.add("stat", line)
			return nil
		}
	}
	return fmt.Errorf("%s/stat: no line btime", c.root)
}

// process takes one process, if it holds sockets or is the first.
func (c *capturer) process(pid string) {
	dir := filepath.Join(c.root, pid)
	netns, err := os.Readlink(filepath.Join(dir, "ns", "net"))
	if err != nil {
		return // it exited, or may not be read
	}
	links := c.sockets(dir)
	if links == "" && pid != "1" {
		return
	}
	for _, name := range []string{"stat", "status", "comm", "cgroup"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return
		}
		c.add(pid+"/"+name, scrubFile(name, string(text)))
	}
	if c.first == "" {
		c.first = pid
	}
	if command, err := os.ReadFile(filepath.Join(dir, "cmdline")); err == nil {
		first, _, _ := strings.Cut(string(command), "\x00")
		c.add(pid+"/cmdline.quoted", strconv.Quote(first+"\x00"))
	}
	if exe, err := os.Readlink(filepath.Join(dir, "exe")); err == nil {
		links += "exe " + exe + "\n"
	}
	c.add(pid+"/links", links+"ns/net "+netns+"\n")
	c.namespace(dir, netns)
}

// sockets lists the descriptors of a process that are sockets.
func (c *capturer) sockets(dir string) string {
	entries, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return ""
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int {
		return cmp.Or(len(a.Name())-len(b.Name()), strings.Compare(a.Name(), b.Name()))
	})
	var b strings.Builder
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(dir, "fd", e.Name()))
		if err == nil && strings.HasPrefix(target, "socket:[") {
			fmt.Fprintf(&b, "fd/%s %s\n", e.Name(), target)
		}
	}
	return b.String()
}

// namespace takes the tables of a namespace, once.
func (c *capturer) namespace(dir, netns string) {
	inode := strings.TrimSuffix(strings.TrimPrefix(netns, "net:["), "]")
	if c.netns[inode] {
		return
	}
	c.netns[inode] = true
	for _, name := range tables {
		text, err := os.ReadFile(filepath.Join(dir, "net", name))
		if err != nil {
			continue
		}
		c.add("netns/"+inode+"/"+name, c.scrub.table(string(text)))
	}
}
