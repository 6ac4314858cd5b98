package ask

import (
	"testing"
	"time"
)

// TestSteps: a beginning before the present is put to a whole minute, where the steps
// are whole minutes. A time that was written out stays.
func TestSteps(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 34, 56, 7, time.UTC)
	for _, c := range []struct {
		from string
		per  time.Duration
		want string
	}{
		{"-24h", time.Hour, "12:34:00"}, {"-24h", time.Minute, "12:34:00"}, {" -24h", time.Hour, "12:34:00"},
		{"-24h", 90 * time.Second, "12:34:56"}, {"-24h", 0, "12:34:56"}, {"12:34:56", time.Hour, "12:34:56"},
	} {
		if got := (&Times{From: c.from}).Steps(at, c.per).Format(time.TimeOnly); got != c.want {
			t.Errorf("%s by %v: from %s, want %s", c.from, c.per, got, c.want)
		}
	}
}
