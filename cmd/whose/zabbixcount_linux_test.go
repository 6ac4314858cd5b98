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

// openCopy returns a copy of whose that every user may run.
func openCopy(t *testing.T) string {
	from, err := exec.LookPath("whose")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "whose-as-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "whose")
	if out, err := exec.Command("cp", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return to
}

// runs runs a command and returns its output, its messages and its exit status.
func runs(t *testing.T, cmd *exec.Cmd) (out, said string, code int) {
	t.Helper()
	var o, e strings.Builder
	cmd.Stdout, cmd.Stderr = &o, &e
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// TestZabbixCount_Namespaces wants no number of a host with a namespace that may
// not be entered, unless the question is about others.
func TestZabbixCount_Namespaces(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedProgram(t, "setpriv")
	whose := openCopy(t)
	ns := testenv.NewNetNS(t)
	if err := ns.Start(exec.Command("sleep", "1000")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		words  string
		status int
	}{
		{"port 1", exitFailed}, {"--all", exitFailed}, {"not netns self", exitFailed},
		{"-N self port 1", 0}, {"--partial port 1", 0},
	} {
		words := append(nobody(whose), append([]string{"zabbix", "count", "--timeout", "1m"}, strings.Fields(test.words)...)...)
		out, said, code := runs(t, exec.Command("setpriv", words...))
		if code != test.status || (out == "") != (code != 0) || (said == "") != (code == 0) ||
			code != 0 && !strings.Contains(said, "could not be looked into (permission denied)") {
			t.Errorf("count %s: status %d, want %d; got %q; it said %s", test.words, code, test.status, out, said)
		}
	}
}

// TestNetNS_Hidden wants no command to say that a namespace has no sessions that
// it may not look into.
func TestNetNS_Hidden(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedProgram(t, "setpriv")
	whose := openCopy(t)
	ns := testenv.NewNetNS(t)
	if err := ns.Start(exec.Command("sleep", "1000")); err != nil {
		t.Fatal(err)
	}
	number := strconv.Itoa(int(ns.Inode()))
	for _, words := range []string{"", "-q", "-o json", "count", "zabbix count", "zabbix discovery listen"} {
		args := append(nobody(whose), append(strings.Fields(words), "-N", number)...)
		if _, said, code := runs(t, exec.Command("setpriv", args...)); code != exitFailed || !strings.Contains(said, "could not be looked into (permission denied)") {
			t.Errorf("whose %s: status %d; it said %s", words, code, said)
		}
	}
	out, said, code := runs(t, exec.Command("setpriv", append(nobody(whose), "zabbix", "get", "--timeout", "1m", "-N", number)...))
	if code != 0 || said != "" || !strings.Contains(out, `"complete":false`) || strings.Contains(out, `"totals"`) {
		t.Errorf("zabbix get: status %d; got %s; it said %s", code, out, said)
	}
}
