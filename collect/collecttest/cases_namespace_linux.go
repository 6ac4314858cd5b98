package collecttest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

func namespaceCases() []Case {
	return []Case{
		{Name: "namespace of a descriptor", Rule: "a namespace in which no process is, held by a descriptor, is listed", Namespaces: true, hold: func(st *Stage) {
			st.onThread(func() {
				st.addElsewhere()
				fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
				st.check(err, "open the network namespace")
				st.keep = append(st.keep, fd)
			})
		}},
		{Name: "namespace of a socket", Rule: "a namespace in which no process is, held by a socket alone, is listed", Namespaces: true, bySocket: true, hold: func(st *Stage) {
			st.onThread(st.addElsewhere)
		}},
		{Name: "namespace of a mount", Rule: "a namespace in which no process is, held by a bind mount, is listed by its name",
			Namespaces: true, prepare: mountNetNS, hold: func(st *Stage) { st.onThread(st.addMounted) }, check: checkMounted},
		{Name: "time wait in an empty namespace", Rule: "a namespace without any process or open socket is listed with what is left in it",
			Namespaces: true, prepare: mountNetNS, hold: func(st *Stage) { st.onThread(st.addLeftovers) }},
	}
}

// netnsDir is the directory of the mounts of `ip netns`, which name the
// namespaces.
const netnsDir = "/run/netns"

// mountNetNS makes a namespace held by a bind mount and nothing else, and
// returns the path of the mount.
func mountNetNS(t testing.TB) string {
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		testenv.Missing(t, "a directory "+netnsDir, err.Error())
	}
	file, err := os.CreateTemp(netnsDir, "whose-test-")
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	path := file.Name()
	t.Cleanup(func() { os.Remove(path) })
	ns := testenv.NewNetNS(t)
	source := fmt.Sprintf("/proc/self/fd/%d", ns.FD())
	if err := unix.Mount(source, path, "", unix.MS_BIND, ""); err != nil {
		t.Fatalf("bind mount of a network namespace: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", path, err)
		}
	})
	ns.Close()
	runtime.KeepAlive(ns)
	return path
}

// enterMounted moves the thread into the prepared namespace.
func (st *Stage) enterMounted() uint32 {
	path := os.Getenv(envArg)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	st.check(err, "open "+path)
	defer unix.Close(fd)
	st.check(unix.Setns(fd, unix.CLONE_NEWNET), "enter "+path)
	netns, err := netnsOf(path)
	st.check(err, "stat "+path)
	return netns
}

func (st *Stage) addMounted() { st.addThere(st.enterMounted()) }

// addLeftovers leaves nothing but a TIME_WAIT in the namespace.
func (st *Stage) addLeftovers() {
	netns := st.enterMounted()
	p := st.pair("127.0.0.1:0", "")
	left := st.finish(p)
	left.NetNS = netns
	st.close(p.l)
	st.add("time wait", left)
}

// checkMounted wants the namespace's name, and to be able to choose by it.
func checkMounted(t *testing.T, c *caught) {
	name := filepath.Base(c.prepared)
	for _, s := range c.ours(c.sessions) {
		if s.NetNSName != name {
			t.Errorf("%v: the namespace's name is %q, want %q", s.Local, s.NetNSName, name)
		}
	}
	netns := c.Truths[0].NetNS
	for _, choice := range []string{name, strconv.FormatUint(uint64(netns), 10)} {
		opts := everything()
		opts.NetNS = choice
		sessions, _ := c.again(t, opts)
		if len(sessions) != len(c.Truths) {
			t.Errorf("namespace %q: %d sessions, want %d", choice, len(sessions), len(c.Truths))
		}
		if n := strangers(sessions, netns); n > 0 {
			t.Errorf("namespace %q: %d sessions of others", choice, n)
		}
	}
}

// strangers counts the sessions of other namespaces.
func strangers(sessions []whose.Session, netns uint32) int {
	n := 0
	for i := range sessions {
		if sessions[i].NetNS != netns {
			n++
		}
	}
	return n
}
