package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestHostileNetNSName has a process call itself like a namespace of `ip netns`, in
// a namespace of its own. Nothing that asks by that name may mean the process's.
func TestHostileNetNSName(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedProgram(t, "unshare")
	admins, others := testenv.NewNetNS(t), testenv.NewNetNS(t)
	name := "whosetest" + strconv.Itoa(os.Getpid()%10_000)
	hold := func(ns *testenv.NetNS) {
		path, err := exec.LookPath("holder")
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(path, "listen", name)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { in.Close() })
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := ns.Start(cmd); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 64)); err != nil {
			t.Fatal(err)
		}
	}
	hold(admins)
	hold(others)
	mounted := func(words ...string) *exec.Cmd {
		point := filepath.Join("/run/netns", name)
		return exec.Command("unshare", append([]string{"-m", "sh", "-c",
			"mkdir -p /run/netns && mount -t tmpfs none /run/netns && touch " + point + " && mount --bind " + admins.Path() + " " + point + ` && exec "$@"`, "sh"}, words...)...)
	}
	theirs := strconv.Itoa(int(others.Inode()))
	tried, wrong := 0, 0
	check := func(ok bool, what, out, said string) {
		tried++
		if !ok {
			wrong++
			t.Errorf("%s: got %s; it said %s", what, out, said)
		}
	}
	for _, source := range []string{"netlink", "procfs", "bpf"} {
		for _, words := range []string{"-N " + name, "netns " + name, "netns_name " + name} {
			out, said, code := runs(t, mounted(append([]string{"whose", "-l", "-H", "-o", "csv", "--fields", "netns", "--source", source}, strings.Fields(words)...)...))
			check(code == 0 && !strings.Contains(out, theirs) && strings.Contains(out, strconv.Itoa(int(admins.Inode()))), source+" "+words, out, said)
		}
		out, said, code := runs(t, exec.Command("whose", "-N", name, "--source", source))
		check(code == exitUsage, source+" without the namespace", out, said)
		out, said, code = runs(t, exec.Command("whose", "-l", "-H", "-o", "csv", "--fields", "netns,netns_name", "--source", source, "-N", "process/"+name))
		check(code == 0 && strings.Contains(out, theirs+",process/"+name), source+" by the mark", out, said)
	}
	testenv.Tried(t, tried, wrong)
}
