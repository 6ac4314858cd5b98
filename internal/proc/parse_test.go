package proc

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseLinks(t *testing.T) {
	sockets := map[string]uint64{"socket:[4711]": 4711, "socket:[0]": 0, "socket:[18446744073709551615]": math.MaxUint64}
	for link, want := range sockets {
		if got, ok := parseSocketLink([]byte(link)); !ok || got != want {
			t.Errorf("%s: got %d, %t", link, got, ok)
		}
	}
	for _, link := range []string{"", "socket:[", "socket:[]", "socket:[1", "socket:[1] (deleted)", "/tmp/socket:[1]",
		"socket:[-1]", "socket:[1x]", "socket:[18446744073709551616]", "pipe:[1]", "net:[1]"} {
		if got, ok := parseSocketLink([]byte(link)); ok {
			t.Errorf("%q: is taken for socket %d", link, got)
		}
	}
}

const statTail = " S 7 812 812 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 3 0 4711 0 0\n"

func TestParseStat(t *testing.T) {
	for _, comm := range []string{"nginx", "a b):\x1b[31m) (", "", ")", "(", "x\ny", "812 (x) S 1 1"} {
		got, err := parseStat([]byte("812 (" + comm + ")" + statTail))
		want := stat{PID: 812, Parent: 7, Comm: []byte(comm), State: 'S', Threads: 3, Start: 4711}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("name %q: %v (-want +got):\n%s", comm, err, diff)
		}
	}
	kernel, err := parseStat([]byte("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 5 0"))
	if err != nil || !kernel.Kernel || kernel.Start != 5 {
		t.Errorf("kernel thread: got %+v, %v", kernel, err)
	}
	for text, want := range map[string]string{
		"":                        "name in parentheses",
		"812 nginx S 1":           "name in parentheses",
		")812 (":                  "name in parentheses",
		"x (y)" + statTail:        "pid: want a number",
		"812 (x) S 7 812":         "field 6",
		"812 (x) SS 7":            "field 3",
		"812 (x) \x00 7":          "field 3",
		"812 (x) S 4294967297 1":  "field 4",
		"812 (x) S 7 1 1 0 -1 -5": "field 9",
	} {
		if _, err := parseStat([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q in it", text, err, want)
		}
	}
}

func TestParseStatus(t *testing.T) {
	text := "Name:\tx\\nUid:\t0\nUmask:\t0022\nState:\tS\nTgid:\t812\nNgid:\t0\nPid:\t812\n" +
		"Uid:\t1000\t33\t0\t0\nGid:\t0\t0\t0\t0\nNSpid:\t812\t5\n"
	got, err := parseStatus([]byte(text))
	if want := (status{PID: 812, UID: 33, PIDDepth: 2}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for text, want := range map[string]string{
		"":                           "lines Tgid and Uid",
		"Tgid:\t8\n":                 "lines Tgid and Uid",
		"Name:\tx\nTgid:\tx\n":       "line 2: Tgid",
		"Tgid:\t8\nUid:\t0\n":        "line 2: Uid",
		"Uid:\t0\t99999999999\t0\t0": "line 1: Uid",
	} {
		if _, err := parseStatus([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q in it", text, err, want)
		}
	}
}

func TestParseBootTime(t *testing.T) {
	got, err := parseBootTime([]byte("cpu 1\nbtime 1700000000\n"))
	if err != nil || got != 1700000000 {
		t.Errorf("got %d, %v", got, err)
	}
	for _, text := range []string{"", "cpu 1\n", "btime x\n", "btime 99999999999999\n"} {
		if got, err := parseBootTime([]byte(text)); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}

func TestParseMount(t *testing.T) {
	got, err := parseMount([]byte(`41 31 0:38 / /sys/a\040b\134x\011 rw,relatime shared:4 master:1 - cgroup2 none rw,nsdelegate` + "\n"))
	want := mount{Root: "/", Point: "/sys/a b\\x\t", Type: "cgroup2", Options: "rw,nsdelegate"}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	m := mount{Options: "rw,hidepid=invisible,gid=4"}
	if m.Option("hidepid") != "invisible" || m.Option("gid") != "4" || m.Option("pid") != "" {
		t.Errorf("options of %q are not read right", m.Options)
	}
	for _, line := range []string{"", "41 31 0:38 / /sys", "41 31 0:38 / /sys rw -", "- - - - - - -", "41 31 0:38 / /x rw a b c"} {
		if m, err := parseMount([]byte(line)); err == nil {
			t.Errorf("%q: got %+v, want an error", line, m)
		}
	}
	for in, want := range map[string]string{`\040`: " ", `\04`: `\04`, `\400`: `\400`, `\`: `\`, `\\040`: `\ `, `a\1778`: "a\x7f8"} {
		if got := unescapeOctal([]byte(in)); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestParsePasswd(t *testing.T) {
	b, err := os.ReadFile("testdata/passwd")
	if err != nil {
		t.Fatal(err)
	}
	want := map[uint32]string{0: "root", 33: "www-data", 1000: "ann", 4294967294: "nobody4", 7: "\x1b[31mred"}
	if diff := cmp.Diff(want, namesOf(parsePasswd(b))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUsers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwd")
	now := time.Unix(1e9, 0)
	u := newUsers(new(crew), fileAt(path))
	defer u.crew.close()
	u.now = func() time.Time { return now }
	check := func(uid uint32, want string) {
		t.Helper()
		if got := u.Name(uid); got != want {
			t.Errorf("user %d: got %q, want %q", uid, got, want)
		}
	}
	check(33, "33")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("www-data:x:33:33::/:\n")
	check(33, "33") // not looked for yet
	now = now.Add(lookEvery)
	check(33, "www-data")
	check(34, "34")
	write("web:x:33:33::/:\n")
	now = now.Add(lookEvery)
	check(33, "web")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	now = now.Add(lookEvery)
	check(33, "33")
	if p := readPasswd([]func() (*os.File, error){fileAt(t.TempDir())}, fileState{}); p.err == nil {
		t.Error("a directory is read as the file of users")
	}
	for uid := range uint32(3 * maxNumbers) {
		u.Name(uid)
	}
	if len(u.numbers) > maxNumbers {
		t.Errorf("%d texts are kept, want at most %d", len(u.numbers), maxNumbers)
	}
	if n := testing.AllocsPerRun(100, func() { u.Name(33) }); n != 0 {
		t.Errorf("%v allocations for a known user", n)
	}
}

func TestInodes(t *testing.T) {
	var s Inodes
	if s.Has(1) || s.Has(0) {
		t.Error("the empty set has something")
	}
	for i := uint64(1); i <= 10000; i++ {
		s.Add(i * 8)
		s.Add(i * 8)
	}
	s.Add(0)
	s.Add(math.MaxUint64)
	if s.Len() != 10001 || s.Has(0) || !s.Has(math.MaxUint64) {
		t.Errorf("%d inodes, want 10,001 without zero", s.Len())
	}
	for i := uint64(1); i < 80000; i++ {
		if want := i%8 == 0; s.Has(i) != want {
			t.Fatalf("has %d: %t", i, !want)
		}
	}
}

func TestStartTime_Bounded(t *testing.T) {
	boot := time.Unix(1700000000, 0)
	if got := startTime(boot, 1234); !got.Equal(boot.Add(12340 * time.Millisecond)) {
		t.Errorf("got %v", got)
	}
	if got := startTime(boot, math.MaxUint64); got.Before(boot) {
		t.Errorf("a damaged number wraps around to %v", got)
	}
}

func TestWrapFile(t *testing.T) {
	_, err := parseStat(nil)
	if err = wrapFile("/proc/1/stat", err); !strings.HasPrefix(err.Error(), "/proc/1/stat: ") || errors.Unwrap(err) == nil {
		t.Errorf("got %v", err)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("812 (a b):\x1b[31m) ()" + statTail))
	f.Add([]byte("1 ()))" + statTail))
	f.Add([]byte("1 () \x00" + statTail[strings.Index(statTail, "S")+1:]))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseStat(b)
		if err == nil && (s.PID == 0 || s.State == 0 || !bytes.Contains(b, s.Comm)) {
			t.Errorf("%q: got %+v", b, s)
		}
	})
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte("Tgid:\t812\nUid:\t1\t2\t3\t4\nNSpid:\t812\t1\n"))
	f.Add([]byte("Tgid:\nUid:"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseStatus(b); err == nil && s.PID == 0 {
			t.Errorf("%q: got %+v", b, s)
		}
		parseBootTime(b)
	})
}

func FuzzParseMount(f *testing.F) {
	b, err := os.ReadFile("testdata/mountinfo")
	if err != nil {
		f.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := parseMount(b); err == nil && (m.Point == "" || m.Type == "" || len(m.Point) > len(b)) {
			t.Errorf("%q: got %+v", b, m)
		}
		netNSMounts(b)
	})
}

func FuzzParsePasswd(f *testing.F) {
	b, err := os.ReadFile("testdata/passwd")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		for uid, name := range namesOf(parsePasswd(b)) {
			if name == "" || len(name) > maxUserName || strings.ContainsAny(name, ":\n") {
				t.Errorf("user %d: %q", uid, name)
			}
		}
	})
}

func FuzzParseLinks(f *testing.F) {
	f.Add([]byte("socket:[4711]"))
	f.Add([]byte("net:[4026531840]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, ok := parseSocketLink(b); ok && n != 0 && b[0] != 's' {
			t.Errorf("%q: %d", b, n)
		}
	})
}
