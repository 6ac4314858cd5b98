package source_test

import (
	"testing"
	"unsafe"

	"github.com/seed-44df2ae6/whose/internal/source"
)

// TestSizes keeps the values that are made by the million small. A change here
// is a change of memory: measure it before you write the new number.
func TestSizes(t *testing.T) {
	for name, got := range map[string][2]uintptr{
		"Socket":  {unsafe.Sizeof(source.Socket{}), 104},
		"Holding": {unsafe.Sizeof(source.Holding{}), 16},
	} {
		if got[0] > got[1] {
			t.Errorf("size of %s is %d bytes, want at most %d", name, got[0], got[1])
		}
	}
}
