package testenv

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hungEnv makes a test binary the process of [HungProcess]; its value is the
// path of the file to map.
const hungEnv = "WHOSE_TESTENV_HUNG"

func init() {
	if path := os.Getenv(hungEnv); path != "" {
		hang(path)
	}
}

// A Hung is a process that listens on a TCP port of 127.0.0.1 in a network
// namespace of its own, and whose memory cannot be read.
type Hung struct {
	PID     int
	Port    uint16
	NetNS   *NetNS
	Release func() // ends it
}

// HungProcess starts a process that unmaps dirty pages of a file system that does
// not answer. Whoever reads its command line waits, also beyond this test: so
// keep it short. It ends with the test, or with Release. It needs what
// [NewDeadFS] and [NewNetNS] need.
func HungProcess(t testing.TB) *Hung {
	t.Helper()
	fs, ns := NewDeadFS(t), NewNetNS(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), hungEnv+"="+filepath.Join(fs.Dir, "x"))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Start(cmd); err != nil {
		t.Fatal(err)
	}
	h := &Hung{PID: cmd.Process.Pid, NetNS: ns}
	h.Release = func() {
		cmd.Process.Kill()
		fs.Close()
		cmd.Wait()
	}
	t.Cleanup(h.Release) // before the process would be waited for
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("start a process to hang: %v", err)
	}
	number, err := strconv.ParseUint(line[:len(line)-1], 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(stdin, "go on\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-fs.Waiting():
	case <-time.After(time.Minute):
		t.Fatal("the process does not write its pages back")
	}
	awaitHung(t, cmd.Process.Pid)
	h.Port = uint16(number)
	return h
}

// awaitHung waits until a reader of the command line waits for ever.
func awaitHung(t testing.TB, pid int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		reader := exec.Command("cat", fmt.Sprintf("/proc/%d/cmdline", pid))
		if err := Start(t, reader); err != nil {
			t.Fatal(err)
		}
		back := make(chan struct{})
		go func() { _ = reader.Wait(); close(back) }()
		if waits(reader.Process.Pid, back) {
			reader.Process.Kill()
			<-back
			return
		}
	}
	t.Fatal("its command line can be read")
}

// waits reports whether a process waits in the kernel, several times in a row.
func waits(pid int, back <-chan struct{}) bool {
	for row := 0; row < 10; {
		select {
		case <-back:
			return false
		case <-time.After(10 * time.Millisecond):
		}
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if end := bytes.LastIndexByte(stat, ')'); end > 0 && len(stat) > end+2 && stat[end+2] == 'D' {
			row++
		} else {
			row = 0
		}
	}
	return true
}

// hang is the process: it never returns.
func hang(path string) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		panic(err)
	}
	pages, err := unix.Mmap(int(f.Fd()), 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	for i := range pages {
		pages[i] = 'A'
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	go unix.Munmap(pages) // holds the lock of the memory, to read
	for {                 // and whoever waits for it to write keeps readers out
		time.Sleep(50 * time.Millisecond)
		go unix.Mmap(-1, 0, 8192, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANON)
	}
}
