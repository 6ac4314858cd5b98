package proc

import (
	"context"
	"testing"
)

func BenchmarkWalkHost(b *testing.B) {
	f, err := Open("")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var w Walk
	b.ReportAllocs()
	for b.Loop() {
		w.Reset()
		if err := f.Walk(context.Background(), WalkOptions{}, &w); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("%d holdings, %d tasks, %d processes, %d denied, %d links", len(w.Holdings), len(w.Tasks), w.Processes, w.Denied, w.Links)
}
