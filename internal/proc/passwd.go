package proc

import (
	"bytes"
	"strings"
)

// parsePasswd returns the names of users by id, of the content of /etc/passwd.
// The first line of an id counts, as for the C library. Malformed lines are
// skipped: one damaged line must not hide the others.
func parsePasswd(b []byte) map[uint32]string {
	names := make(map[uint32]string)
	for line := range bytes.Lines(b) {
		fields := bytes.SplitN(trimNewline(line), []byte(":"), 5)
		if len(fields) < 4 || len(fields[0]) == 0 || len(fields[0]) > maxUserName || fields[0][0] == '#' {
			continue
		}
		uid, ok := parseUint(fields[2])
		if !ok || uid > 1<<32-1 {
			continue
		}
		if _, met := names[uint32(uid)]; !met {
			names[uint32(uid)] = strings.Clone(string(fields[0]))
		}
	}
	return names
}

// maxUserName bounds the name of a user, well above the 32 of useradd.
const maxUserName = 256
