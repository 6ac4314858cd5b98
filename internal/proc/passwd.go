package proc

import (
	"bytes"
	"strings"
)

// A passwdEntry is a user in a line of passwd.
type passwdEntry struct {
	name string
	uid  uint32
}

// parsePasswd returns the users of the content of /etc/passwd, or of getent's
// answer. Malformed lines are skipped: one damaged line must not hide the
// others.
func parsePasswd(b []byte) []passwdEntry {
	var all []passwdEntry
	for line := range bytes.Lines(b) {
		fields := bytes.SplitN(trimNewline(line), []byte(":"), 5)
		if len(fields) < 4 || len(fields[0]) == 0 || len(fields[0]) > maxUserName || fields[0][0] == '#' {
			continue
		}
		uid, ok := parseUint(fields[2])
		if !ok || uid > 1<<32-1 {
			continue
		}
		all = append(all, passwdEntry{strings.Clone(string(fields[0])), uint32(uid)})
	}
	return all
}

// namesOf returns the names by id. The first line of an id counts, as for the C
// library.
func namesOf(entries []passwdEntry) map[uint32]string {
	names := make(map[uint32]string, len(entries))
	for _, e := range entries {
		if _, met := names[e.uid]; !met {
			names[e.uid] = e.name
		}
	}
	return names
}

// idsOf returns the ids by name. The first line of a name counts.
func idsOf(entries []passwdEntry) map[string]uint32 {
	ids := make(map[string]uint32, len(entries))
	for _, e := range entries {
		if _, met := ids[e.name]; !met {
			ids[e.name] = e.uid
		}
	}
	return ids
}
