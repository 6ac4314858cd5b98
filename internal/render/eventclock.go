package render

import "time"

// An eventClock writes points in time. It makes the common text of a second
// once: the date is most of the cost of a time.
type eventClock struct {
	zone   *time.Location
	layout string
	digits int // of the fraction of a second: 6, 3 or none

	head   string // the text before a time; suffix is the text after it
	suffix string

	second int64
	prefix []byte // the head, and the common text of that second
}

// utcClock writes RFC 3339 in UTC with microseconds.
func utcClock() eventClock {
	return eventClock{zone: time.UTC, layout: "2006-01-02T15:04:05.", digits: 6, suffix: "Z"}
}

// dayClock writes the time of the day with milliseconds.
func dayClock(zone *time.Location) eventClock {
	if zone == nil {
		zone = time.Local
	}
	return eventClock{zone: zone, layout: "15:04:05.", digits: 3}
}

func (k *eventClock) append(dst []byte, t time.Time) []byte {
	if second := t.Unix(); second != k.second || k.prefix == nil {
		k.second = second
		k.prefix = t.In(k.zone).AppendFormat(append(k.prefix[:0], k.head...), k.layout)
	}
	dst = append(dst, k.prefix...)
	switch nanoseconds := uint64(t.Nanosecond()); k.digits {
	case 3:
		n := nanoseconds / 1_000_000
		dst = append(dst, byte('0'+n/100), pairs[2*(n%100)], pairs[2*(n%100)+1])
	case 6:
		n := nanoseconds / 1_000
		dst = appendFour(append(dst, pairs[2*(n/10_000)], pairs[2*(n/10_000)+1]), n%10_000)
	}
	return append(dst, k.suffix...)
}
