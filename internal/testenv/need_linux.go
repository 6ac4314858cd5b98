package testenv

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Kernel returns the version of the running kernel.
func Kernel(t testing.TB) (major, minor int) {
	t.Helper()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatalf("uname: %v", err)
	}
	release := unix.ByteSliceToString(name.Release[:])
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		t.Fatalf("kernel release %q: %v", release, err)
	}
	return major, minor
}

// GuardsInit reports whether the kernel keeps process 1 from everybody, root
// among them. The one that was seen to do so runs no tracing program while that
// process is current, softirqs on top of it among that, and counts no miss: now
// and then, under load, it closes a batch of sockets so that nobody can tell how.
func GuardsInit() bool {
	_, err := os.Readlink("/proc/1/exe")
	return os.Geteuid() == 0 && errors.Is(err, fs.ErrPermission)
}

// NeedKernel skips the test where the kernel is older than major.minor; why
// says what came with that version.
func NeedKernel(t testing.TB, major, minor int, why string) {
	t.Helper()
	if ma, mi := Kernel(t); ma < major || ma == major && mi < minor {
		t.Skipf("skip: needs Linux %d.%d for %s: this is %d.%d", major, minor, why, ma, mi)
	}
}

// capNames names the capabilities that tests ask for.
var capNames = map[int]string{
	unix.CAP_CHOWN: "CAP_CHOWN", unix.CAP_KILL: "CAP_KILL", unix.CAP_SETUID: "CAP_SETUID", unix.CAP_SETGID: "CAP_SETGID",
	unix.CAP_NET_ADMIN: "CAP_NET_ADMIN", unix.CAP_NET_RAW: "CAP_NET_RAW", unix.CAP_SYS_ADMIN: "CAP_SYS_ADMIN",
	unix.CAP_SYS_PTRACE: "CAP_SYS_PTRACE", unix.CAP_SYS_RESOURCE: "CAP_SYS_RESOURCE",
	unix.CAP_PERFMON: "CAP_PERFMON", unix.CAP_BPF: "CAP_BPF", unix.CAP_DAC_READ_SEARCH: "CAP_DAC_READ_SEARCH",
}

// NeedCap ends the test unless all the capabilities (unix.CAP_…) are effective.
func NeedCap(t testing.TB, caps ...int) {
	t.Helper()
	effective, err := effectiveCaps()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range caps {
		if effective>>c&1 != 0 {
			continue
		}
		name := capNames[c]
		if name == "" {
			name = "capability " + strconv.Itoa(c)
		}
		Missing(t, name, "it is not effective")
	}
}

func effectiveCaps() (uint64, error) {
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
			return strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
		}
	}
	return 0, fmt.Errorf("/proc/thread-self/status: no line CapEff")
}

// NeedUserNS ends the test unless this user may make user namespaces.
func NeedUserNS(t testing.TB) {
	t.Helper()
	cmd := exec.Command(NeedProgram(t, "true"))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	if err := cmd.Run(); err != nil {
		Missing(t, "user namespaces", err.Error())
	}
}

// NeedBPFFS mounts a private BPF file system for the test and returns its
// directory. It is unmounted, with all that was pinned in it, when the test
// ends. It needs CAP_SYS_ADMIN.
func NeedBPFFS(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("bpf", dir, "bpf", 0, "mode=0755"); err != nil {
		Missing(t, "a mount of bpffs", err.Error())
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}
