//go:build !linux

package limits

import (
	"time"

	"github.com/seed-44df2ae6/whose"
)

// Tight returns no limit: this system has nothing to collect.
func Tight() (Limit, bool) { return Limit{}, false }

// Began returns now.
func Began() time.Time { return time.Now() }

// Run fails with [whose.ErrUnsupported].
func (Limit) Run(time.Time, time.Duration, int) ([]byte, error) {
	return nil, whose.ErrUnsupported
}
