package testenv

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A fake records how a test was ended.
type fake struct {
	testing.TB
	skipped, failed string
	cleanups        []func()
}

func (f *fake) Helper()                   {}
func (f *fake) Cleanup(fn func())         { f.cleanups = append(f.cleanups, fn) }
func (f *fake) Errorf(s string, a ...any) { f.failed += fmt.Sprintf(s, a...) + "\n" }
func (f *fake) Skipf(s string, a ...any)  { f.skipped = fmt.Sprintf(s, a...); panic(f) }
func (f *fake) Fatalf(s string, a ...any) { f.failed = fmt.Sprintf(s, a...); panic(f) }

func (f *fake) run(fn func(testing.TB)) {
	defer func() {
		if r := recover(); r != nil && r != any(f) {
			panic(r)
		}
	}()
	fn(f)
}

func TestMissing(t *testing.T) {
	need := func(t testing.TB) { NeedProgram(t, "no-such-program-anywhere") }

	t.Setenv("CI", "")
	t.Setenv("WHOSE_MUST_RUN", "")
	f := &fake{}
	f.run(need)
	if !strings.HasPrefix(f.skipped, "skip: needs the program no-such-program-anywhere: ") || f.failed != "" {
		t.Errorf("without CI: skipped %q, failed %q", f.skipped, f.failed)
	}
	t.Setenv("WHOSE_MUST_RUN", "1")
	f = &fake{}
	f.run(need)
	if f.skipped != "" || f.failed == "" {
		t.Errorf("with WHOSE_MUST_RUN=1: skipped %q, failed %q", f.skipped, f.failed)
	}
}

func TestNeedKernel_SkipsEvenInCI(t *testing.T) {
	t.Setenv("CI", "true")
	f := &fake{}
	f.run(func(t testing.TB) { NeedKernel(t, 1000, 0, "time travel") })
	if !strings.Contains(f.skipped, "needs Linux 1000.0 for time travel") || f.failed != "" {
		t.Errorf("skipped %q, failed %q", f.skipped, f.failed)
	}
	f = &fake{}
	f.run(func(t testing.TB) { NeedKernel(t, 2, 6, "the wheel") })
	if f.skipped != "" || f.failed != "" {
		t.Errorf("an old requirement: skipped %q, failed %q", f.skipped, f.failed)
	}
}

func TestNetNS(t *testing.T) {
	CheckLeaks(t)
	var here unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &here); err != nil {
		t.Fatal(err)
	}
	ns := NewNetNS(t)
	if uint64(ns.Inode()) == here.Ino {
		t.Fatal("the new namespace is the old one")
	}
	var there unix.Stat_t
	var echo string
	ns.Do(func() {
		if err := unix.Stat("/proc/thread-self/ns/net", &there); err != nil {
			t.Error(err)
		}
		echo = loopbackEcho(t)
	})
	if there.Ino != uint64(ns.Inode()) {
		t.Errorf("Do ran in namespace %d, want %d", there.Ino, ns.Inode())
	}
	if echo != "hello" {
		t.Errorf("over loopback came %q, want hello", echo)
	}
	var after unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &after); err != nil {
		t.Fatal(err)
	}
	if after.Ino != here.Ino {
		t.Error("the process changed its namespace")
	}
}

// loopbackEcho sends a datagram to itself; it fails where loopback is down.
func loopbackEcho(t *testing.T) string {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Error(err)
		return ""
	}
	defer conn.Close()
	if _, err := conn.WriteTo([]byte("hello"), conn.LocalAddr()); err != nil {
		t.Error(err)
		return ""
	}
	buf := make([]byte, 16)
	n, _, err := conn.ReadFrom(buf)
	if err != nil {
		t.Error(err)
	}
	return string(buf[:n])
}

func TestNeedBPFFS(t *testing.T) {
	NeedCap(t, unix.CAP_SYS_ADMIN)
	dir := NeedBPFFS(t)
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	if uint32(fs.Type) != unix.BPF_FS_MAGIC {
		t.Errorf("file system type %#x, want bpffs", fs.Type)
	}
}

func TestNewDescriptors_Finds(t *testing.T) {
	before := descriptors(t)
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	extra := newDescriptors(before, descriptors(t))
	if len(extra) != 1 || !strings.HasSuffix(extra[0], " -> "+os.DevNull) {
		t.Errorf("new descriptors %q, want the one of %s", extra, os.DevNull)
	}
}
