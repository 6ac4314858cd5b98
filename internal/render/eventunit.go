package render

import (
	"time"

	"github.com/seed-44df2ae6/whose"
)

// span appends a length of time in a person's words: "340 µs", "1.2 s", "2 min 7
// s"; brief without spaces: "1.2s", "2m7s".
func (c *cell) span(d time.Duration, brief bool) {
	gap, minute := " ", "min"
	if brief {
		gap, minute = "", "m"
	}
	d = max(d, 0)
	switch {
	case d < time.Microsecond:
		c.uint(uint64(d))
		c.ascii(gap + "ns")
	case d < 999_500*time.Nanosecond:
		c.amount(uint64(d), uint64(time.Microsecond))
		c.ascii(gap)
		c.mark("µ")
		c.ascii("s")
	case d < 999_500*time.Microsecond:
		c.amount(uint64(d), uint64(time.Millisecond))
		c.ascii(gap + "ms")
	case d < time.Minute-time.Second/2:
		c.amount(uint64(d), uint64(time.Second))
		c.ascii(gap + "s")
	case d < time.Hour-time.Second/2:
		c.two(d, time.Minute, time.Second, gap, minute, "s")
	case d < 24*time.Hour-time.Minute/2:
		c.two(d, time.Hour, time.Minute, gap, "h", minute)
	default:
		c.two(d, 24*time.Hour, time.Hour, gap, "d", "h")
	}
}

// two appends a length of time in two units: "2 min 7 s".
func (c *cell) two(d, large, small time.Duration, gap, largeName, smallName string) {
	d = d.Round(small)
	c.uint(uint64(d / large))
	c.ascii(gap + largeName)
	if rest := d % large; rest > 0 {
		c.ascii(gap)
		c.uint(uint64(rest / small))
		c.ascii(gap + smallName)
	}
}

// size appends a number of bytes in units of a thousand: "1.2 kB"; brief "1.2k".
func (c *cell) size(n uint64, brief bool) {
	unit, name := uint64(1), 0
	for name < len(sizeNames)-1 && n >= 999_500*unit/1000 && n >= 1000 {
		unit *= 1000
		name++
	}
	if unit == 1 {
		c.uint(n)
	} else {
		c.amount(n, unit)
	}
	if brief {
		c.ascii(sizeNames[name])
		return
	}
	c.ascii(" " + sizeNames[name] + "B")
}

// SizeText is a number of bytes for a person, in units of 1000: "8.6 GB".
func SizeText(n uint64) string {
	var c cell
	c.size(n, false)
	return string(c.text)
}

var sizeNames = [...]string{"", "k", "M", "G", "T", "P", "E"}

// amount appends n in a unit, with one decimal below ten.
func (c *cell) amount(n, unit uint64) {
	if tenth := unit / 10; n < 10*unit-tenth/2 {
		n += tenth / 2
		c.uint(n / unit)
		if digit := n % unit / tenth; digit > 0 {
			c.ascii(".")
			c.uint(digit)
		}
		return
	}
	whole := n / unit
	if n%unit >= unit/2 {
		whole++
	}
	c.uint(whole)
}

// endText describes the end of an attempt or a session.
func endText(c *cell, e *whose.Event) {
	text := errnoText(e.Errno)
	switch {
	case e.End == whose.EndOrderly || e.End == whose.EndClosed:
		text = "closed"
	case e.End == whose.EndReset:
		text = "reset"
	case e.End == whose.EndTimedOut:
		text = "timed out"
	case e.End == whose.EndRefused:
		text = "refused"
	case e.End == whose.EndAborted:
		text = "given up"
	case e.End == whose.EndIdle:
		text = "idle"
	case text != "":
	case e.End == whose.EndUnreachable:
		text = "unreachable"
	case e.Errno != 0:
		c.ascii("error ")
		c.uint(uint64(e.Errno))
		return
	case e.Kind == whose.EventFail:
		text = "failed"
	default:
		text = "ended"
	}
	c.ascii(text)
}

// errnoText names the errors which end connections on Linux
// (asm-generic/errno.h), "" for another.
func errnoText(errno uint32) string {
	switch errno {
	case 1, 13:
		return "not permitted"
	case 9:
		return "bad descriptor"
	case 22:
		return "invalid argument"
	case 32:
		return "broken pipe"
	case 71:
		return "protocol error"
	case 90:
		return "message too long"
	case 98:
		return "address in use"
	case 99:
		return "no local address"
	case 100, 101:
		return "network unreachable"
	case 103:
		return "aborted"
	case 104:
		return "reset"
	case 105, 12:
		return "no memory"
	case 110:
		return "timed out"
	case 111:
		return "refused"
	case 112:
		return "host down"
	case 113:
		return "host unreachable"
	}
	return ""
}
