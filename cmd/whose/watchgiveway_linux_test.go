package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/footprint"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestGiveWay: every thread of whose watch lets others go first, and its session
// if it leads one, but for those of whoever chose how nice it is.
func TestGiveWay(t *testing.T) {
	mine, err := niceness(0)
	if err != nil {
		t.Fatal(err)
	}
	plain := footprint.Nice
	if mine != 0 {
		plain = mine // somebody chose how nice these tests are
	}
	for more, want := range map[int]int{0: plain, 3: min(mine+3, 19)} {
		t.Run(fmt.Sprintf("nicer by %d", more), func(t *testing.T) {
			pid := startNice(t, more)
			// A thread that is being started may be looked at before it is nice.
			deadline := time.Now().Add(10 * time.Second)
			for other := unlikeThread(t, pid, want); other != 0; other = unlikeThread(t, pid, want) {
				if time.Now().After(deadline) {
					t.Fatalf("thread %d is not at niceness %d", other, want)
				}
				time.Sleep(10 * time.Millisecond)
			}
			group, err := os.ReadFile(fmt.Sprintf("/proc/%d/autogroup", pid))
			if errors.Is(err, fs.ErrNotExist) || err == nil && len(group) == 0 {
				t.Log("the kernel does not schedule sessions as groups, or not this one")
				return
			}
			nice := 0
			if more == 0 && mine == 0 {
				nice = footprint.Nice
			}
			if want := fmt.Sprintf(" nice %d\n", nice); err != nil || !strings.HasSuffix(string(group), want) {
				t.Errorf("its session is %q, %v; want one that ends with %q", group, err, want)
			}
		})
	}
}

// unlikeThread returns a thread of a process that is not at that niceness, 0 if
// there is none.
func unlikeThread(t *testing.T, pid, want int) (tid int) {
	t.Helper()
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil || len(threads) < 2 {
		t.Fatalf("%d threads of process %d: %v", len(threads), pid, err)
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			t.Fatal(err)
		}
		if nice, err := niceness(id); err == nil && nice != want {
			tid = id
		}
	}
	return tid
}

// niceness returns that of a thread, 0 for the one that asks. The kernel answers
// 20 less it.
func niceness(tid int) (int, error) {
	prio, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
	return 20 - prio, err
}

// startNice starts whose watch in a session of its own, nicer than these tests,
// and returns when it watches.
func startNice(t *testing.T, more int) (pid int) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "whose") // the name says what it is to do
	if err := os.Symlink(exe, program); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nice", "-n", strconv.Itoa(more), program, "watch", "-o", "csv", "port", "1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := testenv.Start(t, cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	// Its titles come when it watches.
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.HasPrefix(line, "time,") {
		t.Fatalf("it begins with %q, %v", line, err)
	}
	return cmd.Process.Pid
}
