package collect_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

const (
	nobody     = 65534
	someGroup  = 54321
	otherGroup = 54322
)

// asNobody is the way to start a process of an ordinary user, who is in the
// groups.
func asNobody(groups ...uint32) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody, Groups: groups}}
}

// TestUnprivileged asks as an ordinary user, without a pin: his own sessions
// have their owner, those of others are hidden, and that is said.
func TestUnprivileged(t *testing.T) {
	ns := testenv.NewNetNS(t)
	const mine, roots = 6, 4
	root := send(t, ns, nil, errand{Hold: roots})
	unpinned := t.TempDir() + "/none"
	said := send(t, ns, asNobody(), errand{Hold: mine, Asks: []ask{
		{PinDir: unpinned}, {Source: collect.Netlink}, {Source: collect.Procfs}, {Source: collect.BPF, PinDir: unpinned}}})
	for _, a := range said.Answers[:3] {
		t.Run(a.Coverage.Source, func(t *testing.T) {
			if a.Err != "" {
				t.Fatalf("it is an error: %s", a.Err)
			}
			rows := a.within(ns.Inode())
			if want := held(mine) + held(roots); len(rows) != want {
				t.Errorf("%d sessions, want %d", len(rows), want)
			}
			own, hidden := 0, 0
			for _, row := range rows {
				switch {
				case strings.Contains(row, fmt.Sprintf(" owner pid=%d ", said.PID)):
					own++
				case strings.Contains(row, " reason=hidden ") && !strings.Contains(row, " owner "):
					hidden++
				default:
					t.Errorf("neither one's own nor hidden: %s", row)
				}
				if strings.Contains(row, fmt.Sprintf("pid=%d ", root.PID)) {
					t.Errorf("it names who may not be looked into: %s", row)
				}
			}
			if own != held(mine) || hidden != held(roots) {
				t.Errorf("%d own and %d hidden, want %d and %d", own, hidden, held(mine), held(roots))
			}
			if a.gap(whose.GapProcesses) == "" {
				t.Errorf("no gap of processes in %v", a.Coverage.Gaps)
			}
		})
	}
	if auto := said.Answers[0].Coverage; auto.Source != collect.Netlink || auto.Pinned {
		t.Errorf("auto took %s, pinned %v, want netlink", auto.Source, auto.Pinned)
	}
	if refused := said.Answers[3].Err; !strings.Contains(refused, "source bpf") || !strings.Contains(refused, "permission denied") {
		t.Errorf("source bpf: error %q, want that it is not permitted", refused)
	}
}

// held is how many sessions an errand to hold n connections makes.
func held(n int) int { return 2*n + 2 + 2 }

// reachable lets everybody search the test's own directories above path.
func reachable(t *testing.T, path string) {
	t.Helper()
	for d := filepath.Dir(path); strings.HasPrefix(d, os.TempDir()+"/"); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// TestUnprivileged_Pin asks as an ordinary user in the group that may read the
// pin, and wants just what root gets; who is not in it gets what he would get
// without a pin.
func TestUnprivileged_Pin(t *testing.T) {
	for _, mode := range []fs.FileMode{0, 0o440, 0o640} {
		t.Run(fmt.Sprintf("mode %o", mode), func(t *testing.T) {
			dir := pin(t, collect.PinOptions{GID: someGroup, Mode: mode, Traverse: true})
			reachable(t, filepath.Dir(dir))
			ns := testenv.NewNetNS(t)
			send(t, ns, nil, errand{Hold: 10, Queue: 2, Heirs: []string{"heir"}})
			// A dump makes all cookies, so that nobody makes one between two answers.
			send(t, ns, nil, errand{Asks: []ask{{Source: collect.Netlink, States: whose.AllStates}}})
			asks := []ask{{PinDir: dir}, {PinDir: dir, Source: collect.BPF, States: whose.AllStates}}
			here := [2]told{send(t, ns, nil, errand{Asks: asks}), send(t, ns, asNobody(otherGroup, someGroup), errand{Asks: asks})}
			outside := [2]told{send(t, nil, nil, errand{Asks: asks}), send(t, nil, asNobody(otherGroup, someGroup), errand{Asks: asks})}
			for i := range 2 * len(asks) {
				pair := append(here[:], outside[:]...)[i/2*2:]
				want, got := pair[0].Answers[i%2], pair[1].Answers[i%2]
				if i/2 > 0 {
					// What a process in it would name a namespace by, is told to
					// those alone who may look into the process.
					unnamed(want.Rows)
					unnamed(got.Rows)
				}
				if got.Err != "" || want.Err != "" || !got.Coverage.Pinned || got.Coverage.Source != collect.BPF {
					t.Fatalf("by %s, pinned %v, errors %q and %q", got.Coverage.Source, got.Coverage.Pinned, want.Err, got.Err)
				}
				if rows := want.within(ns.Inode()); len(rows) < 20 {
					t.Errorf("root gets %d rows, want more", len(rows))
				}
				if diff := cmp.Diff(want.within(ns.Inode()), got.within(ns.Inode())); diff != "" {
					t.Errorf("rows of root and member differ (-root +member):\n%s", diff)
				}
				for _, g := range got.Coverage.Gaps {
					if !slices.ContainsFunc(want.Coverage.Gaps, func(o whose.Gap) bool { return o.Same(g) && o.Count == g.Count }) {
						t.Errorf("a gap that root has not: %v", g)
					}
				}
			}
			stranger := send(t, ns, asNobody(otherGroup), errand{Asks: asks})
			if a := stranger.Answers[0]; a.Err != "" || a.Coverage.Pinned || a.Coverage.Source != collect.Netlink || a.gap(whose.GapProcesses) == "" {
				t.Errorf("who is not in the group: by %s, pinned %v, error %q, gaps %v", a.Coverage.Source, a.Coverage.Pinned, a.Err, a.Coverage.Gaps)
			}
			if a := stranger.Answers[1]; !strings.Contains(a.Err, "permi") || len(a.Rows) > 0 {
				t.Errorf("who is not in the group asks by bpf: %d rows and error %q", len(a.Rows), a.Err)
			}
		})
	}
}

// unnamed removes the names of namespaces.
func unnamed(rows []string) {
	for i, row := range rows {
		rows[i] = netnsName.ReplaceAllString(row, "")
	}
}

var netnsName = regexp.MustCompile(`netns_name=[^=]* `)

// TestUserNamespace asks from a user, network and pid namespace of its own,
// which no privilege outside goes with.
func TestUserNamespace(t *testing.T) {
	testenv.NeedUserNS(t)
	testenv.NeedProgram(t, "ip")
	uid, gid := os.Geteuid(), os.Getegid() // the only ones that an ordinary user may map
	if uid == 0 {
		uid, gid = nobody, nobody
	}
	for _, mounted := range []bool{false, true} {
		t.Run(fmt.Sprintf("own procfs %v", mounted), func(t *testing.T) {
			attr := &syscall.SysProcAttr{
				Credential:  &syscall.Credential{NoSetGroups: true}, // root in there
				Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID,
				UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}},
			}
			if mounted {
				attr.Cloneflags |= syscall.CLONE_NEWNS
			}
			const mine = 6
			none := t.TempDir() + "/none"
			said := send(t, nil, attr, errand{Loopback: true, MountProc: mounted, Hold: mine, Asks: []ask{
				{PinDir: none}, {Source: collect.Netlink}, {Source: collect.Procfs}, {NetNS: "self", PinDir: none}}})
			number := said.PID
			if mounted {
				number = 1
			}
			for _, a := range said.Answers {
				own := slices.DeleteFunc(a.Rows, func(row string) bool {
					return !strings.Contains(row, fmt.Sprintf(" owner pid=%d ", number))
				})
				if a.Err != "" || len(own) != held(mine) {
					t.Errorf("by %s: %d own sessions, want %d; error %q, gaps %v", a.Coverage.Source, len(own), held(mine), a.Err, a.Coverage.Gaps)
				}
				// With the host's procfs there are processes that may not be
				// looked into; with its own it sees nobody else at all.
				if hidden := a.gap(whose.GapProcesses); (hidden == "") != mounted {
					t.Errorf("by %s: gap of processes %q", a.Coverage.Source, hidden)
				}
			}
		})
	}
}

// TestUserNamespace_Refused sees mounts of namespaces that belong to others, of
// which one may be reached: that none may be entered is told, in one gap.
func TestUserNamespace_Refused(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedUserNS(t)
	reached, closed := mountNetNS(t), mountNetNS(t)
	reachable(t, reached.point)
	if err := os.Chmod(filepath.Dir(closed.point), 0o700); err != nil {
		t.Fatal(err)
	}
	attr := &syscall.SysProcAttr{
		Credential:  &syscall.Credential{NoSetGroups: true},
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: nobody, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: nobody, Size: 1}},
	}
	for _, source := range []string{collect.Netlink, collect.Procfs} {
		said := send(t, nil, attr, errand{Loopback: true, MountProc: true, Asks: []ask{
			{Source: source}, {Source: source, NetNS: fmt.Sprint(closed.inode)}, {Source: source, NetNS: fmt.Sprint(reached.inode)}}})
		gaps := said.Answers[0].Coverage.Gaps
		if len(gaps) != 1 || gaps[0].Kind != whose.GapNamespaces || gaps[0].Cause != whose.CausePermission || gaps[0].Count < 2 {
			t.Errorf("by %s: gaps %v, want all namespaces in one", source, gaps)
		}
		if a := said.Answers[1]; a.Err != "" || len(a.Rows) > 0 || a.gap(whose.GapNamespaces) == "" {
			t.Errorf("by %s, of the closed one: %d sessions, error %q, gaps %v; want only a gap", source, len(a.Rows), a.Err, a.Coverage.Gaps)
		}
		if a := said.Answers[2]; len(a.Rows) > 0 || a.Err == "" && a.gap(whose.GapNamespaces) == "" {
			t.Errorf("by %s, of the other: %d sessions, error %q, gaps %v; want to know that it is refused", source, len(a.Rows), a.Err, a.Coverage.Gaps)
		}
	}
}

// A mountedNetNS is a network namespace that only a mount holds.
type mountedNetNS struct {
	inode uint32
	point string
}

func mountNetNS(t *testing.T) mountedNetNS {
	t.Helper()
	ns := testenv.NewNetNS(t)
	held := mountedNetNS{ns.Inode(), filepath.Join(t.TempDir(), "held")}
	err := os.WriteFile(held.point, nil, 0o644)
	if err == nil {
		err = unix.Mount(ns.Path(), held.point, "", unix.MS_BIND, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(held.point, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ns.Close()
	return held
}
