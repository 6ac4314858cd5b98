package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A scrubber replaces addresses, each by another for documentation that looks
// like it: the same by the same in all tables.
type scrubber struct{ known map[netip.Addr]netip.Addr }

func newScrubber() *scrubber { return &scrubber{known: make(map[netip.Addr]netip.Addr)} }

// table scrubs a file like /proc/net/tcp. The column's width stays.
func (s *scrubber) table(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) > 2 && fields[0] != "sl" {
			for _, end := range fields[1:3] {
				line = strings.Replace(line, end, s.end(end), 1)
			}
		}
		b.WriteString(scrubPointer(line))
	}
	return b.String()
}

// scrubPointer removes what may tell of the kernel's memory: the rest of the
// line after the inode.
func scrubPointer(line string) string {
	fields := strings.Fields(line)
	if len(fields) < 11 || fields[0] == "sl" {
		return line
	}
	at := 0
	for _, f := range fields[:10] {
		at += strings.Index(line[at:], f) + len(f)
	}
	return line[:at] + "\n"
}

// statusKept are the lines of status that are read.
var statusKept = []string{"Name:", "State:", "Tgid:", "Pid:", "PPid:", "Uid:", "Gid:", "NStgid:", "NSpid:", "Threads:", "Kthread:"}

// statKept is how many columns of stat are kept, the name not counted: up to
// the start time.
const statKept = 20

// scrubFile removes from a file of a process what is not read, such as places
// in its memory.
func scrubFile(name, text string) string {
	switch name {
	case "status":
		var b strings.Builder
		for line := range strings.Lines(text) {
			if slices.ContainsFunc(statusKept, func(k string) bool { return strings.HasPrefix(line, k) }) {
				b.WriteString(line)
			}
		}
		return b.String()
	case "stat":
		end := strings.LastIndexByte(text, ')') + 1
		fields := strings.Fields(text[end:])
		for i := statKept; i < len(fields); i++ {
			fields[i] = "0"
		}
		return text[:end] + " " + strings.Join(fields, " ") + "\n"
	}
	return text
}

// end scrubs "0100007F:0016".
func (s *scrubber) end(text string) string {
	digits, port, ok := strings.Cut(text, ":")
	raw, err := hex.DecodeString(digits)
	if !ok || err != nil || len(raw)%4 != 0 {
		return "0:0" // malformed, and so not to be told
	}
	turn(raw)
	addr, ok := netip.AddrFromSlice(raw)
	if !ok {
		return "0:0"
	}
	raw = s.addr(addr).AsSlice()
	turn(raw)
	return strings.ToUpper(hex.EncodeToString(raw)) + ":" + port
}

// turn changes words between the order of the host and that of the network.
func turn(raw []byte) {
	for i := 0; i < len(raw); i += 4 {
		binary.BigEndian.PutUint32(raw[i:], binary.NativeEndian.Uint32(raw[i:]))
	}
}

// addr returns the address that stands for a.
func (s *scrubber) addr(a netip.Addr) netip.Addr {
	if a.Is4In6() {
		mapped := s.addr(a.Unmap()).As4()
		return netip.MustParseAddr(fmt.Sprintf("::ffff:%d.%d.%d.%d", mapped[0], mapped[1], mapped[2], mapped[3]))
	}
	if a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() {
		return a
	}
	if to, ok := s.known[a]; ok {
		return to
	}
	to := placeholder(a, len(s.known)+1)
	s.known[a] = to
	return to
}

// placeholder returns the n-th address of the kind of a: private for IPv4,
// since there are not enough for documentation.
func placeholder(a netip.Addr, n int) netip.Addr {
	if a.Is4() {
		return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
	}
	to := [16]byte{0x20, 0x01, 0x0d, 0xb8}
	if a.IsLinkLocalUnicast() {
		to = [16]byte{0xfe, 0x80}
	}
	binary.BigEndian.PutUint32(to[12:], uint32(n))
	return netip.AddrFrom16(to)
}
