package ledger

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/testenv"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// TestNames_NumberIsUsedAgain: the kernel gives the number of a network
// namespace to another when it has ended, which must not inherit its name.
func TestNames_NumberIsUsedAgain(t *testing.T) {
	testenv.NeedRoot(t)
	fs, err := proc.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer fs.Close()
	ns := testenv.NewNetNS(t)
	sleeper := exec.Command(testenv.NeedProgram(t, "sleep"), "60")
	if err := ns.Start(sleeper); err != nil {
		t.Fatal(err)
	}
	defer sleeper.Wait()
	defer sleeper.Process.Kill()
	until := time.Now().Add(30 * time.Second)
	for comm := ""; comm != "sleep"; { // it has the namespace at once, its name when it has executed
		if comm, err = fs.Comm(uint32(sleeper.Process.Pid)); err != nil || time.Now().After(until) {
			t.Fatalf("name of the process: %q, %v", comm, err)
		}
	}
	n := NewNames(fs, whose.NeedNetNSName)
	n.learn(ns.Inode(), "gone")
	pid, now := uint32(sleeper.Process.Pid), uint64(time.Hour)
	n.meetBy(ns.Inode(), pid, 1, now)
	if name := n.netnsName(ns.Inode()); name != "gone" {
		t.Errorf("%q while there were sessions in it all the time, want what it was", name)
	}
	n.meetBy(ns.Inode(), uint32(os.Getpid()), 0, now)
	if name := n.netnsName(ns.Inode()); name != "gone" {
		t.Errorf("%q by a process that is elsewhere, want what it was", name)
	}
	n.meetBy(ns.Inode(), pid, 0, now+askAgain-1)
	if name := n.netnsName(ns.Inode()); name != "gone" {
		t.Errorf("%q, asked again at once", name)
	}
	n.meetBy(ns.Inode(), pid, 0, now+askAgain)
	if name := n.netnsName(ns.Inode()); name != "process/sleep" {
		t.Errorf("%q, want the name by who is in it now", name)
	}
}

// TestNames_Nameless: a record of a forgotten process has its number and start.
// Its name is that of /proc, and none where the number is another process's now.
func TestNames_Nameless(t *testing.T) {
	fs, err := proc.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer fs.Close()
	pid := uint32(os.Getpid())
	comm, err := fs.Comm(pid)
	if err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	start, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	n := NewNames(fs, 0)
	task := bpfevent.Task{PID: pid, Start: start}
	p := newProcesses(n.describe)
	if got := p.owners(p.ofTask(&task, n.startTime)); len(got) != 1 || got[0].Comm != comm {
		t.Errorf("owners %v, want %s", got, comm)
	}
	task.Start -= 100
	if got := p.owners(p.ofTask(&task, n.startTime)); len(got) != 1 || got[0].Comm != "" {
		t.Errorf("owners %v by a number that was another's, want no name", got)
	}
	task = bpfevent.Task{PID: pid, Start: start, Comm: [16]byte{'n', 'e', 'w'}}
	p.ofTask(&task, n.startTime)
	task.Comm = [16]byte{}
	if got := p.owners(p.ofTask(&task, n.startTime)); got[0].Comm != "new" {
		t.Errorf("the name %q, want that of before", got[0].Comm)
	}
}

// TestNames_Bounded: devices beyond the bound have no name and take no room.
func TestNames_Bounded(t *testing.T) {
	n := NewNames(nil, 0)
	for i := range uint32(2 * maxNames) {
		n.device(i+1, 7)
		n.deviceNamed(i+1, "eth0")
	}
	if len(n.devices) > maxNames || len(n.deviceIDs) > maxNames || len(n.byName) > maxNames {
		t.Errorf("%d devices, %d by index, %d by name; want no more than %d each", len(n.devices), len(n.deviceIDs), len(n.byName), maxNames)
	}
	if id := n.deviceNamed(1<<30, "eth0"); n.devices[id] != "" {
		t.Errorf("a device beyond the bound is %q", n.devices[id])
	}
}
