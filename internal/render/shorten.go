package render

import (
	"bytes"

	"github.com/rivo/uniseg"
)

// A shortener appends text in at most width columns, which are at least one
// and fewer than the text takes, and returns how many it took.
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

// columns returns how many bytes of s fit into width columns.
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

// lastColumns returns where the end of s begins that fits into width columns.
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

// shortenEndpoint shortens the address and never the port.
func shortenEndpoint(dst, text []byte, width int) ([]byte, int) {
	colon := bytes.LastIndexByte(text, ':')
	if colon < 0 {
		return shortenMiddle(dst, text, width)
	}
	addr, port := text[:colon], text[colon:]
	portWidth := textWidth(port)
	dst, took := shortenMiddle(dst, addr, max(1, width-portWidth))
	return append(dst, port...), took + portWidth
}

// What stands before the owners of the listener that a connection waits at.
const (
	queueOf      = "(accept queue of "
	queueOfBrief = "(queue of "
)

// shortenProcess shortens the names of owners before their numbers, and each
// end of a pair by itself.
func shortenProcess(dst, text []byte, width int) ([]byte, int) {
	if inner, ok := bytes.CutPrefix(text, []byte(queueOf)); ok && width > len(queueOfBrief)+leastWidth {
		dst = append(dst, queueOfBrief...)
		dst, took := shortenOwners(dst, inner[:len(inner)-1], width-len(queueOfBrief)-1)
		return append(dst, ')'), len(queueOfBrief) + took + 1
	}
	at, sep := findArrow(text)
	if at < 0 || width < 9 {
		return shortenOwners(dst, text, width)
	}
	one, other := text[:at], text[at+len(sep):]
	oneWidth, otherWidth := share(textWidth(one), textWidth(other), width-3)
	dst, took := shortenOwners(dst, one, oneWidth)
	dst = append(dst, sep...)
	dst, more := shortenOwners(dst, other, otherWidth)
	return dst, took + 3 + more
}

// findArrow returns where the two ends of a pair are parted, and by what.
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

// share divides width between two that want a and b: in halves, but what one
// does not need the other gets.
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

// shortenOwners shortens the name in "nginx 812,813 +6"; a list of several
// names in the middle, so that the first and the count at the end are seen.
// Text that fits is left as it is.
func shortenOwners(dst, text []byte, width int) ([]byte, int) {
	if w := textWidth(text); w <= width {
		return append(dst, text...), w
	}
	space := bytes.LastIndexByte(text, ' ')
	if space <= 0 || text[0] == '(' || bytes.Contains(text, []byte(", ")) ||
		width-(len(text)-space) < 3 || !isASCII(text[space:]) {
		return shortenMiddle(dst, text, width)
	}
	tail := text[space:]
	dst, took := shortenOwners(dst, text[:space], width-len(tail))
	return append(dst, tail...), took + len(tail)
}
