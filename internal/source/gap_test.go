package source_test

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// The cause of a gap is that of the error, however deep it is wrapped.
func TestGapOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want whose.Gap
	}{
		{syscall.EPERM, whose.Gap{Cause: whose.CausePermission}},
		{syscall.EACCES, whose.Gap{Cause: whose.CausePermission}},
		{syscall.EMFILE, whose.Gap{Cause: whose.CauseLimit, Detail: "too many open files"}},
		{syscall.ENFILE, whose.Gap{Cause: whose.CauseLimit, Detail: "too many open files"}},
		{context.DeadlineExceeded, whose.Gap{Cause: whose.CauseDeadline}},
		{syscall.EOPNOTSUPP, whose.Gap{Cause: whose.CauseUnsupported, Detail: "open: operation not supported"}},
		{&whose.UnsupportedError{What: "x", Err: syscall.EPERM}, whose.Gap{Cause: whose.CauseUnsupported, Detail: "open: x not supported: operation not permitted"}},
		{whose.WithHint(errors.New("broken"), "mend it"), whose.Gap{Cause: whose.CauseFailed, Detail: "open: broken", Hint: "mend it"}},
	} {
		c.want.Kind, c.want.Count = whose.GapNamespaces, 3
		if got := source.GapOf(whose.GapNamespaces, 3, fmt.Errorf("open: %w", c.err)); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.err, got, c.want)
		}
	}
	if got := source.GapOf(whose.GapSockets, 0, fmt.Errorf("tcp: %w", syscall.EPERM)); got.Detail != "tcp: operation not permitted" {
		t.Errorf("%+v does not say which sockets", got)
	}
}
