package tally

// A histogram counts values by the least bound that is not below them.
type histogram struct {
	counts [maxBounds]uint64
	count  uint64
	sum    float64
}

// maxBounds is the greatest number of bounds.
const maxBounds = 8

// The bounds of histograms, in seconds.
var (
	rttBounds      = [maxBounds]float64{0.0001, 0.0005, 0.002, 0.01, 0.03, 0.1, 0.3, 1}
	durationBounds = [maxBounds]float64{0.001, 0.01, 0.1, 1, 10, 60, 600, 3600}
)

func (h *histogram) add(bounds []float64, v float64) {
	h.count++
	h.sum += v
	for i, b := range bounds {
		if v <= b {
			h.counts[i]++
			return
		}
	}
}
