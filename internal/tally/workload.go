package tally

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/seed-44df2ae6/whose"
)

// otherWorkload is the name of the workloads without room for a name of their own.
const otherWorkload = "other"

// Workload returns the name by which people know who owns a session: the container of
// its first owner, else the systemd unit without the parts new at each start, else the
// name of the process; empty where the owner is not known. Names that a user chose for a
// container or a pod do not count. The name is printable; what is not stands in it as
// an escape.
func Workload(s *whose.Session) string {
	if len(s.Owners) == 0 || s.Owners[0].Process == nil {
		return ""
	}
	o := &s.Owners[0]
	switch {
	case o.ContainerName != "" && !whose.Claimed(o.ContainerName):
		return printableName(o.ContainerName)
	case o.Container != "" && !whose.Claimed(o.Container):
		return printableName(o.Container)
	case o.Unit != "" && !whose.Claimed(o.Unit):
		return printableName(StableUnit(o.Unit))
	}
	return printableName(o.Comm)
}

// maxName bounds a name, in bytes.
const maxName = 128

// printableName returns a name with an escape for each byte that is no UTF-8 and for
// each character that is not printable. Different names stay different, within
// maxName.
func printableName(name string) string {
	if plainName(name) {
		return name
	}
	var b strings.Builder
	for i := 0; i < len(name) && b.Len() < maxName; {
		r, n := utf8.DecodeRuneInString(name[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b.WriteString(`\x` + strconv.FormatUint(uint64(name[i])|0x100, 16)[1:])
		case unicode.IsPrint(r):
			b.WriteString(name[i : i+n])
		default:
			b.WriteString(`\u{` + strconv.FormatUint(uint64(r), 16) + "}")
		}
		i += n
	}
	return b.String()
}

func plainName(name string) bool {
	for i := range len(name) {
		if name[i] < ' ' || name[i] > '~' {
			return false
		}
	}
	return len(name) <= maxName
}
