package proc

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/seed-44df2ae6/whose/filter"
)

// EphemeralPorts returns the kernel's range of ports for sockets without a port
// of their choice, under a root of procfs; "" means /proc. Source:
// /proc/sys/net/ipv4/ip_local_port_range.
func EphemeralPorts(root string) (filter.PortRange, error) {
	if root == "" {
		root = "/proc"
	}
	text, err := readSetting(filepath.Join(root, "sys/net/ipv4/ip_local_port_range"))
	if err != nil {
		return filter.PortRange{}, fmt.Errorf("read port range: %w", err)
	}
	return parsePortRange(text)
}

// parsePortRange parses the two numbers. Errors quote nothing of the file.
func parsePortRange(text []byte) (filter.PortRange, error) {
	words := strings.Fields(string(text))
	if len(words) != 2 {
		return filter.PortRange{}, errors.New("read port range: want two numbers")
	}
	var ports [2]uint16
	for i, w := range words {
		n, err := strconv.ParseUint(w, 10, 16)
		if err != nil {
			return filter.PortRange{}, errors.New("read port range: want two numbers of 16 bits")
		}
		ports[i] = uint16(n)
	}
	return filter.PortRange{First: ports[0], Last: ports[1]}, nil
}
