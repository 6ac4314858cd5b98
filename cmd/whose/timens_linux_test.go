package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestTimeNamespace asks in time namespaces about a process outside: its start is
// the wall clock's by every source, and its command line is there. Events have the
// time of the wall clock too.
func TestTimeNamespace(t *testing.T) {
	testenv.NeedRoot(t)
	unshare := testenv.NeedProgram(t, "unshare")
	if _, err := os.Stat("/proc/self/timens_offsets"); err != nil {
		testenv.Lacks(t, "time namespaces", err.Error())
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "whose")
	if err := os.Symlink(exe, program); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	want := owner{}
	for _, offset := range []int64{0, 1_000_000, -30, -100 * 365 * 24 * 3600} {
		in := []string{"--time", "--boottime", fmt.Sprint(offset), "--fork", program}
		if offset == 0 {
			in = []string{"--ipc", program}
		}
		for _, ask := range [][]string{
			{"--source", "bpf"}, {"--source", "netlink"}, {"--source", "procfs"},
			{"watch", "--source", "bpf", "--events", "standing", "--for", "10ms"}, {"watch", "--source", "snapshot", "--events", "standing", "--for", "10ms"},
		} {
			args := append(append(in, ask...), "-o", "jsonl", "--fields", "+start_time,cmdline,exe", fmt.Sprintf("lport %d and pid %d", port, os.Getpid()))
			began := time.Now()
			out, err := exec.Command(unshare, args...).Output()
			if err != nil && strings.Contains(string(errOf(err)), "timens_offsets") {
				continue // this host is not up for so long
			}
			got, at, err := ownerIn(out)
			if err != nil {
				t.Errorf("offset %d, %v: %v: %s", offset, ask, err, out)
				continue
			}
			if want == (owner{}) {
				want = got
			}
			if got != want || got.Cmdline == "" || time.Since(got.StartTime).Abs() > time.Hour {
				t.Errorf("offset %d, %v: %+v, want %+v", offset, ask, got, want)
			}
			if !at.IsZero() && (at.Before(began) || at.After(time.Now())) {
				t.Errorf("offset %d, %v: at %v, want between %v and now", offset, ask, at, began)
			}
		}
	}
}

func errOf(err error) []byte {
	if e, ok := err.(*exec.ExitError); ok {
		return e.Stderr
	}
	return nil
}

// An owner is the owner of a session in JSON.
type owner struct {
	StartTime time.Time `json:"start_time"`
	Cmdline   string    `json:"cmdline"`
	Exe       string    `json:"exe"`
}

// ownerIn returns the owner in the first line of a listing or of events, and the
// time of an event.
func ownerIn(out []byte) (owner, time.Time, error) {
	line, _, _ := strings.Cut(string(out), "\n")
	type session struct{ Owners []owner }
	var v struct {
		session
		Time    time.Time
		Session session
	}
	if err := json.Unmarshal([]byte(line), &v); err != nil {
		return owner{}, time.Time{}, err
	}
	owners := append(v.Owners, v.Session.Owners...)
	if len(owners) != 1 {
		return owner{}, time.Time{}, fmt.Errorf("%d owners", len(owners))
	}
	return owners[0], v.Time, nil
}
