package testenv

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
)

// MustRun reports whether a missing requirement fails a test rather than
// skipping it: with CI=true or WHOSE_MUST_RUN=1 in the environment.
func MustRun() bool {
	return os.Getenv("CI") == "true" || os.Getenv("WHOSE_MUST_RUN") == "1"
}

// Missing ends the test because it needs what is missing for the reason why:
// with a skip, or with a failure where MustRun says so.
func Missing(t testing.TB, what, why string) {
	t.Helper()
	if MustRun() {
		t.Fatalf("needs %s: %s (a requirement may not be missing here: CI or WHOSE_MUST_RUN is set)", what, why)
	}
	t.Skipf("skip: needs %s: %s", what, why)
}

// NeedRoot ends the test unless the effective user is root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if uid := os.Geteuid(); uid != 0 {
		Missing(t, "root", "the effective user is not 0")
	}
}

// NeedProgram ends the test unless all the programs are found in PATH. It
// returns the path of the first.
func NeedProgram(t testing.TB, names ...string) string {
	t.Helper()
	first := ""
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			Missing(t, "the program "+name, err.Error())
		}
		if first == "" {
			first = path
		}
	}
	return first
}

// NeedIP ends the test unless the program ip is that of iproute2: others of the
// name do less.
func NeedIP(t testing.TB) {
	t.Helper()
	program := NeedProgram(t, "ip")
	if version, err := exec.Command(program, "-V").CombinedOutput(); err != nil || !bytes.Contains(version, []byte("iproute2")) {
		Missing(t, "iproute2", "another program is called ip here")
	}
}

// WantProgram skips the test unless the program is found, and returns its path.
// It never fails: for a program that machines are rightly without, such as that
// of an agent whose package starts it.
func WantProgram(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("skip: needs the program %s: %v", name, err)
	}
	return path
}

// Lacks skips the test because this kernel was built, or its administrator
// chose, to go without what. It never fails: no machine can be made to have it.
func Lacks(t testing.TB, what, why string) {
	t.Helper()
	t.Skipf("skip: needs a kernel with %s: %s", what, why)
}
