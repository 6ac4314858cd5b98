// Gopsutil prints the TCP and UDP sockets of its network namespace with the
// names of their processes, as a program on gopsutil would: one line each, tab
// separated. It is what whose is compared with.
package main

import (
	"bufio"
	"fmt"
	"os"

	"github.com/shirou/gopsutil/v4/net"
	"github.com/shirou/gopsutil/v4/process"
)

func main() {
	if err := list(); err != nil {
		fmt.Fprintln(os.Stderr, "gopsutil:", err)
		os.Exit(1)
	}
}

func list() error {
	connections, err := net.Connections("inet")
	if err != nil {
		return fmt.Errorf("list connections: %w", err)
	}
	out := bufio.NewWriterSize(os.Stdout, 1<<16)
	names := map[int32]string{}
	for _, c := range connections {
		fmt.Fprintf(out, "%d\t%s\t%s\t%d\t%s\t%d\t%d\t%s\n", c.Type, c.Status,
			c.Laddr.IP, c.Laddr.Port, c.Raddr.IP, c.Raddr.Port, c.Pid, name(names, c.Pid))
	}
	return out.Flush()
}

// name looks a process up once. One that is gone has no name, as in any tool
// that looks it up after the sockets.
func name(names map[int32]string, pid int32) string {
	if pid == 0 {
		return ""
	}
	if n, ok := names[pid]; ok {
		return n
	}
	p := process.Process{Pid: pid}
	n, err := p.Name()
	if err != nil {
		n = "?"
	}
	names[pid] = n
	return n
}
