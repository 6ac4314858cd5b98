package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestAgent_ExportsToFolder reads back what an agent laid into a folder: the listener and
// the session that stood, the end of another one, each with the host.
func TestAgent_ExportsToFolder(t *testing.T) {
	testenv.NeedRoot(t)
	folder, spool := t.TempDir(), filepath.Join(t.TempDir(), "spool")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dial := func() (c, a net.Conn) {
		c, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			a, err = l.Accept()
		}
		if err != nil {
			t.Fatal(err)
		}
		return c, a
	}
	c1, a1 := dial()
	defer c1.Close()
	defer a1.Close()
	m := startManaged(t, buildBoth(t), []string{"--history", "off", "--no-cmdline",
		"--export", "file:" + folder, "--spool", spool, "--host", "db-1"})
	c2, a2 := dial()
	c2.Close()
	a2.Close()
	until(t, "the first batch is in the folder", func() bool {
		names, _ := filepath.Glob(filepath.Join(folder, "*.jsonl.zst"))
		return len(names) > 0
	})
	m.signal(syscall.SIGTERM)
	if err := m.cmd.Wait(); err != nil {
		t.Fatalf("the agent's end: %v: %s", err, m.said())
	}
	seen := map[string]int{}
	for _, e := range exportedEvents(t, folder, spool) {
		if e.Host != "db-1" {
			t.Fatalf("the host of %+v is %q", e, e.Host)
		}
		for _, o := range e.Session.Owners {
			if o.Cmdline != "" {
				t.Errorf("a command line: %q", o.Cmdline)
			}
		}
		if e.Session.Local.String() == l.Addr().String() || e.Session.Remote.String() == l.Addr().String() {
			seen[e.Kind.String()+" "+e.Session.State.String()]++
		}
	}
	if seen["standing LISTEN"] != 1 || seen["standing ESTABLISHED"] != 2 || seen["close CLOSE"] != 2 {
		t.Errorf("got %v, want the listener, both ends of the session that stands, and of the one that ended", seen)
	}
}

// exportedEvents reads the batches of folders.
func exportedEvents(t *testing.T, folders ...string) (all []whose.Event) {
	t.Helper()
	for _, folder := range folders {
		names, err := filepath.Glob(filepath.Join(folder, "*.jsonl.zst"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			packed, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			dec, err := zstd.NewReader(bytes.NewReader(packed))
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(dec)
			dec.Close()
			if err != nil {
				t.Fatal(err)
			}
			for line := range bytes.Lines(text) {
				e, err := whose.ParseEvent(line)
				if err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				all = append(all, e)
			}
		}
	}
	return all
}

// TestAgent_ExportUsage: a target that cannot be meant ends the agent before it follows
// anything, with status 2, and shows no password.
func TestAgent_ExportUsage(t *testing.T) {
	dir := buildBoth(t)
	for args, says := range map[string]string{
		"--export ftp://host":                          "want clickhouse+https://HOST or file:/DIR",
		"--export file:here":                           "absolute path",
		"--export clickhouse+https://me:geheim@host":   "in the list of processes",
		"--export file:/x --spool-bytes many":          "--spool-bytes: want a size",
		"--export-ca ca.pem":                           "--export-ca: want --export too",
		"--export clickhouse+https://host --export-ca": "flag needs an argument",
	} {
		cmd := exec.CommandContext(t.Context(), dir+"/whose", append([]string{"agent", "--history=off", "--socket=off"}, strings.Fields(args)...)...)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		text := string(out)
		if !errors.As(err, &exit) || exit.ExitCode() != exitUsage || !strings.Contains(text, says) ||
			strings.Contains(text, "following") || strings.Contains(text, "geheim") {
			t.Errorf("whose agent %s: %v: %s; want %q", args, err, text, says)
		}
	}
}
