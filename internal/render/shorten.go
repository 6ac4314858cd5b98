package render

import (
	"bytes"
	"strconv"

	"github.com/rivo/uniseg"
)

// A shortener appends text in at most width columns and returns the number
// taken. width is at least one and less than the text's own width.
type shortener func(dst, text []byte, width int) ([]byte, int)

const ellipsis = "…"

// shortenMiddle keeps the beginning and the end.
func shortenMiddle(dst, text []byte, width int) ([]byte, int) {
	if width <= 1 {
		return append(dst, ellipsis...), 1
	}
	left := width / 2
	right := width - 1 - left
	if isASCII(text) {
		dst = append(dst, text[:left]...)
		dst = append(dst, ellipsis...)
		return append(dst, text[len(text)-right:]...), width
	}
	s, start := string(text), len(dst)
	dst = append(dst, s[:columns(s, left)]...)
	dst = append(dst, ellipsis...)
	dst = append(dst, s[lastColumns(s, right):]...)
	return dst, textWidth(dst[start:])
}

// columns returns the number of bytes of s fitting into width columns.
func columns(s string, width int) int {
	at, rest, state := 0, s, -1
	for rest != "" {
		var cluster string
		var w int
		cluster, rest, w, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if width -= w; width < 0 {
			break
		}
		at += len(cluster)
	}
	return at
}

// lastColumns returns the start of the longest end of s fitting into width
// columns.
func lastColumns(s string, width int) int {
	skip := uniseg.StringWidth(s) - width
	at, rest, state := 0, s, -1
	for rest != "" && skip > 0 {
		var cluster string
		var w int
		cluster, rest, w, state = uniseg.FirstGraphemeClusterInString(rest, state)
		skip -= w
		at += len(cluster)
	}
	return at
}

// queuedWord ends the cell of a listener with waiting connections. The numbers
// before it are enough.
const queuedWord = " queued"

// shortenEndpoint shortens the address and never the port.
func shortenEndpoint(dst, text []byte, width int) ([]byte, int) {
	colon := bytes.LastIndexByte(text, ':')
	if short, ok := bytes.CutSuffix(text, []byte(queuedWord)); ok && colon < 0 && len(short) <= width {
		return append(dst, short...), len(short)
	}
	if colon < 0 {
		return shortenMiddle(dst, text, width)
	}
	addr, port := text[:colon], text[colon:]
	portWidth := textWidth(port)
	dst, took := shortenMiddle(dst, addr, max(1, width-portWidth))
	return append(dst, port...), took + portWidth
}

// The text before the owners of the listener of a waiting connection.
const (
	queueOf      = "(accept queue of "
	queueOfBrief = "(queue of "
	queueAlone   = "(queue)"
)

// shortenProcess shortens the names of owners before their numbers, and each end
// of a pair by itself.
func shortenProcess(dst, text []byte, width int) ([]byte, int) {
	at, sep := findArrow(text)
	if at < 0 || width < 9 {
		return shortenEnd(dst, text, width)
	}
	one, other := text[:at], text[at+len(sep):]
	oneWidth, otherWidth := share(textWidth(one), textWidth(other), width-3)
	if isQueue(one) && oneWidth < textWidth(one) && width > 3*leastWidth {
		// The listener's row names the owner of the queue too. No other cell names the
		// waiting process.
		otherWidth = min(textWidth(other), width-3-len(queueAlone))
		oneWidth = width - 3 - otherWidth
	}
	dst, took := shortenEnd(dst, one, oneWidth)
	dst = append(dst, sep...)
	dst, more := shortenEnd(dst, other, otherWidth)
	return dst, took + 3 + more
}

// isQueue reports whether one end of a pair is a queue with an owner in it.
func isQueue(end []byte) bool {
	return bytes.HasPrefix(end, []byte(queueOf)) && bytes.HasSuffix(end, []byte(")")) && len(end) > len(queueOf)+1
}

// shortenEnd shortens one end of a pair: owners, or the queue of a listener.
func shortenEnd(dst, text []byte, width int) ([]byte, int) {
	if !isQueue(text) || textWidth(text) <= width {
		return shortenOwners(dst, text, width)
	}
	inner := text[len(queueOf) : len(text)-1]
	switch room := width - len(queueOfBrief) - 1; {
	case room >= min(leastWidth, textWidth(inner)):
		dst = append(dst, queueOfBrief...)
		dst, took := shortenOwners(dst, inner, room)
		return append(dst, ')'), len(queueOfBrief) + took + 1
	case width >= len(queueAlone):
		return append(dst, queueAlone...), len(queueAlone)
	}
	return shortenMiddle(dst, text, width)
}

// findArrow returns the place and the text of the mark between the two ends of a
// pair.
func findArrow(text []byte) (at int, sep string) {
	if isASCII(text) {
		return -1, ""
	}
	for _, sep := range [...]string{" " + arrowOut + " ", " " + arrowIn + " ", " " + arrowBoth + " "} {
		if at := bytes.Index(text, []byte(sep)); at >= 0 {
			return at, sep
		}
	}
	return -1, ""
}

// share divides width between the wishes a and b: in halves, but each gets the
// rest unused by the other.
func share(a, b, width int) (int, int) {
	half := width / 2
	switch {
	case a+b <= width:
		return a, b
	case a <= half:
		return a, width - a
	case b <= width-half:
		return width - b, b
	}
	return half, width - half
}

// shortenOwners shortens the name in "nginx 812,813 +6". Of several names it
// drops the last ones and counts their owners. Text within width stays as it is.
func shortenOwners(dst, text []byte, width int) ([]byte, int) {
	if w := textWidth(text); w <= width {
		return append(dst, text...), w
	}
	if bytes.Contains(text, []byte(", ")) {
		return shortenGroups(dst, text, width)
	}
	space := bytes.LastIndexByte(text, ' ')
	if space <= 0 || text[0] == '(' || width-(len(text)-space) < 3 || !isASCII(text[space:]) {
		return shortenMiddle(dst, text, width)
	}
	tail := text[space:]
	dst, took := shortenOwners(dst, text[:space], width-len(tail))
	return append(dst, tail...), took + len(tail)
}

// shortenGroups shortens "systemd 1, sshd 812, cups 9 +1, +3" to "systemd 1, +6"
// or to the fitting part. Names with quotes may hold the separators of groups,
// so a list with such a name is shortened like any text.
func shortenGroups(dst, text []byte, width int) ([]byte, int) {
	if bytes.IndexByte(text, '"') >= 0 {
		return shortenMiddle(dst, text, width)
	}
	left, more := text, 0
	for {
		at := bytes.LastIndex(left, []byte(", "))
		if at < 0 {
			break
		}
		more += countOwners(left[at+2:])
		left = left[:at]
		var tail [24]byte
		count := strconv.AppendInt(append(tail[:0], ", +"...), int64(more), 10)
		if textWidth(left)+len(count) <= width || width > len(count) && !bytes.Contains(left, []byte(", ")) {
			dst, took := shortenOwners(dst, left, width-len(count))
			return append(dst, count...), took + len(count)
		}
	}
	return shortenMiddle(dst, text, width)
}

// countOwners counts the owners of one group: those with a number, and those
// counted already.
func countOwners(group []byte) int {
	n := 0
	if plus := bytes.LastIndexByte(group, '+'); plus >= 0 {
		folded, err := strconv.Atoi(string(group[plus+1:]))
		if err == nil {
			n, group = folded, bytes.TrimSuffix(group[:plus], []byte(" "))
		}
	}
	if len(group) == 0 {
		return n
	}
	return n + 1 + bytes.Count(group[bytes.LastIndexByte(group, ' ')+1:], []byte(","))
}
