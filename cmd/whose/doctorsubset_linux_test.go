package main

import (
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestDoctor_Subset wants doctor to name the kernel, and no number of open files,
// where /proc shows processes alone.
func TestDoctor_Subset(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedProgram(t, "unshare")
	testenv.NeedKernel(t, 5, 8, "procfs has subset=pid")
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	out, said, code := runs(t, exec.Command("unshare", "-m", "sh", "-c", `mount -t proc -o subset=pid none /proc && exec whose doctor`))
	if code != 0 || !strings.Contains(out, "Linux "+unix.ByteSliceToString(u.Release[:])+",") || strings.Contains(out, " 0 open files") {
		t.Errorf("status %d; got %s; it said %s", code, out, said)
	}
}
