package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// Every command pays at its start for each linked package that initialises
// something, needed or not. A listing of a small host takes some milliseconds;
// net/http alone would take one and a half of them.

// notLinked are the packages that the command does without, and why.
var notLinked = map[string]string{
	"crypto/tls":                      "1 ms; what speaks to a server is another program",
	"database/sql":                    "what keeps history is another program",
	"net/http":                        "1.7 ms; what serves is another program",
	"html/template":                   "text/template comes with cobra anyway",
	"encoding/gob":                    "JSON is enough",
	"github.com/cilium/ebpf/features": "it makes tables of all that kernels may lack",
	"github.com/cilium/ebpf/link":     "it links features; internal/bpf attaches programs itself",
	"github.com/cilium/ebpf/perf":     "ring buffers are used, read by package bpfevent",
	"github.com/cilium/ebpf/ringbuf":  "package bpfevent reads the ring itself",
	"github.com/prometheus/client_golang/prometheus": "what serves is another program",
	"modernc.org/sqlite":                             "1.7 ms; whose-agent has it",
	"github.com/parquet-go/parquet-go":               "whose-agent has it",
}

func TestStart_Links(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), goTool(t), "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	linked := strings.Fields(string(out))
	if !slices.Contains(linked, "github.com/spf13/cobra") {
		t.Fatalf("the list of linked packages lacks cobra: %d packages", len(linked))
	}
	for _, pkg := range linked {
		if why, ok := notLinked[pkg]; ok {
			t.Errorf("%s is linked: %s", pkg, why)
		}
	}
	const most = 200
	if len(linked) > most {
		t.Errorf("%d packages are linked, at most %d should be", len(linked), most)
	}
}

// TestStart_Initialises counts what is allocated before main: by packages of
// this module nothing, by all together little.
func TestStart_Initialises(t *testing.T) {
	program := filepath.Join(t.TempDir(), "whose")
	build := exec.CommandContext(t.Context(), goTool(t), "build", "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var trace bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, "version")
	cmd.Env, cmd.Stderr = append(os.Environ(), "GODEBUG=inittrace=1"), &trace
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, trace.Bytes())
	}
	// init PACKAGE @TIME ms, TIME ms clock, BYTES bytes, COUNT allocs
	packages, bytes, allocs := 0, 0, 0
	for line := range strings.Lines(trace.String()) {
		words := strings.Fields(line)
		if len(words) < 11 || words[0] != "init" {
			continue
		}
		n, errN := strconv.Atoi(words[7])
		times, errT := strconv.Atoi(words[9])
		if errN != nil || errT != nil {
			t.Fatalf("the runtime says %q", line)
		}
		packages, bytes, allocs = packages+1, bytes+n, allocs+times
		if strings.HasPrefix(words[1], "github.com/seed-44df2ae6/whose") && times > 0 {
			t.Errorf("package %s allocates %d times at the start; it should when it is first used", words[1], times)
		}
	}
	const mostBytes, mostAllocs = 72 << 10, 280
	if packages < 20 || bytes > mostBytes || allocs > mostAllocs {
		t.Errorf("%d packages allocate %d bytes in %d pieces at the start; want at most %d in %d", packages, bytes, allocs, mostBytes, mostAllocs)
	}
	t.Logf("%d packages allocate %d bytes in %d pieces at the start", packages, bytes, allocs)
}

func goTool(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("go")
	if err != nil {
		testenv.Missing(t, "the go command", err.Error())
	}
	return path
}

// TestNeeded shows that the tree for one command line runs it as the whole tree
// does, and that a listing takes no subcommand.
func TestNeeded(t *testing.T) {
	lines := []string{
		"", "-l", "-o tsv :443", "nginx", "state established", "--version", "-V", "process count", "-o count", "--pin-dir version -q",
		"help", "help count", "--help", "--help=true", "-h", "-lh", "count --help", "watch -h", "completion bash", "__complete count --", "__complete z",
		"version", "unpin --pin-dir x", "zabbix get --timeout 1", "zabbix", "count nginx", "-l count", "--color never fields",
		"cuont", "counts", "--no-such-flag", "help no-such",
	}
	for _, s := range subcommands() {
		lines = append(lines, s.name, s.name+" --help", "--color never "+s.name)
	}
	sh := &shell{out: &bytes.Buffer{}, err: &bytes.Buffer{}, getenv: func(string) string { return "" }}
	for _, line := range lines {
		args := strings.Fields(line)
		below, whole := needed(args)
		part, all := newTree(sh, below, whole), newRoot(sh)
		got, gotRest, gotErr := part.Find(args)
		want, wantRest, wantErr := all.Find(args)
		if got.CommandPath() != want.CommandPath() || !slices.Equal(gotRest, wantRest) || (gotErr == nil) != (wantErr == nil) {
			t.Errorf("whose %s: %q with %q (%v), in the whole tree %q with %q (%v)",
				line, got.CommandPath(), gotRest, gotErr, want.CommandPath(), wantRest, wantErr)
		}
	}
	for _, line := range []string{"", "-l", "-o tsv :443", "nginx and not port 22", "--watch 2s", "-- host"} {
		if below, whole := needed(strings.Fields(line)); len(below) > 0 || whole {
			t.Errorf("whose %s: %d subcommands are made", line, len(below))
		}
	}
	for _, s := range subcommands() {
		if name := s.make(sh).Name(); name != s.name {
			t.Errorf("subcommand %q calls itself %q", s.name, name)
		}
	}
}
