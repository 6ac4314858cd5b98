package proc

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
)

// testdata/cgroups holds contents of /proc/PID/cgroup, each headed by what is
// to be read in it: "== unit=U container=C runtime=R pod=P".
func TestParseCgroups(t *testing.T) {
	b, err := os.ReadFile("testdata/cgroups")
	if err != nil {
		t.Fatal(err)
	}
	cases := strings.Split("\n"+string(b), "\n==")[1:]
	if len(cases) < 20 {
		t.Fatalf("%d cases, want at least 20", len(cases))
	}
	for _, c := range cases {
		head, text, _ := strings.Cut(c, "\n")
		var want Cgroup
		for _, word := range strings.Fields(head) {
			key, value, _ := strings.Cut(word, "=")
			switch key {
			case "unit":
				want.Unit = value
			case "container":
				want.Container = value
			case "runtime":
				want.Runtime = value
			case "pod":
				want.Pod = value
			default:
				t.Fatalf("head %q", head)
			}
		}
		got := parseCgroups([]byte(text))
		if got.ID != "" && (!isHash(got.ID) || !strings.HasPrefix(got.ID, strings.TrimPrefix(got.Container, whose.ByUser))) {
			t.Errorf("%s\nid %q of container %q", text, got.ID, got.Container)
		}
		got.Path, got.ID = "", ""
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s\n(-want +got):\n%s", text, diff)
		}
	}
}

func FuzzParseCgroups(f *testing.F) {
	b, err := os.ReadFile("testdata/cgroups")
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range strings.Split(string(b), "\n==") {
		_, text, _ := strings.Cut(c, "\n")
		f.Add([]byte(text))
	}
	f.Add([]byte("0::/docker-\xff.scope\n1:::/\n::\n0::/\\x2"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := parseCgroups(b)
		for _, s := range []string{c.Unit, c.Container, c.Pod, c.Path} {
			if len(s) > len(b) || strings.ContainsRune(s, '\n') && !strings.Contains(string(b), `\x`) {
				t.Errorf("%q out of %q", s, b)
			}
		}
		if c.Pod != "" && len(c.Pod) != 36 && len(c.Pod) != 32 {
			t.Errorf("pod %q", c.Pod)
		}
	})
}
