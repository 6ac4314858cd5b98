package proc

import (
	"bytes"
	"fmt"
	"math"
)

// stat is the part in use of /proc/PID/stat.
type stat struct {
	PID    uint32
	Parent uint32
	// Comm is the name in the parentheses, any bytes.
	Comm []byte
	// State is its letter: 'Z' for one whose main thread has exited.
	State byte
	// Kernel: it is a kernel thread.
	Kernel bool
	// Threads counts its threads.
	Threads uint64
	// Start is when it started, in clock ticks of 10 ms since boot.
	Start uint64
}

// kernelThread is PF_KTHREAD of the kernel's include/linux/sched.h.
const kernelThread = 0x00200000

// parseStat parses the content of /proc/PID/stat. Comm refers to b. The name
// may hold anything, parentheses and newlines too: it ends at the last ')'.
func parseStat(b []byte) (stat, error) {
	var s stat
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || end < open {
		return s, fmt.Errorf("name in parentheses: want one")
	}
	var ok bool
	if s.PID, ok = parsePID(bytes.TrimSpace(b[:open])); !ok {
		return s, fmt.Errorf("pid: want a number")
	}
	s.Comm = b[open+1 : end]
	return s, s.parseRest(b[end+1:])
}

// parseRest parses the fields behind the name; the first is field 3.
func (s *stat) parseRest(rest []byte) error {
	for field := 3; field <= 22; field++ {
		var word []byte
		word, rest = nextWord(rest)
		var ok bool
		var n uint64
		switch field {
		case 3:
			if ok = len(word) == 1 && isAlnum(word[0]); ok {
				s.State = word[0]
			}
		case 4: // zero for the first process
			n, ok = parseUint(word)
			ok = ok && n <= math.MaxInt32
			s.Parent = uint32(n)
		case 9:
			n, ok = parseUint(word)
			s.Kernel = n&kernelThread != 0
		case 20:
			s.Threads, ok = parseUint(word)
		case 22:
			s.Start, ok = parseUint(word)
		default:
			ok = len(word) > 0
		}
		if !ok {
			return fmt.Errorf("field %d: want another kind of value", field)
		}
	}
	return nil
}

// nextWord parts the first word of b, which spaces end, from the rest.
func nextWord(b []byte) (word, rest []byte) {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for i, c := range b {
		if isSpace(c) {
			return b[:i], b[i+1:]
		}
	}
	return b, nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' }
