package ledger

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/testenv"
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
	if name := n.netnsName(ns.Inode()); name != "sleep" {
		t.Errorf("%q, want the name by who is in it now", name)
	}
}
