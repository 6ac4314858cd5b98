package collect_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// What need not be read is not read: shown by counting, not by time.

func workOf(t *testing.T, opts collect.Options) collect.Work {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	w, err := opened(t).WorkOf(ctx, &opts)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// walkers are the sources that read the links of descriptors.
func walkers() []string { return []string{collect.Netlink, collect.Procfs} }

func TestWork_FirstOwnerEndsTheWalk(t *testing.T) {
	netns := beforeOthers(t)
	for _, source := range walkers() {
		t.Run(source, func(t *testing.T) {
			opts := collect.Options{Source: source, NetNS: netns}
			whole := workOf(t, opts)
			opts.FirstOwner = true
			first := workOf(t, opts)
			t.Logf("%d links, with the first owner %d", whole.Links, first.Links)
			if whole.Early || !first.Early || first.Links > whole.Links-othersLinks/2 {
				t.Errorf("ended early %v after %d links, with the first owner %v after %d",
					whole.Early, whole.Links, first.Early, first.Links)
			}
			if first.Coverage.Owned != whole.Coverage.Owned || first.Sessions != whole.Sessions {
				t.Errorf("%d of %d sessions have an owner, want %d of %d",
					first.Coverage.Owned, first.Sessions, whole.Coverage.Owned, whole.Sessions)
			}
		})
	}
}

const (
	others      = 8
	othersLinks = others * 600
)

// beforeOthers starts a process in a namespace of its own, and others that
// hold many descriptors and have higher numbers.
func beforeOthers(t *testing.T) (netns string) {
	for range 3 { // numbers begin anew at times
		var first int
		netns, first = holding(t, 20)
		elsewhere := testenv.NewNetNS(t)
		ascending := true
		for range others {
			ascending = send(t, elsewhere, nil, errand{Hold: 300}).PID > first && ascending
		}
		if ascending {
			return netns
		}
	}
	t.Fatal("process ids do not ascend")
	return ""
}

func TestWork_OneProcess(t *testing.T) {
	netns, pid := holding(t, 20)
	elsewhere := testenv.NewNetNS(t)
	send(t, elsewhere, nil, errand{Hold: 2000})
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources() {
		t.Run(source, func(t *testing.T) {
			w := workOf(t, collect.Options{Source: source, NetNS: netns, Filter: mustParse(t, fmt.Sprint("pid ", pid))})
			if w.Sessions != held(20) || w.Coverage.Owned != w.Sessions {
				t.Errorf("%d sessions, %d owned, want %d", w.Sessions, w.Coverage.Owned, held(20))
			}
			if w.Coverage.Processes != 1 || w.Links > len(open) {
				t.Errorf("%d processes and %d links were read, want one process's %d", w.Coverage.Processes, w.Links, len(open))
			}
		})
	}
}

// TestWork_OneProcess_Namespaces asks for processes in namespaces of their own:
// no other namespace is read, but those that their sockets are in.
func TestWork_OneProcess_Namespaces(t *testing.T) {
	in, of, third := testenv.NewNetNS(t), testenv.NewNetNS(t), testenv.NewNetNS(t)
	send(t, third, nil, errand{Hold: 1})
	plain := send(t, in, nil, errand{Hold: 20}).PID
	mixed := withSocketOf(t, of, in, nil)
	for _, source := range walkers() {
		t.Run(source, func(t *testing.T) {
			for _, c := range []struct{ pid, sessions, namespaces int }{{plain, held(20), 1}, {mixed, 1, 2}} {
				w := workOf(t, collect.Options{Source: source, Filter: mustParse(t, fmt.Sprint("pid ", c.pid))})
				if w.Sessions != c.sessions || w.Coverage.Owned != c.sessions || w.Coverage.Namespaces != c.namespaces {
					t.Errorf("%d sessions, %d owned, %d namespaces read, want %d in %d",
						w.Sessions, w.Coverage.Owned, w.Coverage.Namespaces, c.sessions, c.namespaces)
				}
			}
		})
	}
}

// TestOneProcess_SocketsNotAsked has a user without rights ask for a process of
// his whose socket is in another namespace, which he may not ask the socket: all
// namespaces are read then.
func TestOneProcess_SocketsNotAsked(t *testing.T) {
	in, of := testenv.NewNetNS(t), testenv.NewNetNS(t)
	send(t, of, asNobody(), errand{}) // by whom the namespace may be read
	pid := withSocketOf(t, of, in, asNobody())
	a := send(t, in, asNobody(), errand{Asks: []ask{{Source: collect.Procfs, Filter: fmt.Sprint("pid ", pid)}}}).Answers[0]
	if a.Err != "" || len(a.within(of.Inode())) != 1 || len(a.Rows) != 1 {
		t.Errorf("rows %q, error %q, want the one in namespace %d", a.Rows, a.Err, of.Inode())
	}
}

// withSocketOf starts a process in one namespace that holds a listener of
// another and nothing else.
func withSocketOf(t *testing.T, of, in *testenv.NetNS, attr *syscall.SysProcAttr) (pid int) {
	t.Helper()
	var file *os.File
	var err error
	of.Do(func() {
		var l *net.TCPListener
		if l, err = net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}); err == nil {
			file, err = l.File()
			l.Close()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Dir, cmd.SysProcAttr, cmd.ExtraFiles = "/", attr, []*os.File{file}
	cmd.Env = append(os.Environ(), envHelper+"={}", "GORACE=atexit_sleep_ms=0")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	err = in.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("helper: %v", err)
		}
	})
	if _, err := bufio.NewReader(stdout).ReadBytes('\n'); err != nil {
		t.Fatalf("helper says nothing: %v", err)
	}
	return cmd.Process.Pid
}

func TestWork_BareSocketsReadNoDescriptors(t *testing.T) {
	netns, _ := holding(t, 20)
	for _, source := range walkers() {
		w := workOf(t, collect.Options{Source: source, NetNS: netns, Needs: whose.NeedSessions})
		if w.Links != 0 || w.Processes != 0 || w.Sessions != held(20) {
			t.Errorf("%s: %d links of %d processes for %d sessions, want none for %d", source, w.Links, w.Processes, w.Sessions, held(20))
		}
	}
}

func TestWork_ListenersAlone(t *testing.T) {
	netns, _ := holding(t, 200)
	for name, opts := range ways(t) {
		opts.NetNS, opts.States = netns, whose.SetOf(whose.Listen)
		if w := workOf(t, opts); w.Sessions != 2 || w.Sockets[whose.Listen] != 2 || len(w.Sockets) != 1 {
			t.Errorf("%s: %d sessions out of sockets %v, want the two listeners and no other socket", name, w.Sessions, w.Sockets)
		}
	}
}

// TestWork_EndsAreAppliedByTheKernel asks for one port of many.
func TestWork_EndsAreAppliedByTheKernel(t *testing.T) {
	netns, _ := holding(t, 500)
	port := 0
	for _, s := range gather(t, opened(t), collect.Options{Source: collect.Netlink, NetNS: netns, States: whose.SetOf(whose.Established)}) {
		if s.Proto == whose.TCP && s.Direction == whose.Out {
			port = int(s.Local.Port())
		}
	}
	for _, source := range sources() {
		opts := collect.Options{Source: source, NetNS: netns, Filter: mustParse(t, fmt.Sprint(":", port))}
		if w := workOf(t, opts); w.Sessions != 2 || w.Sockets[whose.Established] > 4 {
			t.Errorf("%s: %d sessions out of sockets %v, want two of few", source, w.Sessions, w.Sockets)
		}
	}
}

// A veiled source has a socket whose owner is hidden, in a control group.
type veiled struct {
	source.Source
	group *uint64
}

func (veiled) Name() string { return collect.BPF }
func (veiled) Close() error { return nil }
func (veiled) Capabilities() source.Capabilities {
	return source.Capabilities{FindsHolders: true, FindsSockets: true}
}
func (v veiled) Read(_ context.Context, _ *source.Query, snap *source.Snapshot) error {
	s := source.Socket{Inode: 7, Flags: source.SocketFile, Cgroup: *v.group}
	s.Proto, s.Family, s.State = whose.TCP, whose.IPv4, whose.Listen
	snap.Sockets = append(snap.Sockets, s)
	snap.Gaps.Add(source.OutsidePIDNS)
	return nil
}

// TestWork_ControlGroups reads the control groups of the host only where the answer
// has the unit of a socket, or the filter asks for it.
func TestWork_ControlGroups(t *testing.T) {
	c := collect.OpenWith(veiled{group: new(uint64)})
	defer c.Close()
	for _, test := range []struct {
		fields, filter string
		want           bool
	}{
		{"local_port pid reason", "", false}, {"socket_unit", "", true}, {"socket_container", "", true}, {"", "", true},
		{"local_port", "not socket_unit x.service", true}, {"local_port pid unit", "reason hidden", false},
	} {
		opts := collect.Options{Source: collect.BPF}
		for name := range strings.FieldsSeq(test.fields) {
			f := whose.FieldByName(name)
			opts.Needs |= f.Needs
		}
		if test.fields != "" {
			opts.Needs |= whose.NeedSessions
		}
		if test.filter != "" {
			opts.Filter = mustParse(t, test.filter)
		}
		w, err := c.WorkOf(t.Context(), &opts)
		if err != nil || w.Sessions != 1 || w.Coverage.Ownerless[whose.ReasonHidden] != 1 || w.Grouped != test.want {
			t.Errorf("fields %q, filter %q: %d sessions, control groups read %v, want %v, error %v",
				test.fields, test.filter, w.Sessions, w.Grouped, test.want, err)
		}
	}
}

// TestWork_ControlGroups_Kept reads the control groups again for a socket of one that
// was not among those read before, and not with each collection.
func TestWork_ControlGroups_Kept(t *testing.T) {
	var root syscall.Stat_t
	if err := syscall.Stat(controlGroups(t), &root); err != nil {
		t.Fatal(err)
	}
	group := root.Ino
	c := collect.OpenWith(veiled{group: &group})
	defer c.Close()
	pass := func() time.Time {
		t.Helper()
		w, err := c.WorkOf(t.Context(), &collect.Options{Source: collect.BPF})
		if err != nil || !w.Grouped {
			t.Fatalf("control groups read: %v, error %v", w.Grouped, err)
		}
		return w.GroupsRead
	}
	first := pass()
	if pass() != first {
		t.Error("the control groups are read again for a group that is known")
	}
	group = 0
	if pass() != first {
		t.Error("the control groups are read again for a socket of none")
	}
	group = 1<<63 + 5
	if pass() == first {
		t.Error("the control groups are not read again for an unknown one")
	}
}

// controlGroups returns the place where the control groups (v2) are.
func controlGroups(t *testing.T) string {
	t.Helper()
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var fs syscall.Statfs_t
		if syscall.Statfs(dir, &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC {
			return dir
		}
	}
	testenv.Missing(t, "control groups (v2)", "none are mounted")
	return ""
}
