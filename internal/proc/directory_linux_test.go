package proc

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// scripted returns a directory whose getent is a shell script.
func scripted(t *testing.T, script string) *directory {
	t.Helper()
	path := filepath.Join(t.TempDir(), "getent")
	if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	return &directory{command: testenv.NeedProgram(t, "sh"), args: []string{path}, patience: time.Minute}
}

func TestDirectory(t *testing.T) {
	for name, test := range map[string]struct{ script, want, wrong string }{
		"found":   {script: `echo "$1:$2"`, want: "a:b\n"},
		"unknown": {script: `echo a; exit 2`, want: "a\n"},
		"broken":  {script: `exit 1`, wrong: "exit status 1"},
		"killed":  {script: `kill -9 $$`, wrong: "killed"},
		"flood":   {script: `while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done`, wrong: "too long"},
		"clean":   {script: `echo "$HOME $SECRET $LD_PRELOAD"; pwd`, want: "  \n/\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SECRET", "x")
			d := scripted(t, test.script)
			out, err := d.look(t.Context(), []string{"a", "b"})
			switch {
			case test.wrong == "" && (err != nil || string(out) != test.want):
				t.Errorf("got %q, error %v; want %q", out, err, test.want)
			case test.wrong != "" && (err == nil || !strings.Contains(err.Error(), test.wrong)):
				t.Errorf("error %v, want one about %q", err, test.wrong)
			}
		})
	}
	if out, err := (&directory{command: "/no/such/getent", patience: time.Minute}).look(t.Context(), nil); out != nil || err != nil {
		t.Errorf("no getent: %q, error %v", out, err)
	}
}

// sizeOf returns the size of a file, 0 if it is missing.
func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// TestDirectory_Hang wants an answer although getent, and what it has started,
// give none, and neither to be left.
func TestDirectory_Hang(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	d := scripted(t, `sleep 1000 & echo $$ $! >>`+pids+`; wait`)
	d.patience = 300 * time.Millisecond
	if _, err := d.look(t.Context(), []string{"a"}); err == nil || !strings.Contains(err.Error(), "no answer within 300ms") {
		t.Errorf("error %v", err)
	}
	d.patience = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	before := sizeOf(pids)
	go func() { // ends it once it has begun
		for sizeOf(pids) == before && t.Context().Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
	}()
	if _, err := d.look(ctx, []string{"a"}); err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("error %v", err)
	}
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range strings.Fields(string(text)) {
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			stat, err := os.ReadFile("/proc/" + pid + "/stat")
			if err != nil || strings.Contains(string(stat), ") Z ") {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("process %s is left", pid)
			}
		}
	}
}
