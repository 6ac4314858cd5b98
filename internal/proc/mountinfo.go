package proc

import (
	"bytes"
	"fmt"
	"strings"
)

// mount is the part in use of one line of /proc/PID/mountinfo.
type mount struct {
	// Root is the mounted part of the file system: "/", or "net:[4026532177]"
	// for a network namespace held by its mount.
	Root string
	// Point is its mount point, under the root of the process.
	Point string
	// Type is the type of the file system: "nsfs".
	Type string
	// Options are those of the file system: "rw,hidepid=invisible".
	Options string
}

// Option returns the value of an option name=value, "" if it is not set.
func (m *mount) Option(name string) string {
	for opt := range strings.SplitSeq(m.Options, ",") {
		if key, value, _ := strings.Cut(opt, "="); key == name {
			return value
		}
	}
	return ""
}

// parseMount parses one line of /proc/PID/mountinfo.
func parseMount(line []byte) (mount, error) {
	var words [6][]byte
	rest := bytes.TrimRight(line, "\n")
	for i := range words {
		words[i], rest = nextWord(rest)
	}
	// Optional fields end with a single dash; none of them is one.
	var word []byte
	for word, rest = nextWord(rest); string(word) != "-"; word, rest = nextWord(rest) {
		if len(word) == 0 {
			return mount{}, fmt.Errorf("mount: want fields, a dash and three more")
		}
	}
	fsType, rest := nextWord(rest)
	_, rest = nextWord(rest) // the device
	options, _ := nextWord(rest)
	if len(words[4]) == 0 || len(fsType) == 0 {
		return mount{}, fmt.Errorf("mount: want fields, a dash and three more")
	}
	return mount{Root: unescapeOctal(words[3]), Point: unescapeOctal(words[4]),
		Type: unescapeOctal(fsType), Options: string(options)}, nil
}

// unescapeOctal undoes the kernel's escapes: "\040" for a space. Other text
// stays as it is.
func unescapeOctal(b []byte) string {
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b)
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+3 < len(b) && isOctal(b[i+1], '3') && isOctal(b[i+2], '7') && isOctal(b[i+3], '7') {
			out = append(out, (b[i+1]-'0')<<6|(b[i+2]-'0')<<3|(b[i+3]-'0'))
			i += 3
			continue
		}
		out = append(out, b[i])
	}
	return string(out)
}

func isOctal(c, most byte) bool { return '0' <= c && c <= most }
