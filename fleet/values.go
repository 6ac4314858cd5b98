package fleet

import (
	"math"
	"strconv"
	"time"
)

// moment is a time of an answer, in seconds since 1970.
func moment(seconds float64) time.Time {
	return time.UnixMicro(int64(math.Round(seconds * 1e6))).UTC()
}

func formatSeconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }
