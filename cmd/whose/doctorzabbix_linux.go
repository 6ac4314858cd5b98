package main

import (
	"encoding/binary"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// fileCapabilities are the permitted capabilities of the file of this command
// (struct vfs_cap_data in the attribute security.capability).
func fileCapabilities() []string {
	path, err := os.Executable()
	if err != nil {
		return []string{}
	}
	var data [24]byte
	n, err := unix.Getxattr(path, "security.capability", data[:])
	if err != nil {
		return []string{}
	}
	return parseFileCapabilities(data[:n])
}

// parseFileCapabilities reads the attribute: a word with the version, then for
// each 32 capabilities one word of permitted and one of inheritable ones.
func parseFileCapabilities(data []byte) []string {
	names := []string{}
	if len(data) < 4 {
		return names
	}
	words := data[4:]
	for half := 0; half < 2 && len(words) >= 4; half++ {
		permitted := binary.LittleEndian.Uint32(words)
		for bit := range 32 {
			if permitted>>bit&1 != 0 {
				names = append(names, capabilityName(32*half+bit))
			}
		}
		words = words[min(8, len(words)):]
	}
	return names
}

// capabilityName names the useful capabilities.
func capabilityName(n int) string {
	switch n {
	case unix.CAP_DAC_READ_SEARCH:
		return "CAP_DAC_READ_SEARCH"
	case unix.CAP_NET_ADMIN:
		return "CAP_NET_ADMIN"
	case unix.CAP_SYS_PTRACE:
		return "CAP_SYS_PTRACE"
	case unix.CAP_SYS_ADMIN:
		return "CAP_SYS_ADMIN"
	case unix.CAP_PERFMON:
		return "CAP_PERFMON"
	case unix.CAP_BPF:
		return "CAP_BPF"
	}
	return "capability " + strconv.Itoa(n)
}
