package hostname

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
)

func TestParseServices(t *testing.T) {
	got := parseServices(strings.NewReader("# services\nhttp\t80/tcp www # web\nhttp-alt 80/tcp\nntp 123/udp\n" +
		"broken\nx 99999/tcp\ny abc/tcp\nz 5/sctp\nevil\x1b[31m 7/tcp\n"))
	want := map[service]string{
		{whose.TCP, 80}: "http", {whose.UDP, 123}: "ntp", {whose.TCP, 7}: "evil\x1b[31m",
	}
	if diff := cmp.Diff(want, got.names, cmp.AllowUnexported(service{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if name := got.Name(80, whose.MPTCP); name != "http" {
		t.Errorf("mptcp port 80 is %q, want http", name)
	}
}

// FuzzParseServices: whatever stands in the file, a name is one word.
func FuzzParseServices(f *testing.F) {
	f.Add("http 80/tcp www # web\nntp 123/udp\n")
	f.Add("\x1b[31m 1/tcp\n\x00\n/ /\n")
	f.Fuzz(func(t *testing.T, text string) {
		for s, name := range parseServices(strings.NewReader(text)).names {
			if len(strings.Fields(name)) != 1 {
				t.Errorf("port %d is named %q", s.port, name)
			}
		}
	})
}
