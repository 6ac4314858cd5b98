package source

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"github.com/seed-44df2ae6/whose"
)

// GapOf returns the gap of things of a kind that err kept from being seen: 0
// where nobody can know how many. Its cause is that of err, so that no caller
// chooses one by hand.
func GapOf(kind whose.GapKind, count int, err error) whose.Gap {
	g := whose.Gap{Kind: kind, Cause: causeOf(err), Count: count, Hint: whose.Hint(err)}
	switch {
	case g.Cause == whose.CauseLimit:
		g.Detail = "too many open files"
	case g.Cause == whose.CauseDeadline, g.Cause == whose.CausePermission && countable(kind):
		// The cause says all, and those refused in different calls are counted as one.
	default:
		g.Detail = err.Error()
	}
	return g
}

// countable reports whether things of the kind are counted when they are refused.
func countable(kind whose.GapKind) bool {
	return kind == whose.GapProcesses || kind == whose.GapNamespaces
}

// causeOf returns the kind of reason that an error is.
func causeOf(err error) whose.Cause {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return whose.CauseDeadline
	case errors.Is(err, whose.ErrUnsupported), errors.Is(err, errors.ErrUnsupported):
		return whose.CauseUnsupported
	case errors.Is(err, fs.ErrPermission):
		return whose.CausePermission
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return whose.CauseLimit
	}
	return whose.CauseFailed
}

// OutsidePIDNS is the gap of processes that are in another pid namespace than
// the caller: they have no number here.
var OutsidePIDNS = whose.Gap{
	Kind: whose.GapProcesses, Cause: whose.CauseUnsupported,
	Detail: "outside this pid namespace", Hint: "run in the host's pid namespace",
}
