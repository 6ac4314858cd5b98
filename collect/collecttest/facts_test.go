package collecttest

import (
	"flag"
	"net/netip"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

var update = flag.Bool("update", false, "rewrite golden files and pages")

func TestFactsPage(t *testing.T) {
	const page = "../../docs/sources.md"
	if _, err := os.Stat("../../go.mod"); err != nil {
		testenv.Missing(t, "the source tree", err.Error())
	}
	want := FactsPage()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is stale, renew it by -update (-want +got):\n%s", page, diff)
	}
}

func TestFacts_NameFields(t *testing.T) {
	for _, f := range Facts() {
		if f.Field != "" && whose.FieldByName(f.Field) == nil {
			t.Errorf("fact of %s about %q, which is no field", f.Source, f.Field)
		}
		if f.Why == "" || f.Which == "" || f.Instead == "" {
			t.Errorf("fact of %s about %q says too little", f.Source, f.Field)
		}
	}
}

func TestBlank(t *testing.T) {
	s := whose.Session{Proto: whose.MPTCP, State: whose.Listen, Cookie: 7, SendQueue: 128, RecvQueue: 1, TCP: &whose.TCPInfo{}}
	if !Blank("procfs", &s) {
		t.Fatal("an MPTCP listener is not listed by procfs")
	}
	want := whose.Session{Proto: whose.TCP, State: whose.Listen, RecvQueue: 1,
		Unknown: whose.FactV6Only | whose.FactSendQueue}
	if diff := cmp.Diff(want, s, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("blanked for procfs (-want +got):\n%s", diff)
	}
	idle := whose.Session{Proto: whose.TCP, State: whose.Close}
	if Blank("procfs", &idle) {
		t.Error("procfs is said to list a socket that is only bound")
	}
	if !Blank("bpf", &idle) {
		t.Error("bpf is said not to list a socket that is only bound")
	}
}
