//go:build linux

package main

import (
	"os"
	"os/exec"
	"testing"
)

// missing ends the test because it needs what is missing: with a skip, or with
// a failure where CI=true or WHOSE_MUST_RUN=1, as all tests of the project do.
func missing(t *testing.T, what string, why error) {
	t.Helper()
	if os.Getenv("CI") == "true" || os.Getenv("WHOSE_MUST_RUN") == "1" {
		t.Fatalf("needs %s: %v (a requirement may not be missing here: CI or WHOSE_MUST_RUN is set)", what, why)
	}
	t.Skipf("skip: needs %s: %v", what, why)
}

// needRoot is for what makes or enters network namespaces.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "root", os.ErrPermission)
	}
}

// needCompiler is for what is written in C.
func needCompiler(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("cc"); err != nil {
		missing(t, "a C compiler", err)
	}
}
