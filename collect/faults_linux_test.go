package collect_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestFaults_TooManyOpenFiles asks in processes that can open few files or
// none: the answer is whole, or it says what is missing and why, or there is a
// clear error.
func TestFaults_TooManyOpenFiles(t *testing.T) {
	ns := testenv.NewNetNS(t)
	send(t, ns, nil, errand{Hold: 10})
	netns := fmt.Sprint(ns.Inode())
	none := t.TempDir() + "/none"
	outcomes := make(map[string]int)
	for _, spare := range []int{1, 2, 3, 4, 6, 8, 12, 20, 40} {
		for _, source := range append(sources(), collect.Auto) {
			said := send(t, ns, nil, errand{NoFile: 100, Spare: spare, Asks: []ask{{Source: source, NetNS: netns, PinDir: none}}})
			a := said.Answers[0]
			const why = "too many open files"
			switch gaps := fmt.Sprint(a.Coverage.Gaps); {
			case a.Err != "" && strings.Contains(a.Err, why):
				outcomes["error"]++
			case a.Err != "":
				t.Errorf("%s with %d files left: error %q, want %s", source, spare, a.Err, why)
			case strings.Contains(gaps, why):
				outcomes["partial"]++
			case len(a.within(ns.Inode())) != held(10) || a.Coverage.Owned != held(10):
				t.Errorf("%s with %d files left: %d sessions, %d owned, want %d; gaps %s",
					source, spare, len(a.Rows), a.Coverage.Owned, held(10), gaps)
			default:
				outcomes["whole"]++
			}
		}
	}
	t.Logf("%v", outcomes)
	if outcomes["error"] == 0 || outcomes["whole"] == 0 {
		t.Errorf("outcomes %v, want errors and whole answers: files did not run out, or for ever", outcomes)
	}
}

// pinNames returns the names under which iterators are pinned.
func pinNames(t *testing.T) []string {
	entries, err := os.ReadDir(pin(t, collect.PinOptions{GID: -1}))
	if err != nil || len(entries) == 0 {
		t.Fatalf("pinned files: %v, %v", entries, err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestFaults_ForeignPin finds in the place of the pin what somebody else put
// there. Auto goes on to another source; who asks for bpf and may not load it
// gets an error that tells.
func TestFaults_ForeignPin(t *testing.T) {
	names := pinNames(t)
	each := func(dir string, do func(path string) error) error {
		var errs []error
		for _, name := range names {
			errs = append(errs, do(filepath.Join(dir, name)))
		}
		return errors.Join(errs...)
	}
	inBPFFS := testenv.NeedBPFFS(t)
	for name, c := range map[string]struct {
		dir  string
		make func(dir string) error
		want string // in the error, for who asks for bpf
	}{
		"nothing":         {want: "no such file", make: func(string) error { return nil }},
		"a relative path": {dir: "here", want: "no such file", make: func(string) error { return nil }},
		"an empty directory": {want: "no such file", make: func(dir string) error {
			return os.Mkdir(dir, 0o755)
		}},
		"a file for a directory": {want: "not a directory", make: func(dir string) error {
			return os.WriteFile(dir, nil, 0o644)
		}},
		"text files": {want: "not on a bpffs", make: func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o755), each(dir, func(path string) error {
				return os.WriteFile(path, []byte(strings.Repeat("no records\n", 1<<17)), 0o644)
			}))
		}},
		"links": {dir: inBPFFS + "/links", want: "symbolic links", make: func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o755), each(dir, func(path string) error { return os.Symlink("/dev/zero", path) }))
		}},
		"devices": {want: "not on a bpffs", make: func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o755), each(dir, func(path string) error {
				return unix.Mknod(path, unix.S_IFCHR|0o444, int(unix.Mkdev(1, 5)))
			}))
		}},
		"pipes": {want: "not on a bpffs", make: func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o755), each(dir, func(path string) error { return unix.Mkfifo(path, 0o644) }))
		}},
		"directories in a bpffs": {dir: inBPFFS + "/directories", want: "directory", make: func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o755), each(dir, func(path string) error { return os.Mkdir(path, 0o755) }))
		}},
		"another version": {dir: inBPFFS + "/version", want: "version 99", make: func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o755), each(dir, func(path string) error {
				name, _, _ := strings.Cut(path, "_v")
				return os.Mkdir(name+"_v99", 0o755)
			}))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.dir == "" {
				c.dir = t.TempDir() + "/whose"
			}
			reachable(t, c.dir)
			if err := c.make(c.dir); err != nil {
				t.Fatal(err)
			}
			_, coverage := gatherAll(t, opened(t), collect.Options{PinDir: c.dir})
			if coverage.Pinned || coverage.Source == "" {
				t.Errorf("auto: by %s, pinned %v", coverage.Source, coverage.Pinned)
			}
			said := send(t, nil, asNobody(), errand{Asks: []ask{{PinDir: c.dir}, {PinDir: c.dir, Source: collect.BPF}}})
			if a := said.Answers[0]; a.Err != "" || a.Coverage.Source != collect.Netlink {
				t.Errorf("auto, as nobody: by %s, error %q", a.Coverage.Source, a.Err)
			}
			a := said.Answers[1]
			if c.want == "no such file" {
				c.want = "permi" // not permitted, permission denied: nothing is pinned, so that it could only be loaded
			}
			if !strings.Contains(a.Err, c.want) || len(a.Err) > 1000 {
				t.Errorf("bpf, as nobody: error %.1000q, want it to say %q", a.Err, c.want)
			}
			if status, err := collect.InspectPin(c.dir); err == nil && status.Works == nil {
				t.Errorf("what is there is said to work: %+v", status)
			}
		})
	}
}

// TestFaults_NamespacesComeAndGo collects while namespaces are made, used and
// left.
func TestFaults_NamespacesComeAndGo(t *testing.T) {
	testenv.NeedCap(t, unix.CAP_SYS_ADMIN)
	for name, opts := range ways(t) {
		t.Run(name, func(t *testing.T) {
			netns, pid := holding(t, 5)
			stop := make(chan struct{})
			made := make(chan int)
			for range 2 {
				go func() {
					n := 0
					for {
						select {
						case <-stop:
							made <- n
							return
						default:
						}
						passingNamespace()
						n++
					}
				}()
			}
			c := opened(t)
			for range 40 {
				sessions := gather(t, c, opts)
				ours := slices.DeleteFunc(sessions, func(s whose.Session) bool { return fmt.Sprint(s.NetNS) != netns })
				if len(ours) != held(5) {
					t.Errorf("%d of the standing sessions, want %d", len(ours), held(5))
				}
				for i := range ours {
					if len(ours[i].Owners) != 1 || ours[i].Owners[0].PID != uint32(pid) {
						t.Errorf("owned by others than %d: %s", pid, rowOf(&ours[i]))
					}
				}
				if t.Failed() {
					break
				}
			}
			close(stop)
			if n := <-made + <-made; n < 10 {
				t.Errorf("only %d namespaces came and went", n)
			}
		})
	}
}

// passingNamespace makes a namespace, opens sockets in it, and leaves it.
func passingNamespace() {
	_ = testenv.OnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		if l, err := net.Listen("tcp", "0.0.0.0:0"); err == nil {
			defer l.Close()
		}
		return nil
	})
}

// TestFaults_ProcessesExecute collects while a process that holds a listener
// executes programs, and while children that inherited one come and go.
func TestFaults_ProcessesExecute(t *testing.T) {
	for what, e := range map[string]errand{"executing": {Exec: true}, "spawning": {Spawn: true}} {
		t.Run(what, func(t *testing.T) {
			ns := testenv.NewNetNS(t)
			pid := send(t, ns, nil, e).PID
			for name, opts := range ways(t) {
				c := opened(t)
				opts.NetNS = fmt.Sprint(ns.Inode())
				opts.Needs = allNeeds
				for range 30 {
					sessions := gather(t, c, opts)
					if len(sessions) != 1 || len(sessions[0].Owners) == 0 || sessions[0].Owners[0].PID != uint32(pid) && what == "executing" {
						t.Fatalf("%s: %d sessions, want the listener of %d alone; first %s", name, len(sessions), pid, firstRow(sessions))
					}
					if !slices.ContainsFunc(sessions[0].Owners, func(o whose.Owner) bool { return o.PID == uint32(pid) }) {
						t.Fatalf("%s: %d is not among the owners: %s", name, pid, firstRow(sessions))
					}
				}
			}
		})
	}
}

// firstRow returns the first row that the test did not expect.
func firstRow(sessions []whose.Session) string {
	for i := range sessions[min(1, len(sessions)):] {
		return rowOf(&sessions[i+1])
	}
	return "none"
}

// TestFaults_Root asks of roots that are no procfs.
func TestFaults_Root(t *testing.T) {
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		root string
		want error
	}{
		{t.TempDir() + "/none", fs.ErrNotExist}, {file, unix.ENOTDIR}, {"/proc/self/exe/x", unix.ENOTDIR}, {strings.Repeat("x", 5000), unix.ENAMETOOLONG},
	} {
		_, err := collect.Collect(context.Background(), &collect.Options{Proc: c.root})
		if !errors.Is(err, c.want) {
			t.Errorf("root %.40s: %v, want %v", c.root, err, c.want)
		}
	}
	captured := t.TempDir()
	if err := os.Mkdir(captured+"/1", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, source := range []string{collect.BPF, collect.Netlink} {
		_, err := collect.Collect(context.Background(), &collect.Options{Proc: captured, CapturedProc: true, Source: source})
		if !errors.Is(err, whose.ErrUnsupported) || whose.Hint(err) == "" {
			t.Errorf("%s of another root: %v, want that it is not supported, and a hint", source, err)
		}
	}
	// A tree without a process is none, and the captured tree of another is not
	// read with privilege.
	tree := t.TempDir()
	for _, opts := range []collect.Options{{Proc: tree}, {Proc: tree, CapturedProc: true}, {Proc: "/sys"}} {
		if answer, err := collect.Collect(context.Background(), &opts); err == nil || !strings.Contains(err.Error(), "is no procfs") {
			t.Errorf("%+v: %v, %v; want that it is no procfs", opts, answer, err)
		}
	}
}
