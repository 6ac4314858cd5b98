// Package netns holds the ways into network namespaces. It enters them on
// throw-away threads, borrows descriptors of other processes, opens the
// namespace of a socket, and reads the numbers of namespaces.
//
// [OnThread] is the one door: once in a namespace, a thread never runs other
// goroutines again. Descriptors opened inside a namespace stay in it and work on
// any thread afterwards.
//
// A path can change its target at any moment, when a process exits and another
// gets its number. [Open] therefore confirms the number of the namespace, and
// never opens any other file.
package netns

import (
	"errors"

	"github.com/seed-44df2ae6/whose"
)

// ErrGone means a way into a namespace leads there no longer: its process or its
// descriptor is gone, or another has the number by now.
var ErrGone = errors.New("gone")

// ErrNoWay means no file to enter the namespace by is known.
var ErrNoWay error = NoWay("no way in is known")

// A NoWay is the reason why nothing leads into a namespace. It is
// [whose.ErrUnsupported]: the caller's way of asking cannot see into it.
type NoWay string

// Error returns the reason.
func (e NoWay) Error() string { return string(e) }

// Is makes errors.Is(err, whose.ErrUnsupported) hold.
func (NoWay) Is(target error) bool { return target == whose.ErrUnsupported }
