//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// listeners is the number of processes of each load with a listener kept open.
const listeners = 12

// One of the processes of the larger loads, and its address: see ../load.
const (
	nameOfOne    = "app0019"
	addressOfOne = "127.1.0.20"
)

// portRows is the number of sockets of the port in a narrow question.
const portRows = 92

// A load is one shape of host.
type load struct {
	// key names it in flags, title in the page.
	key, title string
	// sockets, procs, other and fds are arguments of ../load: ends of connections,
	// processes with some of them, processes without, and further descriptors of
	// each process. All zero: no load, the host as it is.
	sockets, procs, other, fds int
	// namespaces to spread the processes over.
	namespaces int
	// group: targets compare this load with others of the same group, so they are
	// built in turn. Empty: with none.
	group string
}

// loads returns all loads in the order of measurement. The largest comes last:
// its end keeps the kernel busy.
func loads() []load {
	return []load{
		{key: "idle", title: "idle host"},
		{key: "1k", title: "1,000 sockets in 100 processes", sockets: 1000, procs: 100, namespaces: 1},
		{key: "10k", title: "10,000 sockets in 500 processes", sockets: 10_000, procs: 500, namespaces: 1, group: "10k"},
		{key: "netns50", title: "10,000 sockets in 500 processes in 50 network namespaces",
			sockets: 10_000, procs: 500, namespaces: 50, group: "10k"},
		{key: "small", title: "small host: 300 sockets, 150 processes with 25 other descriptors each",
			sockets: 300, procs: 50, other: 100, fds: 25, namespaces: 1},
		{key: "procs5k", title: "1,000 sockets among 5,000 processes with 50 other descriptors each",
			sockets: 1000, procs: 100, other: 4900, fds: 50, namespaces: 1, group: "procs5k"},
		{key: "procs5k-lean", title: "1,000 sockets among 5,000 processes with 5 other descriptors each",
			sockets: 1000, procs: 100, other: 4900, fds: 5, namespaces: 1, group: "procs5k"},
		{key: "100k", title: "100,000 sockets in 1,000 processes", sockets: 100_000, procs: 1000, namespaces: 1},
		{key: "1m", title: "1,000,000 sockets in 200 processes", sockets: 1_000_000, procs: 200, namespaces: 1},
	}
}

func (l load) idle() bool { return l.procs == 0 }

// A standing load is a built one.
type standing struct {
	// namespaces holds the pid of one process in each.
	namespaces []int
	// pid is a process with sockets.
	pid int
	// port is of some 90 sockets, where there is such a port.
	port int
	cmd  *exec.Cmd
	hold io.Closer
	// before is the number of the kernel's TCP sockets before the load.
	before int
}

// start builds a load and returns when it stands.
func start(ctx context.Context, program string, l load) (*standing, error) {
	before, err := tcpSockets()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program,
		"-sockets", strconv.Itoa(l.sockets), "-procs", strconv.Itoa(l.procs),
		"-otherprocs", strconv.Itoa(l.other), "-otherfds", strconv.Itoa(l.fds),
		"-listeners", strconv.Itoa(listeners), "-netns", strconv.Itoa(l.namespaces))
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stderr = os.Stderr
	hold, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start load: %w", err)
	}
	said, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start load: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start load: %w", err)
	}
	s := &standing{cmd: cmd, hold: hold, before: before}
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("build load: %w", err), s.stop())
	}
	if err := s.read(line); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	if s.port, err = findPort(s.pid); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// findPort returns the port of a process's namespace whose number of sockets is
// nearest to portRows.
func findPort(pid int) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
	if err != nil {
		return 0, fmt.Errorf("choose a port: %w", err)
	}
	var sockets [1 << 16]int
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) < 3 {
			continue
		}
		var ports [2]uint64
		for i := range ports {
			_, port, _ := strings.Cut(words[1+i], ":")
			ports[i], _ = strconv.ParseUint(port, 16, 16) // 0 in the line of titles
		}
		sockets[ports[0]]++
		if ports[1] != ports[0] {
			sockets[ports[1]]++
		}
	}
	best := 1
	for port := 1; port < len(sockets); port++ {
		if distance(sockets[port]) < distance(sockets[best]) {
			best = port
		}
	}
	return best, nil
}

func distance(sockets int) int { return max(sockets-portRows, portRows-sockets) }

// read reads "ready netns PID... procs PID...".
func (s *standing) read(line string) error {
	first, second, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "ready netns "), " procs ")
	for word := range strings.FieldsSeq(first) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			ok = false
			break
		}
		s.namespaces = append(s.namespaces, pid)
	}
	word, _, _ := strings.Cut(second, " ")
	pid, err := strconv.Atoi(word)
	if !ok || err != nil {
		return fmt.Errorf("read what the load says: %q", line)
	}
	s.pid = pid
	return nil
}

// stop ends the load. It waits for a while until the kernel has released the
// sockets, so the next load begins on a quiet host.
func (s *standing) stop() error {
	err := errors.Join(s.hold.Close(), s.cmd.Wait())
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		now, countErr := tcpSockets()
		if countErr != nil || now <= s.before+100 {
			return errors.Join(err, countErr)
		}
	}
	return err
}

// tcpSockets returns the number of TCP sockets of the host in all namespaces:
// the word after "alloc" in /proc/net/sockstat.
func tcpSockets() (int, error) {
	text, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return 0, fmt.Errorf("count sockets: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		for i, w := range words {
			if words[0] == "TCP:" && w == "alloc" && i+1 < len(words) {
				return strconv.Atoi(words[i+1])
			}
		}
	}
	return 0, errors.New("count sockets: no TCP line in /proc/net/sockstat")
}
