package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// limitedUID is the user of limited commands; nobody else is.
const limitedUID = 61777

// A limited is the program as it is delivered, static, and a captured host. An
// ordinary user runs it under limits.
type limited struct {
	program, tree string
}

// newLimited builds the program and captures a host of so many sessions that they
// need more memory than the start of the program.
func newLimited(t *testing.T) *limited {
	t.Helper()
	testenv.NeedRoot(t)
	testenv.NeedProgram(t, "prlimit")
	testenv.NeedProgram(t, "setpriv")
	dir, err := os.MkdirTemp("", "whose-limits")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l := &limited{program: filepath.Join(dir, "whose"), tree: filepath.Join(dir, "tree")}
	build := exec.CommandContext(t.Context(), goTool(t), "build", "-o", l.program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const stat = "100 (big) S 1 100 100 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 12345 0 0\n"
	for name, text := range map[string]string{"stat": "btime 1\n", "100/stat": stat, "100/task/100/stat": stat} {
		check(t, os.MkdirAll(filepath.Dir(filepath.Join(l.tree, name)), 0o755))
		check(t, os.WriteFile(filepath.Join(l.tree, name), []byte(text), 0o644))
	}
	for name, to := range map[string]string{"self": "100", "100/ns/net": "net:[1]", "100/fd/3": "socket:[4711]"} {
		check(t, os.MkdirAll(filepath.Dir(filepath.Join(l.tree, name)), 0o755))
		check(t, os.Symlink(to, filepath.Join(l.tree, name)))
	}
	check(t, writeSessions(filepath.Join(l.tree, "100/net/tcp"), 300_000))
	check(t, os.Chmod(dir, 0o755))
	return l
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func writeSessions(name string, n int) error {
	check := os.MkdirAll(filepath.Dir(name), 0o755)
	f, err := os.Create(name)
	if check != nil || err != nil {
		return fmt.Errorf("%v, %v", check, err)
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, "  sl  local_address rem_address")
	for i := range n {
		fmt.Fprintf(w, "%4d: 0100007F:%04X %08X:%04X 01 00000000:00000000 00:00000000 00000000     0        0 %d 1 0 100 0 0 10 0\n",
			i, 8000+i%1000, 0x0A000001+i/1000, 1+i%1000, 100_000+i)
	}
	return w.Flush()
}

// run runs a command line of the program, in a control group if one is given. limit
// is words of prlimit, and perhaps of a command after it.
func (l *limited) run(t *testing.T, group string, limit []string, args ...string) (code int, out, errs string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	user := strconv.Itoa(limitedUID)
	words := []string{"-c", `[ -z "$0" ] || echo 0 >"$0/cgroup.procs" || exit 99; exec "$@"`, group,
		"setpriv", "--reuid", user, "--regid", user, "--clear-groups", "prlimit"}
	words = append(append(words, limit...), append([]string{l.program}, args...)...)
	cmd := exec.CommandContext(ctx, "sh", words...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir = &stdout, &stderr, "/"
	_ = cmd.Run() // the status says it
	if ctx.Err() != nil {
		t.Errorf("%q %q: it did not end", limit, args)
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// starts reports whether the program can be expected to start: the runtime puts
// its heap anywhere, so that near the least space it does so only now and then.
func (l *limited) starts(t *testing.T, group string, limit []string) bool {
	t.Helper()
	n := 0
	for range 8 {
		if code, _, _ := l.run(t, group, limit, "version"); code == exitFound {
			n++
		}
	}
	return n >= 7
}

// attempts bounds the tries at a document where the program starts now and then.
const attempts = 12

// judge asks for the document under a limit, and returns what is wrong, "" for
// nothing. Where the program starts there is a document, and one that is not
// complete names the limit. Nothing else is ever on stdout.
func (l *limited) judge(t *testing.T, group string, limit []string, args ...string) string {
	t.Helper()
	starts := l.starts(t, group, limit)
	said := ""
	for range attempts {
		code, out, errs := l.run(t, group, limit, append([]string{"zabbix", "get", "--timeout", "50s"}, args...)...)
		if out == "" {
			if said, _, _ = strings.Cut(errs, "\n"); !starts {
				return ""
			}
			continue
		}
		var d struct {
			Complete *bool
			Partial  []struct{ Kind, Cause, Detail, Hint string }
		}
		err := json.Unmarshal([]byte(out), &d)
		switch {
		case err != nil || d.Complete == nil || code != exitFound || errs != "":
			return fmt.Sprintf("status %d, %v, on stdout %.200q, on stderr %.200q", code, err, out, errs)
		case *d.Complete:
			t.Logf("%q %q: complete", limit, args)
			return ""
		case len(d.Partial) == 0 || d.Partial[0].Cause != "limit" || d.Partial[0].Hint == "" || !strings.Contains(d.Partial[0].Detail, "limit of the system ("):
			return fmt.Sprintf("it does not name the limit: %.500s", out)
		}
		t.Logf("%q %q: %s", limit, args, d.Partial[0].Detail)
		return ""
	}
	return "it starts and gives no document: " + said
}

// TestHostileLimits has the system refuse memory and threads. The runtime ends a
// process then, and there is a document all the same.
func TestHostileLimits(t *testing.T) {
	l := newLimited(t)
	tried, wrong := 0, 0
	try := func(group string, limit []string, args ...string) {
		t.Helper()
		tried++
		if why := l.judge(t, group, limit, args...); why != "" {
			t.Errorf("%q %q: %s", limit, args, why)
			wrong++
		}
	}
	many := []string{"--proc", l.tree}
	for _, mib := range []int{20, 50, 200, 600, 700, 740, 800, 1100, 1250, 1400, 2000} {
		try("", []string{fmt.Sprintf("--as=%d", mib<<20)})
	}
	for _, mib := range []int{780, 900, 1300} {
		try("", []string{fmt.Sprintf("--as=%d", mib<<20)}, many...)
	}
	for _, mib := range []int{20, 70, 150} {
		try("", []string{fmt.Sprintf("--data=%d", mib<<20)}, many...)
	}
	for n := range 14 {
		try("", []string{fmt.Sprintf("--nproc=%d", n)})
	}
	for _, n := range []int{6, 9, 12} {
		try("", []string{fmt.Sprintf("--nproc=%d", n), "env", "GOMAXPROCS=32"}, many...)
	}
	if group, file := limitGroup(t, "pids", "pids.max", "pids.max"); group != "" {
		for _, n := range []int{3, 5, 7, 9, 12} {
			check(t, os.WriteFile(file, []byte(strconv.Itoa(n)), 0o644))
			try(group, nil)
		}
		try(group, []string{"env", "GOMAXPROCS=32"}, many...)
	}
	if group, file := limitGroup(t, "memory", "memory.max", "memory.limit_in_bytes"); group != "" {
		for _, mib := range []int{30, 90} {
			check(t, os.WriteFile(file, []byte(strconv.Itoa(mib<<20)), 0o644))
			try(group, nil, many...)
		}
	}
	tried++
	code, out, errs := l.run(t, "", []string{"--data=157286400"}, "zabbix", "send", "--timeout", "50s", "--proc", l.tree)
	if code != exitFailed || !strings.HasPrefix(out, "- whose.get ") || !strings.Contains(out, "limit of the system (ulimit -d 150 MiB)") || strings.Contains(errs, "goroutine") {
		t.Errorf("send: status %d, %.300q, %.300q", code, out, errs)
		wrong++
	}
	testenv.Tried(t, tried, wrong)
}

// limitGroup makes a control group of a controller, and returns it with the file of
// its limit in version 2 or 1; without one it says so.
func limitGroup(t *testing.T, controller, two, one string) (group, file string) {
	t.Helper()
	name := "whose-limits-" + strconv.Itoa(os.Getpid())
	for _, at := range []struct{ dir, limit string }{
		{"/sys/fs/cgroup", two}, {"/sys/fs/cgroup/" + controller, one},
	} {
		group := filepath.Join(at.dir, name+"-"+controller)
		var fs unix.Statfs_t
		if unix.Statfs(at.dir, &fs) != nil || fs.Type != unix.CGROUP2_SUPER_MAGIC && fs.Type != unix.CGROUP_SUPER_MAGIC {
			continue
		}
		if err := os.Mkdir(group, 0o755); err != nil {
			continue
		}
		t.Cleanup(func() {
			if err := os.Remove(group); err != nil {
				t.Errorf("remove control group: %v", err)
			}
		})
		if file := filepath.Join(group, at.limit); unix.Access(file, unix.W_OK) == nil {
			return group, file
		}
	}
	t.Logf("skip: needs a control group with the controller %s: none can be made", controller)
	return "", ""
}

// TestHostileLimits_Second ends the program while its second process is at work:
// that ends too.
func TestHostileLimits_Second(t *testing.T) {
	l := newLimited(t)
	dead := testenv.NewDeadFS(t)
	dead.Die()
	cmd := exec.Command("prlimit", "--as=3000000000", l.program, "zabbix", "get", "--timeout", "10m", "--proc", filepath.Join(dead.Dir, "x"))
	check(t, testenv.Start(t, cmd))
	second := 0
	for end := time.Now().Add(time.Minute); second == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", cmd.Process.Pid))
		for _, thread := range threads {
			if children, err := os.ReadFile(thread); err == nil && len(children) > 0 {
				second, _ = strconv.Atoi(strings.TrimSpace(string(children)))
			}
		}
	}
	if second == 0 {
		t.Fatal("no second process")
	}
	check(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
	gone := false
	for end := time.Now().Add(time.Minute); !gone && time.Now().Before(end); time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", second))
		gone = err != nil || strings.Contains(string(stat), ") Z ")
	}
	wrong := 0
	if !gone {
		t.Errorf("process %d outlives the one that started it", second)
		wrong++
	}
	testenv.Tried(t, 1, wrong)
}
