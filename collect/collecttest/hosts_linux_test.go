package collecttest

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestHosts answers from the captured hosts and compares with what is known of
// them: one line for each session, with every fact, and one for the coverage.
func TestHosts(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		testenv.Lacks(t, "little-endian words", "the captured hosts had them, and procfs prints words as they lie in memory")
	}
	archives, err := filepath.Glob("testdata/hosts/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("captured hosts: %v, %v", archives, err)
	}
	for _, archive := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(archive), ".txtar"), func(t *testing.T) {
			root := Unpack(t, archive)
			answer, err := collect.Collect(context.Background(), &collect.Options{
				Proc: root, CapturedProc: true, States: whose.AllStates,
				Needs: whose.NeedDefault | whose.NeedCmdline | whose.NeedExe | whose.NeedCreds | whose.NeedCgroup,
			})
			if err != nil {
				t.Fatal(err)
			}
			sessions, coverage := answer.Append(nil), &answer.Coverage
			for _, w := range account("procfs", sessions, coverage, true) {
				t.Error(w)
			}
			golden(t, strings.TrimSuffix(archive, ".txtar")+".golden",
				strings.ReplaceAll(answerText(sessions, coverage), root, "ROOT"))
		})
	}
}

// answerText writes an answer for people to compare.
func answerText(sessions []whose.Session, c *whose.Coverage) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d sessions, %d owned, ownerless %v, %d processes, %d namespaces\n",
		c.Sessions, c.Owned, c.Ownerless, c.Processes, c.Namespaces)
	for _, g := range c.Gaps {
		fmt.Fprintln(&b, "gap:", g)
	}
	for i := range sessions {
		s := &sessions[i]
		fmt.Fprintln(&b)
		fmt.Fprintln(&b, strings.Join(sessionFacts(s), " "))
		for _, o := range s.Owners {
			fmt.Fprintln(&b, "  owner", strings.Join(ownerFacts(&o), " "))
		}
		for _, o := range s.Peer {
			fmt.Fprintf(&b, "  peer %d %q\n", o.PID, o.Comm)
		}
	}
	return b.String()
}

func sessionFacts(s *whose.Session) []string {
	var facts []string
	for _, f := range whose.Fields() {
		if v := f.Value(s.Row()); f.Of == whose.OfSession && f.Name != "user" && !v.IsZero() { // user names are this machine's
			facts = append(facts, f.Name+"="+string(v.Append(nil)))
		}
	}
	return facts
}

func ownerFacts(o *whose.Owner) []string {
	var facts []string
	for _, f := range whose.Fields() {
		if v := f.OwnerValue(o); f.Of == whose.OfOwner && f.Name != "owner_user" && !v.IsZero() {
			if v.Kind == whose.KindTime {
				v.Time = v.Time.UTC()
			}
			facts = append(facts, fmt.Sprintf("%s=%q", f.Name, v.Append(nil)))
		}
	}
	return facts
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got), rewrite it by -update if the change is right:\n%s", path, diff)
	}
}
