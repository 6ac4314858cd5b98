package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestHostileDeadRoot gives commands a root of procfs on a file system that
// does not answer. Each ends by itself, with the reason, and the process is gone
// although its readers are not back.
func TestHostileDeadRoot(t *testing.T) {
	dead := testenv.NewDeadFS(t)
	dead.Die()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "whose")
	if err := os.Symlink(exe, program); err != nil {
		t.Fatal(err)
	}
	tried, wrong := 0, 0
	for _, args := range [][]string{
		{"--timeout", "100ms"}, {"count"}, {"watch", "--source", "snapshot"}, {"zabbix", "get"}, {"zabbix", "count"},
	} {
		tried++
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		cmd := exec.CommandContext(ctx, program, append(args, "--proc", filepath.Join(dead.Dir, "x"))...)
		cmd.WaitDelay = time.Second
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		err := cmd.Run()
		late := ctx.Err() != nil
		cancel()
		said := strings.Contains(errs.String(), "no answer") || strings.Contains(out.String(), "no answer")
		if len(args) > 1 && args[1] == "get" {
			said = err == nil && json.Valid(out.Bytes())
		}
		if late || errors.Is(err, exec.ErrWaitDelay) || !said {
			t.Errorf("%q: late %v, %v: %s%s", args, late, err, out.String(), errs.String())
			wrong++
		}
	}
	testenv.Tried(t, tried, wrong)
}
