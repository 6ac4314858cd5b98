package render

import "time"

// An eventClock writes points in time. What is the same for all of a second it
// writes once: most of the cost of a time is the date.
type eventClock struct {
	zone   *time.Location
	layout string
	digits int // of the fraction of a second

	second int64
	prefix []byte
	suffix []byte
}

// utcClock writes RFC 3339 in UTC with microseconds.
func utcClock() eventClock {
	return eventClock{zone: time.UTC, layout: "2006-01-02T15:04:05.", digits: 6, suffix: []byte("Z")}
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
		k.second, k.prefix = second, t.In(k.zone).AppendFormat(k.prefix[:0], k.layout)
	}
	dst = append(dst, k.prefix...)
	fraction := t.Nanosecond()
	for range 9 - k.digits {
		fraction /= 10
	}
	start := len(dst)
	for range k.digits {
		dst = append(dst, '0')
	}
	for i := len(dst) - 1; i >= start && fraction > 0; i-- {
		dst[i] = byte('0' + fraction%10)
		fraction /= 10
	}
	return append(dst, k.suffix...)
}
