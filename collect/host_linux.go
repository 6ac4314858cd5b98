package collect

import (
	"syscall"
	"unsafe"
)

// uname returns the release of the running kernel, "" if the kernel does not say.
func uname() string {
	var u syscall.Utsname
	if syscall.Uname(&u) != nil {
		return ""
	}
	var release []byte
	for _, c := range u.Release {
		if c == 0 {
			break
		}
		release = append(release, byte(c))
	}
	return string(release)
}

// runningProcesses returns the number of processes, 0 if it is unknown. The kernel
// counts them among the links of /proc, beside a dozen directories.
func runningProcesses() int {
	var st syscall.Stat_t
	if syscall.Stat("/proc", &st) != nil {
		return 0
	}
	return int(st.Nlink)
}

// effectiveCapabilities returns those of the caller, a bit each; none if the kernel
// does not say.
func effectiveCapabilities() uint64 {
	const version3 = 0x20080522
	head := struct {
		version uint32
		pid     int32
	}{version: version3}
	var sets [2]struct{ effective, permitted, inheritable uint32 }
	_, _, errno := syscall.RawSyscall(syscall.SYS_CAPGET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&sets)), 0)
	if errno != 0 {
		return 0
	}
	return uint64(sets[1].effective)<<32 | uint64(sets[0].effective)
}
