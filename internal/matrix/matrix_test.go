//go:build unix

package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// console is what a virtual machine writes, with the line ends of a terminal
// and with noise before and between.
const console = "SeaBIOS\x1b[2J noise\r\n" +
	"@@matrix booted 6.1.0-56-cloud-amd64\r\n" +
	"@@matrix fact btf yes\r\n" +
	"--- FAIL: TestBeforeAnyPackage (0.00s)\r\n" +
	"@@matrix begin collect\r\n" +
	"=== RUN   TestA\r\n" +
	"=== RUN   TestA/x\r\n" +
	"    a_test.go:7: needs a newer kernel\r\n" +
	"=== RUN   TestA/y\r\n" +
	"    a_test.go:9: got 1, want 2\r\n" +
	"--- FAIL: TestA (0.10s)\r\n" +
	"    --- SKIP: TestA/x (0.00s)\r\n" +
	"    --- FAIL: TestA/y (0.00s)\r\n" +
	"--- PASS: TestB (0.00s)\r\n" +
	"FAIL\r\n\r\n" +
	"@@matrix end collect 1\r\n" +
	"@@matrix begin proc\r\npanic: no\r\n\r\n@@matrix end proc 2\r\n" +
	"@@matrix complaint WARNING: CPU: 1\r\n" +
	"@@matrix done\r\n"

func TestParseConsole(t *testing.T) {
	r := parseConsole([]byte(console))
	if r.err != nil {
		t.Fatal(r.err)
	}
	if r.release != "6.1.0-56-cloud-amd64" || r.fact("btf") != "yes" || r.fact("none") != "unknown" {
		t.Errorf("release %q, btf %q", r.release, r.fact("btf"))
	}
	if len(r.packages) != 2 || r.packages[0].status != 1 || r.packages[1].status != 2 {
		t.Fatalf("packages: %+v", r.packages)
	}
	want := []testResult{
		{"TestA", "FAIL", ""}, {"TestA/x", "SKIP", "needs a newer kernel"},
		{"TestA/y", "FAIL", "got 1, want 2"}, {"TestB", "PASS", ""},
	}
	var got []testResult
	got = append(got, r.packages[0].tests...)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(testResult{})); diff != "" {
		t.Errorf("tests (-want +got):\n%s", diff)
	}
	if got := exitStatus([]result{r}); got != 1 {
		t.Errorf("exit status %d, want 1", got)
	}
}

func TestParseConsole_CutShort(t *testing.T) {
	cut, _, _ := strings.Cut(console, "@@matrix end collect")
	r := parseConsole([]byte(cut))
	if r.err == nil || exitStatus([]result{r}) != 2 {
		t.Errorf("a console without an end: error %v, exit status %d; want an error and 2", r.err, exitStatus([]result{r}))
	}
}

func TestExitStatus_NothingRan(t *testing.T) {
	if got := exitStatus([]result{{done: true}}); got != 1 {
		t.Errorf("a kernel under which no package ran: exit status %d, want 1", got)
	}
}

func TestWriteRecord(t *testing.T) {
	r := parseConsole([]byte(console))
	r.spec, r.pkg, r.accel = "6.1", "linux-image-6.1.0-56-cloud-amd64", "tcg"
	file := filepath.Join(t.TempDir(), "record.md")
	if err := os.WriteFile(file, []byte("# By hand\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeRecord(file, nil, time.Unix(0, 0)); err == nil {
		t.Error("a page without a place for it was written over")
	}
	page := "# By hand\n\n" + recordBegin + "\nan older run\n" + recordEnd + "\n\nAlso by hand\n"
	if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeRecord(file, []result{r}, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Made on 1970-01-01",
		"| 6.1.0-56-cloud-amd64 | linux-image-6.1.0-56-cloud-amd64 | yes | QEMU, software emulation | 0s |",
		"| `collect` | 1 passed, 1 skipped, **2 failed** |",
		"| `proc` | 0 passed, **exit status 2** |",
		"- `TestA/x` skipped: needs a newer kernel",
		"- kernel: WARNING: CPU: 1",
		"# By hand\n\n" + recordBegin,
		recordEnd + "\n\nAlso by hand\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("record has no line %q:\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "an older run") {
		t.Error("the older run is still there")
	}
}

func TestPlain(t *testing.T) {
	if got := plain("a|b"); got != `a\|b` {
		t.Errorf("a bar: %q", got)
	}
	if got := len([]rune(plain(strings.Repeat("ä", 5000)))); got != reasonLength+2 {
		t.Errorf("a long reason has %d characters, want %d", got, reasonLength+2)
	}
}

func TestCompareVersions(t *testing.T) {
	older, newer := "linux-image-6.1.0-9-cloud-amd64", "linux-image-6.1.0-56-cloud-amd64"
	if compareVersions(older, newer) >= 0 || compareVersions(newer, older) <= 0 {
		t.Error("6.1.0-9 is not below 6.1.0-56")
	}
}

func TestArchiveIn(t *testing.T) {
	deb822 := "Types: deb\nURIs: http://archive.example/security\nSuites: bookworm-security\n\n" +
		"# a note: with a colon\nTypes: deb deb-src\nURIs: http://archive.example/debian\n" +
		"Suites: bookworm bookworm-updates\nSigned-By: /k.gpg\n"
	list := "# deb http://archive.example/old bookworm main\n" +
		"deb [arch=amd64 signed-by=/k.gpg] http://archive.example/debian bookworm main contrib\n"
	want := archive{"http://archive.example/debian", "/k.gpg"}
	if got, ok := archiveIn(deb822, "bookworm", true); !ok || got != want {
		t.Errorf("deb822: %+v %v, want %+v", got, ok, want)
	}
	if got, ok := archiveIn(list, "bookworm", false); !ok || got != want {
		t.Errorf("list: %+v %v, want %+v", got, ok, want)
	}
	if got, ok := archiveIn(list, "trixie", false); ok {
		t.Errorf("found %+v for a release that is not there", got)
	}
}

func TestChooseModules(t *testing.T) {
	dep := "kernel/net/ipv4/inet_diag.ko.xz:\n" +
		"kernel/net/ipv4/tcp_diag.ko.xz: kernel/net/ipv4/inet_diag.ko.xz\n" +
		"kernel/net/8021q/8021q.ko:\n" +
		"kernel/net/vsock-diag.ko:\n"
	names, files := chooseModules(dep, []string{"tcp_diag", "inet_diag", "absent", "vsock_diag"})
	if diff := cmp.Diff([]string{"tcp_diag", "inet_diag", "vsock_diag"}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	wantFiles := []string{
		"kernel/net/ipv4/tcp_diag.ko.xz", "kernel/net/ipv4/inet_diag.ko.xz", "kernel/net/vsock-diag.ko",
	}
	if diff := cmp.Diff(wantFiles, files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestCpio(t *testing.T) {
	source := t.TempDir()
	if err := os.WriteFile(filepath.Join(source, "five"), []byte("12345"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("five", filepath.Join(source, "link")); err != nil {
		testenv.Missing(t, "symbolic links", err.Error())
	}
	var b bytes.Buffer
	c := newCpioWriter(&b)
	c.entry("dev/console", modeChar|0o600, 5, 1, 0, nil)
	c.text("init", "#!", 0o755)
	c.tree("a/b", source)
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	want := []member{
		{"dev/console", modeChar | 0o600, ""}, {"init", modeFile | 0o755, "#!"},
		{"a", modeDir | 0o755, ""}, {"a/b", modeDir | 0o755, ""},
		{"a/b/five", modeFile | 0o755, "12345"}, {"a/b/link", modeLink | 0o777, "five"},
		{"TRAILER!!!", 0, ""},
	}
	if diff := cmp.Diff(want, readCpio(t, b.Bytes()), cmp.AllowUnexported(member{})); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}

// A member is one of an archive, as a reader sees it.
type member struct {
	name string
	mode int
	data string
}

// readCpio reads the archive by the format's description.
func readCpio(t *testing.T, b []byte) []member {
	t.Helper()
	var members []member
	next := func(n int) []byte {
		if len(b) < n {
			t.Fatalf("archive ends %d bytes early", n-len(b))
		}
		head := b[:n]
		b = b[n:]
		return head
	}
	for len(b) > 0 {
		header := next(110)
		if string(header[:6]) != "070701" {
			t.Fatalf("magic %q", header[:6])
		}
		field := func(i int) int {
			raw, err := hex.DecodeString(string(header[6+8*i : 14+8*i]))
			if err != nil {
				t.Fatal(err)
			}
			return int(binary.BigEndian.Uint32(raw))
		}
		length := field(11)
		name := strings.TrimRight(string(next(length)), "\x00")
		next((4 - (110+length)%4) % 4)
		data := string(next(field(6)))
		next((4 - field(6)%4) % 4)
		members = append(members, member{name, field(1), data})
	}
	return members
}

func TestShortName(t *testing.T) {
	p := goPackage{ImportPath: "example.org/m/collect/internal", Module: &struct{ Path string }{"example.org/m"}}
	if got := shortName(p); got != "collect/internal" {
		t.Errorf("short name %s", strconv.Quote(got))
	}
}
