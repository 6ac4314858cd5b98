package collect_test

import (
	"testing"

	"github.com/seed-44df2ae6/whose/collect"
)

// TestCollector_Prepare: the source is open when the first collection comes,
// and what does not work is told by that alone.
func TestCollector_Prepare(t *testing.T) {
	for name, opts := range ways(t) {
		t.Run(name, func(t *testing.T) {
			c := opened(t)
			c.Prepare(&opts)
			sources := c.OpenSources()
			if len(sources) != 1 {
				t.Fatalf("%d sources are open", len(sources))
			}
			if _, cov := gatherAll(t, c, opts); cov.Source != sources[0] || len(c.OpenSources()) != 1 {
				t.Errorf("the collection came from %s, open was %s and are %v", cov.Source, sources[0], c.OpenSources())
			}
		})
	}
	c := opened(t)
	bad := collect.Options{Source: "guess"}
	c.Prepare(&bad)
	if _, err := c.Collect(t.Context(), &bad); err == nil {
		t.Error("no error")
	}
}
