//go:build !linux

package collecttest

import (
	"os"
	"testing"
)

// Main runs the tests of a package.
func Main(m *testing.M) { os.Exit(m.Run()) }

// Help does nothing: helper processes need Linux.
func Help() {}

// Run needs Linux.
func Run(t *testing.T, source string, open func(t *testing.T) Subject) { t.Skip("skip: needs Linux") }

// Agree needs Linux.
func Agree(t *testing.T, sources map[string]Subject) { t.Skip("skip: needs Linux") }

// Churn needs Linux.
func Churn(t *testing.T, source string, open func(t *testing.T) Subject) { t.Skip("skip: needs Linux") }
