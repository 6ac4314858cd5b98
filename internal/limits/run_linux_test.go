package limits

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// part is what the second process of a test does.
const part = "WHOSE_LIMITS_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(marker) == "" {
		os.Exit(m.Run())
	}
	switch os.Getenv(part) {
	case "answer":
		fmt.Print("an answer")
		fmt.Fprint(os.Stderr, strings.Repeat("a trace that nobody reads\n", 2000))
	case "since":
		fmt.Print(time.Since(Began()) >= 10*time.Second, " ", os.Getenv("GOMAXPROCS"))
	case "tight":
		_, tight := Tight()
		fmt.Print(tight)
	case "flood":
		for {
			if _, err := os.Stdout.Write(make([]byte, 1<<20)); err != nil {
				break
			}
		}
	case "die":
		fmt.Print("half an ans")
		fmt.Fprint(os.Stderr, "fatal error: \xff\nmore\n")
		os.Exit(2)
	case "traces":
		for { // as the runtime writes
			if _, err := unix.Write(2, []byte(strings.Repeat("x", 1<<12))); err != nil {
				os.Exit(2)
			}
		}
	case "killed":
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	case "mute":
		os.Stdout.Close()
		time.Sleep(time.Hour)
	case "hang":
		time.Sleep(time.Hour)
	}
	os.Exit(0)
}

func TestRun(t *testing.T) {
	limit := Limit{Name: "ulimit -u 7", Threads: true}
	for _, test := range []struct {
		part, want, err string
		timeout         time.Duration
	}{
		{"answer", "an answer", "", 0},
		{"answer", "an answer", "", time.Minute},
		{"since", "true 1", "", time.Minute},
		{"tight", "false", "", time.Minute},
		{"flood", "", "(ulimit -u 7): it wrote more than 100 bytes", 0},
		{"die", "", "(ulimit -u 7): exit status 2, fatal error: ?", 0},
		{"traces", "", "(ulimit -u 7): exit status 2, xxx", 0},
		{"killed", "", "(ulimit -u 7): killed", 0},
		{"mute", "", "(ulimit -u 7): it closed its output", 0},
		{"hang", "", "no answer within", 10*time.Second + 300*time.Millisecond},
	} {
		t.Setenv(part, test.part)
		os.Unsetenv("GOMAXPROCS")
		out, err := limit.Run(time.Now().Add(-10*time.Second), test.timeout, 100)
		var died *DiedError
		var late *LateError
		switch {
		case string(out) != test.want || (err == nil) != (test.err == ""):
			t.Errorf("%s: got %q, %v", test.part, out, err)
		case err != nil && !strings.Contains(err.Error(), test.err):
			t.Errorf("%s: got %v", test.part, err)
		case err != nil && !errors.As(err, &died) && !errors.As(err, &late):
			t.Errorf("%s: got a %T", test.part, err)
		}
	}
}

// TestTightGroup wants limits of control groups found in the group and above it,
// in both versions, and only where little is left.
func TestTightGroup(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"agent.slice/pids.max": "100\n", "agent.slice/pids.current": "37\n", "agent.slice/a.service/pids.max": "max\n",
		"wide.slice/pids.max": "100\n", "wide.slice/pids.current": "36\n", "wide.slice/memory.max": "max\n",
		"big.slice/memory.max": "1073741824\n", "big.slice/memory.current": "629145600\n",
		"pids/docker/pids.max": "20\n", "pids/docker/pids.current": "2\n",
		"memory/docker/memory.limit_in_bytes": "9223372036854771712\n", "memory/docker/memory.usage_in_bytes": "1000\n",
		"memory/pod/memory.limit_in_bytes": "67108864\n", "memory/pod/memory.usage_in_bytes": "1000\n",
		"none/pids.max": "20\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for groups, want := range map[string]Limit{
		"0::/agent.slice/a.service\n":              {Name: "cgroup pids.max 100", Threads: true},
		"0::/wide.slice\n":                         {},
		"0::/big.slice/b\n":                        {Name: "cgroup memory.max 1024 MiB"},
		"0::/\n8:pids:/docker\n4:memory:/docker\n": {Name: "cgroup pids.max 20", Threads: true},
		"4:memory:/docker\n":                       {},
		"4:memory:/pod\n":                          {Name: "cgroup memory.limit_in_bytes 64 MiB"},
		"0::/../../agent.slice\n":                  {Name: "cgroup pids.max 100", Threads: true},
		"0::/none\n":                               {},
		"":                                         {},
		"nonsense\n:\n0::\n1:pids\n3:pids:relative\n": {},
	} {
		if got, tight := tightGroup(groups, root); got != want || tight != (want != Limit{}) {
			t.Errorf("%q: got %v, %v, want %v", groups, got, tight, want)
		}
	}
}
