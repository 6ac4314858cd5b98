package render

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/lots"
)

var update = flag.Bool("update", false, "write golden files and generated pages instead of comparing")

// rendered returns what a format makes of the sessions.
func rendered(t testing.TB, format string, opts Options, sessions []whose.Session) string {
	t.Helper()
	var b bytes.Buffer
	r, err := New(format, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Write(&b, lots.Slice(sessions), sampleCoverage(sessions)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func sampleCoverage(sessions []whose.Session) *whose.Coverage {
	c := &whose.Coverage{Source: "bpf", Pinned: true, OwnersAsked: true, Processes: 123, Namespaces: 4,
		Sessions: len(sessions), Duration: 71_250 * time.Microsecond}
	for _, s := range sessions {
		if s.Reason == whose.ReasonNone {
			c.Owned++
		} else {
			c.Ownerless[s.Reason]++
		}
	}
	c.Add(whose.Gap{Kind: whose.GapProcesses, Cause: whose.CausePermission, Count: 12, Hint: "run as root, or see `whose pin`"})
	c.Add(whose.Gap{Kind: whose.GapSessions, Cause: whose.CauseDeadline})
	return c
}

// golden compares a file of several screens with what is rendered now.
func golden(t *testing.T, name string, screens []txtar.File) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	got := txtar.Format(&txtar.Archive{Files: screens})
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want = bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (run with -update to accept) (-want +got):\n%s", path, diff)
	}
}

// screen names a screen in a golden file; escape codes are made visible.
func screen(name, text string) txtar.File {
	return txtar.File{Name: name, Data: []byte(strings.ReplaceAll(text, "\x1b", "␛"))}
}

func TestGolden_Tables(t *testing.T) {
	for name, sessions := range samples() {
		t.Run(name, func(t *testing.T) {
			here := func(width int) Options { return Options{Width: width, OwnNetNS: sampleNetNS} }
			var screens []txtar.File
			for _, width := range []int{200, 120, 80, 60, 40, 20} {
				screens = append(screens, screen(fmt.Sprintf("table, %d columns", width),
					rendered(t, Table, here(width), sessions)))
			}
			colored := here(80)
			colored.Color = true
			screens = append(screens,
				screen("table, 80 columns, colour", rendered(t, Table, colored, sessions)),
				screen("table, no terminal", rendered(t, Table, here(0), sessions)),
				screen("wide, 200 columns", rendered(t, Wide, here(200), sessions)),
				screen("wide, 120 columns", rendered(t, Wide, here(120), sessions)),
				screen("wide, 80 columns", rendered(t, Wide, here(80), sessions)),
				screen("wide, no terminal", rendered(t, Wide, here(0), sessions)))
			golden(t, "table_"+name, screens)
		})
	}
}

func TestGolden_Programs(t *testing.T) {
	for name, sessions := range samples() {
		t.Run(name, func(t *testing.T) {
			var screens []txtar.File
			for _, format := range []string{JSON, CSV, TSV, PyTCPProcess} {
				screens = append(screens, screen(format, rendered(t, format, Options{}, sessions)))
			}
			golden(t, "programs_"+name, screens)
		})
	}
}

func TestGolden_Fields(t *testing.T) {
	opts := Options{Fields: fieldsNamed("netns_name proto local_port pid comm fds rtt cong bytes_sent unit cmdline user")}
	var screens []txtar.File
	for _, name := range []string{"measured", "containers", "webhost"} {
		for _, format := range []string{Table, JSONL, CSV} {
			screens = append(screens, screen(name+" as "+format, rendered(t, format, opts, samples()[name])))
		}
		narrow := opts
		narrow.Width, narrow.NoHeader = 100, true
		screens = append(screens, screen(name+", 100 columns, no header", rendered(t, Table, narrow, samples()[name])))
	}
	added := Options{Added: fieldsNamed("rtt unit user pid netns direction")}
	for _, width := range []int{0, 100, 160} {
		added.Width = width
		screens = append(screens,
			screen(fmt.Sprintf("measured, table and more, %d columns", width), rendered(t, Table, added, samples()["measured"])),
			screen(fmt.Sprintf("containers, wide and more, %d columns", width), rendered(t, Wide, added, samples()["containers"])))
	}
	golden(t, "fields", screens)
}

func TestGolden_Names(t *testing.T) {
	opts := Options{
		Width: 100,
		ServiceName: func(port uint16, proto whose.Proto) string {
			return map[uint16]string{22: "ssh", 443: "https", 5432: "postgresql"}[port]
		},
		HostName: nameOfHost,
	}
	golden(t, "names", []txtar.File{screen("table, resolved", rendered(t, Table, opts, webHost()))})
}
