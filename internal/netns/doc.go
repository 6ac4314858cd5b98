// Package netns holds the ways into network namespaces: it enters them on
// threads that are thrown away, borrows descriptors of other processes, opens
// the namespace of a socket, and reads the numbers of namespaces.
//
// [OnThread] is the one door: a thread that has entered a namespace never runs
// other goroutines again. What is opened inside a namespace stays in it, and
// can be used from any thread afterwards.
//
// A path can lead elsewhere from one moment to the next, when a process exits
// and another gets its number. [Open] therefore confirms the number of the
// namespace, and never opens a file that is none.
package netns

import (
	"errors"

	"github.com/seed-44df2ae6/whose"
)

// ErrGone says that a way into a namespace does not lead there any more: its
// process or its descriptor is gone, or the number is another's by now.
var ErrGone = errors.New("gone")

// ErrNoWay says that no file is known by which the namespace could be entered.
var ErrNoWay error = NoWay("no way in is known")

// A NoWay says why nothing leads into a namespace. It is [whose.ErrUnsupported]:
// the caller's way of asking cannot see what is in it.
type NoWay string

// Error is the reason.
func (e NoWay) Error() string { return string(e) }

// Is makes errors.Is(err, whose.ErrUnsupported) hold.
func (NoWay) Is(target error) bool { return target == whose.ErrUnsupported }
