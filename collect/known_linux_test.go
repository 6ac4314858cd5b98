package collect_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// A collector that is kept open reads the files of new processes alone: shown by
// counting processes, not by time. A process that changes is read again, and nothing
// of its past is shown.

// allFacts are the facts that are read under /proc, and the owners.
const allFacts = whose.NeedOwners | whose.NeedCmdline | whose.NeedExe | whose.NeedCreds | whose.NeedCgroup

// marking are the ways that say whether a process is as it was.
func marking(t *testing.T) map[string]collect.Options {
	testenv.NeedKernel(t, 6, 2, "bpf_rdonly_cast")
	all := ways(t)
	return map[string]collect.Options{"pinned": all["pinned"], collect.BPF: all[collect.BPF]}
}

func TestKept_ReadsNewProcesses(t *testing.T) {
	for name, opts := range marking(t) {
		t.Run(name, func(t *testing.T) {
			ns := testenv.NewNetNS(t)
			opts.NetNS, opts.Needs = fmt.Sprint(ns.Inode()), allFacts
			c := opened(t)
			described := func() int {
				t.Helper()
				w, err := c.WorkOf(context.Background(), &opts)
				if err != nil {
					t.Fatal(err)
				}
				return w.Described
			}
			send(t, ns, nil, errand{Hold: 3, Heirs: []string{"one", "two"}})
			if n := described(); n != 3 {
				t.Errorf("the first pass reads of %d processes, want 3", n)
			}
			for range 3 {
				if n := described(); n != 0 {
					t.Errorf("a pass over known processes reads of %d", n)
				}
			}
			send(t, ns, nil, errand{Hold: 1})
			if n := described(); n != 1 {
				t.Errorf("after one more has come, %d are read, want it alone", n)
			}
		})
	}
}

// TestKept_Changes has a process execute another program of the same name, take
// another user and another name. It stays the same process with the
// same socket.
func TestKept_Changes(t *testing.T) {
	testenv.NeedProgram(t, "setpriv")
	for name, opts := range marking(t) {
		t.Run(name, func(t *testing.T) {
			p := startShell(t)
			opts.Filter, opts.Needs = mustParse(t, fmt.Sprint(":", p.port)), allFacts
			c := opened(t)
			owner := func() whose.Process {
				t.Helper()
				for _, s := range gather(t, c, opts) {
					for _, o := range s.Owners {
						if int(o.PID) == p.pid {
							return *o.Process
						}
					}
				}
				t.Fatal("the process is no owner of the socket")
				return whose.Process{}
			}
			for _, step := range []string{"first", "second", "third"} {
				p.await(t, step)
				want := p.facts(t)
				for range 2 {
					got := owner()
					if got.Cmdline != want.Cmdline || got.UID != want.UID || got.Comm != want.Comm {
						t.Errorf("%s: %q, user %d, name %q, want %q, %d, %q",
							step, got.Cmdline, got.UID, got.Comm, want.Cmdline, want.UID, want.Comm)
					}
				}
				io.WriteString(p.stdin, "\n")
			}
			p.awaitName(t, "renamed")
			if got := owner(); got.Comm != "renamed" || got.Cmdline != p.facts(t).Cmdline {
				t.Errorf("renamed: name %q, command line %q", got.Comm, got.Cmdline)
			}
		})
	}
}

// A shell is a process with a listener that executes other programs when a line is
// written to it.
type shell struct {
	pid, port int
	stdin     io.Writer
}

// startShell starts one. Its second program differs in the command line alone, and
// its third runs as another user.
func startShell(t *testing.T) *shell {
	t.Helper()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	third := `: third; read x; printf renamed > /proc/$$/comm; read x`
	second := `: second; read x; exec setpriv --reuid 65534 --clear-groups sh -c '` + third + `'`
	cmd := exec.Command("sh", "-c", `: first; read x; exec sh -c "$0"`, second)
	cmd.ExtraFiles = []*os.File{file}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := testenv.Start(t, cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return &shell{cmd.Process.Pid, l.Addr().(*net.TCPAddr).Port, stdin}
}

// await waits until the shell has come to a step.
func (p *shell) await(t *testing.T, step string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
		if err == nil && bytes.HasPrefix(line, []byte("sh\x00-c\x00: "+step)) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the shell does not come to its step %q: %q, %v", step, line, err)
		}
	}
}

// awaitName waits until the shell has the name.
func (p *shell) awaitName(t *testing.T, name string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.pid))
		if err == nil && string(comm) == name+"\n" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the shell does not take the name %q: %q, %v", name, comm, err)
		}
	}
}

// facts returns the facts of the shell as another collector reads them.
func (p *shell) facts(t *testing.T) whose.Process {
	t.Helper()
	opts := collect.Options{Source: collect.Netlink, Filter: mustParse(t, fmt.Sprint("pid ", p.pid)), Needs: allFacts}
	for _, s := range gather(t, opened(t), opts) {
		for _, o := range s.Owners {
			return *o.Process
		}
	}
	t.Fatal("netlink does not find the process")
	return whose.Process{}
}
