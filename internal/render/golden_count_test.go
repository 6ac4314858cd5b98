package render

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/tally"
)

func nameOfHost(addr netip.Addr) string {
	switch addr.String() {
	case "203.0.113.7":
		return "client.example.net"
	case "198.51.100.2":
		return "evil\x1b[2J.example.net"
	}
	return ""
}

func sampleCount() *tally.Count {
	by := fieldsNamed("comm state")
	row := func(n int, comm, state string) tally.Row {
		values := []whose.Value{{}, {Kind: whose.KindName, Text: state}}
		if comm != "" {
			values[0] = whose.Value{Kind: whose.KindText, Text: comm}
		}
		return tally.Row{Values: values, Count: n}
	}
	return &tally.Count{By: by, Total: 12345, Rows: []tally.Row{
		row(10211, "nginx", "ESTABLISHED"), row(99, "=cmd|' /C calc'!A0", "LISTEN"), row(7, "データ\x1b", "LISTEN"),
		row(1, "", "TIME_WAIT"),
	}}
}

func countCoverage() *whose.Coverage {
	return &whose.Coverage{Source: "bpf", Sessions: 12345, Processes: 7, Namespaces: 1}
}

func TestGolden_Counts(t *testing.T) {
	var screens []txtar.File
	for _, format := range []string{Table, JSON, JSONL, CSV, TSV} {
		var b bytes.Buffer
		if err := Counts(&b, format, sampleCount(), countCoverage(), Options{}); err != nil {
			t.Fatal(err)
		}
		screens = append(screens, screen(format, b.String()))
	}
	var b bytes.Buffer
	if err := Counts(&b, Table, sampleCount(), countCoverage(), Options{Width: 30, Color: true}); err != nil {
		t.Fatal(err)
	}
	screens = append(screens, screen("table, 30 columns, colour", b.String()))
	golden(t, "counts", screens)
}

func TestCounts_MeetsSchema(t *testing.T) {
	c := strictSchema(t)
	whole, group := c.MustCompile("whose.json#/$defs/count"), c.MustCompile("whose.json#/$defs/group")
	for _, cov := range []*whose.Coverage{nil, {Source: "netlink", Gaps: whose.Gaps{{Kind: whose.GapProcesses, Cause: whose.CausePermission}}}} {
		count := sampleCount()
		var b bytes.Buffer
		if err := Counts(&b, JSON, count, cov, Options{}); err != nil {
			t.Fatal(err)
		}
		validate(t, whole, b.String())
		if got := strings.Contains(b.String(), `"partial":[{"kind":"processes"`); got != (cov != nil) {
			t.Errorf("coverage %v: %s", cov, b.String())
		}
		b.Reset()
		if err := Counts(&b, JSONL, count, cov, Options{}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			validate(t, group, line)
		}
	}
}

func TestCounts_Refuses(t *testing.T) {
	if err := Counts(&bytes.Buffer{}, Template, sampleCount(), countCoverage(), Options{}); err == nil || whose.Hint(err) == "" {
		t.Errorf("template: error %v with hint %q, want one with a hint", err, whose.Hint(err))
	}
	c := sampleCount()
	c.Rows[0].Values = nil
	if err := Counts(&bytes.Buffer{}, Table, c, nil, Options{}); err == nil {
		t.Error("a row without its values was accepted")
	}
}

// TestCount_Bytes: sums of bytes read at a terminal as in a listing and in a summary,
// and are plain numbers in a pipe.
func TestCount_Bytes(t *testing.T) {
	c := &tally.Count{By: fieldsNamed("comm"), Sum: fieldsNamed("bytes_sent rtt"), Total: 3, Rows: []tally.Row{
		{Values: []whose.Value{{Kind: whose.KindText, Text: "nginx"}}, Count: 3, Sums: []uint64{8_600_000_000, 12}},
	}}
	for width, want := range map[int]string{0: "8600000000", 80: "8.6 GB"} {
		var b bytes.Buffer
		if err := countTable(&b, c, &Options{Width: width}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), want) {
			t.Errorf("width %d: no %q in\n%s", width, want, &b)
		}
	}
}
