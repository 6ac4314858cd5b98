package track

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
)

// A refusal is a denied permission, with words that name it.
type refusal struct {
	says string
	err  error
}

func (r *refusal) Error() string { return r.says }
func (r *refusal) Unwrap() error { return r.err }

// Is reports true for [fs.ErrPermission], whatever the kernel's error.
func (r *refusal) Is(target error) bool { return target == fs.ErrPermission }

// loading are the capabilities needed to load and attach the programs.
// CAP_SYS_ADMIN stands for all of them.
var loading = []struct {
	number int
	name   string
}{{unix.CAP_BPF, "CAP_BPF"}, {unix.CAP_PERFMON, "CAP_PERFMON"}, {unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}}

// explainRefusal names the missing privilege after a failed load. Without
// CAP_PERFMON the kernel refuses some programs as invalid and others as not
// permitted, and chance decides which it tries first. The loading library
// guesses at a limit of locked memory, but no kernel that knows these programs
// counts it.
func explainRefusal(err error) error {
	if lacks := lacking(); lacks != nil {
		return whose.WithHint(&refusal{lacks.Error(), err}, "%s", whose.Hint(lacks))
	}
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	says, _, _ := strings.Cut(err.Error(), " (MEMLOCK")
	return whose.WithHint(&refusal{says, err}, "%s", whose.Hint(err))
}

// Refused returns an error with a hint that names the privilege missing for the
// source "bpf"; nil if none is missing. It loads nothing, so the kernel may
// still have reasons of its own.
func Refused() error { return lacking() }

// lacking names the privilege missing to load programs, nil for none.
func lacking() error {
	var missing []string
	if held, ok := capabilities(); ok && held>>unix.CAP_SYS_ADMIN&1 == 0 {
		for _, c := range loading {
			if held>>c.number&1 == 0 {
				missing = append(missing, c.name)
			}
		}
	}
	switch n := len(missing); {
	case n == 1:
		return whose.WithHint(errors.New(missing[0]+" is missing"), "run as root, or with this capability")
	case n > 1:
		says := strings.Join(missing[:n-1], ", ") + " and " + missing[n-1] + " are missing"
		return whose.WithHint(errors.New(says), "run as root, or with these capabilities")
	case inUserNamespace():
		return whose.WithHint(errors.New("the privileges of a user namespace load no programs"), "run it outside")
	}
	return nil
}

// capabilities returns the effective ones as bits.
func capabilities() (uint64, bool) {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&head, &data[0]) != nil {
		return 0, false
	}
	return uint64(data[1].Effective)<<32 | uint64(data[0].Effective), true
}

// firstUserNS is the first user namespace, with the same number on every host
// (PROC_USER_INIT_INO).
const firstUserNS = "user:[4026531837]"

func inUserNamespace() bool {
	link, err := os.Readlink("/proc/self/ns/user")
	return err == nil && link != firstUserNS
}
