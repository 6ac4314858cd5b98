package history

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// This file reads times as people write them.

// errTime is the error of a text that is no time.
var errTime = errors.New("no time")

// timeHint is the advice beside [errTime].
const timeHint = "write 03:12, 2026-01-31 03:12, 2026-01-31T03:12:00Z, yesterday 14:00, -1h or now"

// ParseTime reads a time in the zone of now:
//
//	03:12  03:12:30.5          the last time at which clocks showed this
//	2026-01-31  2026-01-31 03:12  2026-01-31T03:12:30
//	2026-01-31T03:12:30Z       RFC 3339, with a zone of its own
//	today  yesterday 14:00     a day, and a time of it
//	-1h  -90m  -2d  -1d12h     so long ago; a day is 24 hours
//	now  @1767225600           seconds since 1970
//
// Of a time that a clock shows twice, as it is set back, the first is meant. One
// that no clock shows, as it is set forward, is an error.
func ParseTime(text string, now time.Time) (time.Time, error) {
	t, err := parseTime(strings.ToLower(strings.TrimSpace(text)), now)
	switch {
	case errors.Is(err, errTime):
		return time.Time{}, whose.WithHint(fmt.Errorf("%s is no time", quoted(text)), "%s", timeHint)
	case err != nil:
		return time.Time{}, fmt.Errorf("%s: %w", quoted(text), err)
	case t.Year() < 1970 || t.Year() > 2200:
		return time.Time{}, fmt.Errorf("%s: the year %d is out of range", quoted(text), t.Year())
	}
	return t, nil
}

// quoted is a text of a user, safe for a message and not too long.
func quoted(text string) string {
	const longest = 40
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return strconv.Quote(text)
}

func parseTime(text string, now time.Time) (time.Time, error) {
	switch {
	case text == "now":
		return now, nil
	case strings.HasPrefix(text, "-"):
		ago, err := parseAgo(text[1:])
		return now.Add(-ago), err
	case strings.HasPrefix(text, "@"):
		return parseUnix(text[1:], now.Location())
	}
	if t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(text)); err == nil {
		return t.In(now.Location()), nil
	}
	day, clock, both := strings.Cut(strings.Replace(text, "t", " ", btoi(len(text) > 10 && text[10] == 't')), " ")
	if !both && strings.Contains(day, ":") {
		return lastAt(day, now)
	}
	y, m, d, err := parseDay(day, now)
	if err != nil {
		return time.Time{}, err
	}
	var c clockTime
	if both {
		if c, err = parseClock(strings.TrimSpace(clock)); err != nil {
			return time.Time{}, err
		}
	}
	return c.on(y, m, d, now.Location())
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// parseAgo reads a span such as 1h, 90m, 2d or 1d12h.
func parseAgo(text string) (time.Duration, error) {
	var days time.Duration
	if before, after, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(before, 10, 16)
		if err != nil {
			return 0, errTime
		}
		days = time.Duration(n) * 24 * time.Hour
		if text = after; text == "" {
			return days, nil
		}
	}
	if text == "" || text[0] < '0' || text[0] > '9' {
		return 0, errTime
	}
	d, err := time.ParseDuration(text)
	if err != nil || d > math.MaxInt64-days {
		return 0, errTime
	}
	return days + d, nil
}

func parseUnix(text string, zone *time.Location) (time.Time, error) {
	n, err := strconv.ParseInt(text, 10, 40)
	if err != nil {
		return time.Time{}, errTime
	}
	return time.Unix(n, 0).In(zone), nil
}

func parseDay(text string, now time.Time) (y int, m time.Month, d int, err error) {
	y, m, d = now.Date()
	switch text {
	case "today":
		return y, m, d, nil
	case "yesterday":
		y, m, d = time.Date(y, m, d-1, 12, 0, 0, 0, time.UTC).Date()
		return y, m, d, nil
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return 0, 0, 0, errTime
	}
	y, m, d = t.Date()
	return y, m, d, nil
}

// A clockTime is the time that a clock shows.
type clockTime struct{ hour, minute, second, nanos int }

func parseClock(text string) (clockTime, error) {
	for _, layout := range [...]string{"15:04:05", "15:04"} {
		if t, err := time.Parse(layout, text); err == nil { // it takes fractions of a second
			return clockTime{t.Hour(), t.Minute(), t.Second(), t.Nanosecond()}, nil
		}
	}
	return clockTime{}, errTime
}

// shown reports whether a clock shows the time at t.
func (c clockTime) shown(t time.Time) bool {
	return t.Hour() == c.hour && t.Minute() == c.minute && t.Second() == c.second
}

// on returns the first moment of a day at which a clock shows the time. A day that
// begins without midnight begins with the first moment it has.
func (c clockTime) on(y int, m time.Month, d int, zone *time.Location) (time.Time, error) {
	t := time.Date(y, m, d, c.hour, c.minute, c.second, c.nanos, zone)
	if !c.shown(t) {
		if c == (clockTime{}) {
			return t, nil
		}
		return time.Time{}, fmt.Errorf("no clock showed this here: it was set forward, to %s or so", t.Format("15:04"))
	}
	for _, back := range [...]time.Duration{time.Hour, 30 * time.Minute, 2 * time.Hour} {
		if before := t.Add(-back); c.shown(before) {
			return before, nil
		}
	}
	return t, nil
}

// lastAt returns the last moment, up to now, at which a clock showed a time.
func lastAt(text string, now time.Time) (time.Time, error) {
	c, err := parseClock(text)
	if err != nil {
		return time.Time{}, err
	}
	y, m, d := now.Date()
	t, err := c.on(y, m, d, now.Location())
	if err == nil && !t.After(now) {
		return t, nil
	}
	y, m, d = time.Date(y, m, d-1, 12, 0, 0, 0, time.UTC).Date()
	return c.on(y, m, d, now.Location())
}
