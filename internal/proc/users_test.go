package proc

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A fakeDirectory answers for users and counts the questions.
type fakeDirectory struct {
	lines map[string]string // by key
	err   error
	asked [][]string
}

func (d *fakeDirectory) ask(_ context.Context, keys []string) ([]byte, error) {
	d.asked = append(d.asked, keys)
	var b strings.Builder
	for _, k := range keys {
		b.WriteString(d.lines[k])
	}
	return []byte(b.String()), d.err
}

func usersAsking(t *testing.T, d *fakeDirectory) (*users, *time.Time) {
	t.Helper()
	now := time.Unix(1e9, 0)
	u := newUsers(new(crew), fileAt(filepath.Join("testdata", "passwd")))
	u.now, u.ask = func() time.Time { return now }, d.ask
	return u, &now
}

func TestUsers_Learn(t *testing.T) {
	d := &fakeDirectory{lines: map[string]string{"61184": "alice:x:61184:1::/:\n", "7000": "garbage\nmallory:x:0:0::/:\n"}}
	u, now := usersAsking(t, d)
	learn := func(want int, uids ...uint32) {
		t.Helper()
		if n, err := u.learn(t.Context(), uids); n != 0 || err != nil {
			t.Errorf("%v: %d unasked, error %v", uids, n, err)
		}
		if len(d.asked) != want {
			t.Errorf("%v: %d questions so far, want %d", uids, len(d.asked), want)
		}
	}
	learn(0, 0, 33) // the file names both
	learn(1, 7000, 61184, 0, 61184, 5)
	if !slices.Equal(d.asked[0], []string{"5", "7000", "61184"}) {
		t.Errorf("asked for %v", d.asked[0])
	}
	for uid, want := range map[uint32]string{61184: "alice", 7000: "7000", 5: "5", 0: "root"} {
		if got := u.Name(uid); got != want {
			t.Errorf("user %d: %q, want %q", uid, got, want)
		}
	}
	learn(1, 5, 61184) // known, and known to be nobody
	*now = now.Add(askAgain)
	learn(2, 5)
	d.err = errors.New("down")
	if n, err := u.learn(t.Context(), []uint32{8, 9}); n != 2 || !errors.Is(err, d.err) {
		t.Errorf("directory down: %d unasked, error %v", n, err)
	}
	if got := u.Name(61184); got != "alice" {
		t.Errorf("directory down: user is %q, want the last answer", got)
	}
	d.err = nil
	many := make([]uint32, 3*maxNumbers)
	for i := range many {
		many[i] = uint32(1e6 + i)
	}
	if _, err := u.learn(t.Context(), many); err != nil || len(u.asked) > maxNumbers {
		t.Errorf("%d answers are kept, want at most %d; error %v", len(u.asked), maxNumbers, err)
	}
	for _, keys := range d.asked {
		if len(keys) > maxDirectoryKeys {
			t.Errorf("%d keys in one question", len(keys))
		}
	}
}

func TestUsers_ID(t *testing.T) {
	d := &fakeDirectory{lines: map[string]string{
		"alice@corp": "alice:x:61184:1::/:\n", "none": "not a line\n", "two": "two:x:7:7::/:\nthree:x:8:8::/:\n",
	}}
	u, _ := usersAsking(t, d)
	for name, want := range map[string]int{
		"root": 0, "www-data": 33, "alice@corp": 61184, "none": -1, "two": -1, "bob": -1,
		"": -1, "-s": -1, "--version": -1, "a:b": -1, "a\nb": -1, "12x": -1, strings.Repeat("a", 300): -1,
	} {
		uid, ok, err := u.id(t.Context(), name)
		if err != nil || ok != (want >= 0) || ok && int(uid) != want {
			t.Errorf("%q: %d, %v, error %v; want %d", name, uid, ok, err, want)
		}
	}
	if got := u.Name(61184); got != "alice" {
		t.Errorf("the user found by name is shown as %q", got)
	}
	for _, keys := range d.asked {
		if keys[0] == "root" || keys[0] == "" || strings.ContainsAny(keys[0][:1], "-1") {
			t.Errorf("asked for %q", keys)
		}
	}
	d.err = errors.New("down")
	if _, _, err := u.id(t.Context(), "bob"); !errors.Is(err, d.err) {
		t.Errorf("directory down: error %v", err)
	}
	if _, ok, err := u.id(t.Context(), "root"); !ok || err != nil {
		t.Errorf("directory down: root is found %v, error %v", ok, err)
	}
	u.ask = nil
	if _, ok, err := u.id(t.Context(), "bob"); ok || err != nil {
		t.Errorf("no directory: found %v, error %v", ok, err)
	}
}

// TestParsePasswd_Names wants the first line of a name and of a number to count.
func TestParsePasswd_Names(t *testing.T) {
	entries := parsePasswd([]byte("a:x:1:\nb:x:1:\na:x:2:\n"))
	if got := fmt.Sprint(namesOf(entries), idsOf(entries)); got != "map[1:a 2:a] map[a:1 b:1]" {
		t.Error(got)
	}
}
