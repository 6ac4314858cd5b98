package main

import (
	"context"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestHostileBTF mounts something else over the kernel's types: nobody waits for
// it, `bpf` says so, and the automatic choice answers another way.
func TestHostileBTF(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedProgram(t, "unshare", "mkfifo")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tried, wrong := 0, 0
	for _, place := range []string{"mkfifo vmlinux", ": >vmlinux", "truncate -s 1G vmlinux", "head -c 9999 /dev/urandom >vmlinux", "mkdir vmlinux"} {
		for args, status := range map[string]int{
			"--source bpf": exitFailed, "-l": exitFound, "watch --source bpf --for 50ms": exitFailed, "watch --events standing --for 50ms": exitFound,
		} {
			tried++
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			cmd := exec.CommandContext(ctx, "unshare", "-m", "sh", "-c", place+" && mount --bind . /sys/kernel/btf && exec whose "+args)
			cmd.Dir = t.TempDir()
			out, said, code := runs(t, cmd)
			late := ctx.Err() != nil
			cancel()
			if late || code != status || strings.Contains(said, "goroutine") {
				t.Errorf("%s: %s: status %d, want %d; late %v; got %.200s; it said %.300s", place, args, code, status, late, out, said)
				wrong++
			}
		}
	}
	testenv.Tried(t, tried, wrong)
}
