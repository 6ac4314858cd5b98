package collecttest

import (
	"testing"

	"github.com/seed-44df2ae6/whose/collect"
)

func TestMain(m *testing.M) { Main(m) }

// TestRun goes through the cases with the plain reference, so that the suite
// itself is tested here; package collect runs it with every source.
func TestRun(t *testing.T) {
	c := collect.Open()
	t.Cleanup(func() { c.Close() })
	Run(t, "procfs", func(*testing.T) Subject { return Collect(c, "procfs") })
}

func TestChurn(t *testing.T) {
	c := collect.Open()
	t.Cleanup(func() { c.Close() })
	Churn(t, "procfs", func(*testing.T) Subject { return Collect(c, "procfs") })
}
