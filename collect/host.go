package collect

import (
	"fmt"
	"os"

	"github.com/seed-44df2ae6/whose"
)

// kernelRelease returns the kernel's release, "" if it is unknown. It asks the
// kernel itself: /proc may show processes alone (mount option subset=pid).
func kernelRelease() string { return uname() }

// kernelHas reports whether a kernel of this release is of this version or newer.
// An unknown release is not.
func kernelHas(release string, major, minor int) bool {
	var ma, mi int
	if _, err := fmt.Sscanf(release, "%d.%d", &ma, &mi); err != nil {
		return false
	}
	return ma > major || ma == major && mi >= minor
}

// capabilities returns the relevant capabilities, and whether the caller holds
// them (CapEff of /proc/self/status; numbers from linux/capability.h).
func capabilities() []Capability {
	held := effectiveCapabilities()
	list := []struct {
		number uint
		Capability
	}{
		{capSysPtrace, Capability{Name: "CAP_SYS_PTRACE", For: "see the descriptors of other users' processes (netlink, procfs)"}},
		{2, Capability{Name: "CAP_DAC_READ_SEARCH", For: "list the descriptors of other users' processes (netlink, procfs)"}},
		{capSysAdmin, Capability{Name: "CAP_SYS_ADMIN", For: "enter other network namespaces (netlink, procfs)"}},
		{12, Capability{Name: "CAP_NET_ADMIN", For: "see marks (netlink)"}},
		{capBPF, Capability{Name: "CAP_BPF", For: "load programs (bpf, pin)"}},
		{capPerfmon, Capability{Name: "CAP_PERFMON", For: "load programs (bpf, pin)"}},
	}
	all := make([]Capability, len(list))
	for i, c := range list {
		c.Held = held>>c.number&1 != 0
		all[i] = c.Capability
	}
	return all
}

// Numbers of capabilities (linux/capability.h).
const capSysPtrace, capSysAdmin, capPerfmon, capBPF = 19, 21, 38, 39

// mayLoad reports whether the caller may load programs, as far as capabilities
// say it.
func mayLoad() bool {
	held := effectiveCapabilities()
	return held>>capSysAdmin&1 != 0 || held>>capBPF&1 != 0 && held>>capPerfmon&1 != 0
}

// mayTrace reports whether the caller may look into the processes of others.
func mayTrace() bool { return effectiveCapabilities()>>capSysPtrace&1 != 0 }

// mayEnter reports whether the caller may enter network namespaces, as far as
// capabilities say it.
func mayEnter() bool { return effectiveCapabilities()>>capSysAdmin&1 != 0 }

// caller describes this process for hints.
func caller(pinned bool) whose.Caller {
	held := effectiveCapabilities()
	return whose.Caller{
		Root: os.Geteuid() == 0, Pinned: pinned,
		Trace: held>>capSysPtrace&1 != 0, Enter: held>>capSysAdmin&1 != 0,
	}
}

// inInner reports whether the caller's namespace of the kind, "pid" or "user",
// is not the host's, which has the same number in every kernel
// (PROC_PID_INIT_INO and PROC_USER_INIT_INO of include/linux/proc_ns.h).
func inInner(kind string) bool {
	link, err := os.Readlink("/proc/self/ns/" + kind)
	host := map[string]string{"pid": "pid:[4026531836]", "user": "user:[4026531837]"}
	return err == nil && link != host[kind]
}
