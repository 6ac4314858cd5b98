package testenv

import "testing"

// Tried reports an attack: how often it was tried and how often
// `whose` did wrong. It fails the test where that is more than never, or where
// nothing was tried. `make test-hostile` prints the lines of all of them.
func Tried(t testing.TB, tried, wrong int) {
	t.Helper()
	t.Logf("hostile: %s: tried %d, wrong %d", t.Name(), tried, wrong)
	if wrong > 0 || tried == 0 {
		t.Fail()
	}
}
