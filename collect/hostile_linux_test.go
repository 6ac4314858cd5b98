package collect_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/collect/collecttest"
)

// TestHostileRoot puts into a captured host what no kernel would, one thing at
// a time: the sessions that were there stay as they are, and nothing hangs.
func TestHostileRoot(t *testing.T) {
	const archive = "collecttest/testdata/hosts/small-vm.txtar"
	opts := collect.Options{States: whose.AllStates, Needs: allNeeds}
	opts.Proc, opts.CapturedProc = collecttest.Unpack(t, archive), true
	want := rowsOf(t, opened(t), opts)
	for name, spoil := range hostile() {
		t.Run(name, func(t *testing.T) {
			opts := opts
			opts.Proc, opts.CapturedProc = collecttest.Unpack(t, archive), true
			if err := spoil(opts.Proc); err != nil {
				t.Fatal(err)
			}
			var coverage whose.Coverage
			rows, err := within(func() ([]whose.Session, error) {
				answer, err := collect.Collect(context.Background(), &opts)
				if err != nil {
					return nil, err
				}
				coverage = answer.Coverage
				return answer.Append(nil), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range want {
				if !slices.Contains(rows, row) {
					t.Errorf("lost or changed: %s; gaps %v", row, coverage.Gaps)
				}
			}
			if len(rows) != len(want) {
				t.Errorf("%d rows, want the same %d", len(rows), len(want))
			}
			for _, g := range coverage.Gaps {
				if len(g.String()) > 1000 {
					t.Errorf("a gap of %d bytes: %.100s", len(g.String()), g)
				}
			}
		})
	}
}

// within returns the rows of a collection, or an error if it does not end.
func within(collect func() ([]whose.Session, error)) (rows []string, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		var sessions []whose.Session
		sessions, err = collect()
		for i := range sessions {
			rows = append(rows, rowOf(&sessions[i]))
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case <-done:
		return rows, err
	case <-ctx.Done():
		return nil, fmt.Errorf("it does not end")
	}
}

// hostile returns ways to spoil a captured host.
func hostile() map[string]func(root string) error {
	fifo := func(path ...string) func(string) error {
		return func(root string) error {
			for _, p := range path {
				p = filepath.Join(root, p)
				if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
					return err
				}
				if err := os.RemoveAll(p); err != nil {
					return err
				}
				if err := unix.Mkfifo(p, 0o644); err != nil {
					return err
				}
			}
			return nil
		}
	}
	write := func(path, text string) func(string) error {
		return func(root string) error {
			path := filepath.Join(root, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			return os.WriteFile(path, []byte(text), 0o644)
		}
	}
	link := func(path, target string) func(string) error {
		return func(root string) error {
			path := filepath.Join(root, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			return os.Symlink(target, path)
		}
	}
	holding := func(root string) error { // a descriptor and a thread that has it
		const socket = "socket:[1101]" // of another process
		return errorsOf(link("7777/fd/3", socket)(root), link("7777/task/7777/fd/3", socket)(root))
	}
	return map[string]func(string) error{
		"numbers that are none": func(root string) error {
			for _, name := range []string{"99999999999", "4294967296", "18446744073709551616", "0", "-1", "+7", "007", "1e3", " 5"} {
				if err := os.MkdirAll(filepath.Join(root, name, "fd"), 0o755); err != nil {
					return err
				}
				if err := os.Symlink("socket:[1101]", filepath.Join(root, name, "fd", "3")); err != nil {
					return err
				}
			}
			return nil
		},
		"a process without anything":  func(root string) error { return os.Mkdir(filepath.Join(root, "7777"), 0o755) },
		"a process that is a file":    write("7777", "x"),
		"a process that is a loop":    link("7777", "7777"),
		"a process that is the root":  link("7777", "."),
		"descriptors that are a file": write("7777/fd", "x"),
		"descriptors that are a loop": link("7777/fd", "fd"),
		"descriptors without number": func(root string) error {
			return errorsOf(link("7777/fd/x", "socket:[1101]")(root), link("7777/fd/-1", "socket:[1101]")(root),
				link("7777/fd/99999999999", "socket:[1101]")(root), holding(root))
		},
		"a descriptor without stat":    holding,
		"a descriptor and stat a fifo": func(root string) error { return errorsOf(holding(root), fifo("7777/stat")(root)) },
		"a descriptor, no sense in stat": func(root string) error {
			return errorsOf(holding(root), write("7777/stat", strings.Repeat("7777 ((((", 1<<16))(root))
		},
		"fifos all over": func(root string) error {
			return errorsOf(holding(root), fifo("7777/comm", "7777/stat", "7777/status", "7777/cmdline", "7777/cgroup", "7777/exe",
				"7777/ns/net", "7777/net/tcp", "7777/fd/4", "7777/task/7777/ns/net", "7777/task/7777/fd/4", "7777/mountinfo")(root))
		},
		"threads that are loops": func(root string) error {
			return errorsOf(link("7777/task/7777", "7777")(root), link("7777/fd/3", "x")(root))
		},
		"tables that are fifos": fifo("netns/4026539999/tcp", "netns/4026539999/udp6", "mounts", "uptime"),
		"a namespace whose tables are fifos": func(root string) error {
			return errorsOf(link("7777/ns/net", "net:[4026539999]")(root), link("7777/task/7777/ns/net", "net:[4026539999]")(root),
				link("7777/task/7777/net", filepath.Join(root, "netns/4026539999"))(root),
				link("7777/net", filepath.Join(root, "netns/4026539999"))(root), fifo("netns/4026539999/tcp", "netns/4026539999/tcp6", "netns/4026539999/udp")(root))
		},
		"a table without an end of line": func(root string) error {
			return errorsOf(link("7777/ns/net", "net:[4026539999]")(root), link("7777/task/7777/ns/net", "net:[4026539999]")(root),
				link("7777/task/7777/net", filepath.Join(root, "netns/4026539999"))(root),
				link("7777/net", filepath.Join(root, "netns/4026539999"))(root), write("netns/4026539999/tcp", strings.Repeat("\x1b0", 4<<20))(root))
		},
		"a namespace that is a loop": link("7777/ns/net", "net"),
	}
}

// errorsOf returns the first error there is.
func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestHostileProcess_CommandLine has an owner with a command line of a megabyte.
func TestHostileProcess_CommandLine(t *testing.T) {
	root := collecttest.Unpack(t, "collecttest/testdata/hosts/small-vm.txtar")
	if err := os.WriteFile(filepath.Join(root, "600/cmdline"), []byte(strings.Repeat("\x1b]0;\x00", 1<<18)), 0o644); err != nil {
		t.Fatal(err)
	}
	c := opened(t)
	found := 0
	for _, s := range gather(t, c, collect.Options{Proc: root, CapturedProc: true, Needs: whose.NeedDefault | whose.NeedCmdline}) {
		for _, o := range s.Owners {
			if o.PID != 600 {
				continue
			}
			if found++; len(o.Cmdline) == 0 || len(o.Cmdline) > 4096 {
				t.Errorf("a command line of %d bytes, want at most 4,096", len(o.Cmdline))
			}
		}
	}
	if found == 0 {
		t.Error("the process is not named")
	}
}
