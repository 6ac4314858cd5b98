package history

import (
	"testing"
	"time"
	_ "time/tzdata" // the zones of the test, wherever it runs
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestParseTime(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	now := time.Date(2026, 3, 29, 12, 30, 0, 0, berlin) // the clocks were set forward at 2
	for text, want := range map[string]string{
		"now": "2026-03-29T10:30:00Z", "-1h": "2026-03-29T09:30:00Z", "-90m": "2026-03-29T09:00:00Z",
		"-1d": "2026-03-28T10:30:00Z", "-1d12h": "2026-03-27T22:30:00Z", "-0.5s": "2026-03-29T10:29:59.5Z",
		"03:12": "2026-03-29T01:12:00Z", "12:30": "2026-03-29T10:30:00Z", "12:31": "2026-03-28T11:31:00Z", "23:00": "2026-03-28T22:00:00Z",
		"03:12:30.25": "2026-03-29T01:12:30.25Z", "02:30": "2026-03-28T01:30:00Z", // today no clock showed it
		"today": "2026-03-28T23:00:00Z", "Yesterday 14:00": "2026-03-28T13:00:00Z", "yesterday": "2026-03-27T23:00:00Z",
		"2026-01-31": "2026-01-30T23:00:00Z", "2026-01-31 03:12": "2026-01-31T02:12:00Z", "2026-01-31T03:12:30": "2026-01-31T02:12:30Z",
		"2026-01-31T03:12:30Z": "2026-01-31T03:12:30Z", "2026-01-31T03:12:30.5+05:30": "2026-01-30T21:42:30.5Z", "@1767225600": "2026-01-01T00:00:00Z",
		"2025-10-26 02:30": "2025-10-26T00:30:00Z", // the first of the two
	} {
		got, err := ParseTime(text, now)
		if err != nil || got.UTC().Format(time.RFC3339Nano) != want {
			t.Errorf("%s: %v, %v, want %s", text, got.UTC(), err, want)
		}
	}
	for _, text := range []string{
		"", "25:00", "3", "12:60", "tomorrow", "-", "--1h", "-h", "- 1h", "+1h", "2026-02-30", "2026-01-31 noon",
		"2026-03-29 02:30", "@x", "@99999999999999", "-99999d99999999h", "9999-01-01", "now 12:00", "12:30 today", "03:12Z",
	} {
		if got, err := ParseTime(text, now); err == nil {
			t.Errorf("%q: %v, want an error", text, got)
		}
	}
	// A day that began without a midnight begins with its first moment.
	beirut := zone(t, "Asia/Beirut")
	got, err := ParseTime("2024-03-31", time.Date(2024, 6, 1, 0, 0, 0, 0, beirut))
	if err != nil || got.Hour() != 1 && got.Hour() != 23 {
		t.Errorf("%v, %v", got, err)
	}
}

func FuzzParseTime(f *testing.F) {
	for _, text := range []string{"now", "-1h", "03:12", "yesterday 14:00", "2026-01-31T03:12:30.5+05:30", "@1", "2026-03-29 02:30", "-1d12h"} {
		f.Add(text, int64(1774780200))
	}
	lordHowe := zone(f, "Australia/Lord_Howe")
	f.Fuzz(func(t *testing.T, text string, at int64) {
		if at < 0 || at > 4e9 {
			return
		}
		now := time.Unix(at, 0).In(lordHowe)
		got, err := ParseTime(text, now)
		if err != nil {
			return
		}
		again, err := ParseTime(got.Format(time.RFC3339Nano), now)
		if err != nil || !again.Equal(got) {
			t.Errorf("%q is %v; read again %v, %v", text, got, again, err)
		}
	})
}
