package render

import (
	"bytes"
	"strings"

	"github.com/rivo/uniseg"
)

// A shortener appends text in at most width columns, which are at least one
// and fewer than the text takes.
type shortener func(dst, text []byte, width int) []byte

const ellipsis = "…"

// shortenMiddle keeps the beginning and the end.
func shortenMiddle(dst, text []byte, width int) []byte {
	if width <= 1 {
		return append(dst, ellipsis...)
	}
	left := width / 2
	right := width - 1 - left
	if len(text) == textWidth(text) {
		dst = append(dst, text[:left]...)
		dst = append(dst, ellipsis...)
		return append(dst, text[len(text)-right:]...)
	}
	s := string(text)
	dst = append(dst, s[:columns(s, left)]...)
	dst = append(dst, ellipsis...)
	return append(dst, s[lastColumns(s, right):]...)
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
func shortenEndpoint(dst, text []byte, width int) []byte {
	colon := bytes.LastIndexByte(text, ':')
	if colon < 0 {
		return shortenMiddle(dst, text, width)
	}
	addr, port := text[:colon], text[colon:]
	return append(shortenMiddle(dst, addr, max(1, width-len(port))), port...)
}

// What stands before the owners of the listener that a connection waits at.
const (
	queueOf      = "(accept queue of "
	queueOfBrief = "(queue of "
)

// shortenProcess shortens the names of owners before their numbers, and each
// end of a pair by itself.
func shortenProcess(dst, text []byte, width int) []byte {
	if inner, ok := bytes.CutPrefix(text, []byte(queueOf)); ok && width > len(queueOfBrief)+leastWidth {
		inner = inner[:len(inner)-1]
		dst = append(dst, queueOfBrief...)
		dst = shortenOwners(dst, inner, width-len(queueOfBrief)-1)
		return append(dst, ')')
	}
	for _, arrow := range []string{arrowOut, arrowIn, arrowBoth} {
		sep := " " + arrow + " "
		at := strings.Index(string(text), sep)
		if at < 0 || width < 9 {
			continue
		}
		one, other := text[:at], text[at+len(sep):]
		oneWidth, otherWidth := share(textWidth(one), textWidth(other), width-3)
		dst = shortenOwners(dst, one, oneWidth)
		dst = append(dst, sep...)
		return shortenOwners(dst, other, otherWidth)
	}
	return shortenOwners(dst, text, width)
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
func shortenOwners(dst, text []byte, width int) []byte {
	if textWidth(text) <= width {
		return append(dst, text...)
	}
	space := bytes.LastIndexByte(text, ' ')
	if space <= 0 || text[0] == '(' || bytes.Contains(text, []byte(", ")) || width-(len(text)-space) < 3 || len(text)-space != textWidth(text[space:]) {
		return shortenMiddle(dst, text, width)
	}
	tail := text[space:]
	return append(shortenOwners(dst, text[:space], width-len(tail)), tail...)
}
