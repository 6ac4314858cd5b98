package render

import (
	"testing"

	"github.com/seed-44df2ae6/whose"
)

// The quick way to a field gives what the table of fields gives.
func TestAccess_AsTable(t *testing.T) {
	full := *sampleSession()
	full.V6Only = true
	sessions := append(randomSessions(500, 1), whose.Session{}, full, *sampleSession())
	quick := 0
	for _, f := range whose.Fields() {
		a := accessTo(f)
		if a == byTable {
			continue
		}
		quick++
		for i := range sessions {
			want := f.Value(&sessions[i])
			var got whose.Value
			got.Kind, got.Text, got.Num = a.of(&sessions[i])
			if got.Kind == whose.KindAddr {
				got.Addr = a.addr(&sessions[i])
			}
			if got.Kind != want.Kind || got.Text != want.Text || got.Num != want.Num || got.Addr != want.Addr {
				t.Fatalf("%s of %+v is %+v, want %+v", f.Name, sessions[i], got, want)
			}
		}
	}
	if quick != len(accessNames)-1 {
		t.Errorf("%d fields have a quick way, %d are listed", quick, len(accessNames)-1)
	}
}
