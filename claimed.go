package whose

import "strings"

// Marks of names that say who chose them. A name of `ip netns`, of a container that
// the system started, or of a unit of the system has none, and no slash, so what
// others choose never reads like one.
const (
	// ByProcess marks the name of a network namespace that is the name of a process
	// in it: "process/nginx".
	ByProcess = "process/"
	// ByUser marks the name of a container, unit or pod, and of the network namespace
	// of such a container, if its control group is below one that an ordinary user
	// may write: "user/0123456789ab".
	ByUser = "user/"
)

// Claimed reports whether a name has such a mark.
func Claimed(name string) bool {
	return strings.HasPrefix(name, ByProcess) || strings.HasPrefix(name, ByUser)
}
