package testenv

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// starterEnv makes TestStart_Killed be one of the processes that it is about.
const starterEnv = "WHOSE_TESTENV_STARTER"

// again is this test binary in another part.
func again(part string, held *os.File) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestStart_Killed$")
	cmd.Env = append(os.Environ(), starterEnv+"="+part)
	cmd.ExtraFiles = []*os.File{held}
	cmd.Stderr = os.Stderr
	return cmd
}

// TestStart_Killed kills a test that started two processes, one of them in a
// network namespace: they are gone, too.
func TestStart_Killed(t *testing.T) {
	held := os.NewFile(3, "held")
	switch os.Getenv(starterEnv) {
	case "test":
		wantStarted(t, Start(t, again("started", held)))
		wantStarted(t, NewNetNS(t).Start(again("started", held)))
		unix.Pause()
	case "started":
		io.WriteString(held, "started\n")
		unix.Pause()
	}
	NeedCap(t, unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN)
	CheckLeaks(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	test := again("test", w)
	wantStarted(t, test.Start())
	w.Close()
	r.SetReadDeadline(time.Now().Add(time.Minute))
	lines := bufio.NewReader(r)
	for range 2 {
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	test.Process.Kill()
	test.Wait()
	// The pipe ends with the last process that has it.
	if _, err := lines.ReadString('\n'); err != io.EOF {
		t.Errorf("what the test started goes on: %v", err)
	}
}

// TestStart_Ends wants that the process ends with the test, in its namespace.
func TestStart_Ends(t *testing.T) {
	NeedCap(t, unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN)
	CheckLeaks(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := again("started", w)
	t.Run("test", func(t *testing.T) {
		ns := NewNetNS(t)
		wantStarted(t, ns.Start(cmd))
		var stat unix.Stat_t
		if err := unix.Stat(fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid), &stat); err != nil || uint32(stat.Ino) != ns.Inode() {
			t.Errorf("it is in network namespace %d, %v, want %d", stat.Ino, err, ns.Inode())
		}
	})
	w.Close()
	if state, err := cmd.Process.Wait(); err != nil || state.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
		t.Errorf("it ended with %v, %v", state, err)
	}
}

func wantStarted(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("start: %v", err)
	}
}
