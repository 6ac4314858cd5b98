package proc

import (
	"bytes"
	"fmt"
)

// status is the part in use of /proc/PID/status.
type status struct {
	// PID is the id of the thread group (Tgid).
	PID uint32
	// UID is the effective user id.
	UID uint32
	// PIDDepth counts the pid namespaces in which the process has a number,
	// from the procfs's own down (NSpid, since Linux 4.1); 0 if the kernel does
	// not show it.
	PIDDepth int
}

// parseStatus parses the content of /proc/PID/status, whose end may be missing.
// The kernel escapes newlines in the name, so no name can pass for another
// line.
func parseStatus(b []byte) (status, error) {
	var s status
	var havePID, haveUID bool
	number := 0
	for line := range bytes.Lines(b) {
		number++
		key, value, _ := bytes.Cut(line, []byte(":"))
		switch string(key) {
		case "Tgid":
			word, _ := nextWord(value)
			if s.PID, havePID = parsePID(word); !havePID {
				return s, fmt.Errorf("line %d: Tgid: want a number", number)
			}
		case "Uid":
			_, rest := nextWord(value)
			word, _ := nextWord(rest)
			n, ok := parseUint(word)
			if !ok || n > 1<<32-1 {
				return s, fmt.Errorf("line %d: Uid: want four numbers", number)
			}
			s.UID, haveUID = uint32(n), true
		case "NSpid":
			for word, rest := nextWord(value); len(word) > 0; word, rest = nextWord(rest) {
				s.PIDDepth++
			}
		}
	}
	if !havePID || !haveUID {
		return s, fmt.Errorf("lines Tgid and Uid: want both")
	}
	return s, nil
}

// parseBootTime returns btime of /proc/stat, in seconds since 1970.
func parseBootTime(b []byte) (int64, error) {
	number := 0
	for line := range bytes.Lines(b) {
		number++
		rest, found := bytes.CutPrefix(line, []byte("btime "))
		if !found {
			continue
		}
		n, ok := parseUint(bytes.TrimSpace(rest))
		if !ok || n > 1<<40 {
			return 0, fmt.Errorf("line %d: btime: want seconds", number)
		}
		return int64(n), nil
	}
	return 0, fmt.Errorf("line btime: want one in %d lines", number)
}
