package render

import (
	"bytes"
	"slices"
	"strconv"
	"unicode/utf8"

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

// unreadWord ends the cell of a UDP socket with unread bytes.
const unreadWord = " unread"

// shortenEndpoint shortens the address and never the port.
func shortenEndpoint(dst, text []byte, width int) ([]byte, int) {
	colon := bytes.LastIndexByte(text, ':')
	for _, word := range [...]string{queuedWord, unreadWord} {
		short, ok := bytes.CutSuffix(text, []byte(word))
		if !ok {
			continue
		}
		if textWidth(short) <= width {
			return append(dst, short...), textWidth(short)
		}
		if colon < 0 { // "* 3/511"
			return append(dst, '*'), 1
		}
		text = text[:colon+bytes.IndexByte(text[colon:], ' ')] // without the size after the port
		if textWidth(text) <= width {
			return append(dst, text...), textWidth(text)
		}
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
// of a pair by itself. Numbers stay whole. Without room for both ends only the
// first is named. The number of folded sessions stays.
func shortenProcess(dst, text []byte, width int) ([]byte, int) {
	text, times := cutTimes(text)
	timesWidth := textWidth(times)
	dst, took := shortenPair(dst, text, width-timesWidth)
	return append(dst, times...), took + timesWidth
}

// cutTimes cuts off the number of folded sessions: "  ×5".
func cutTimes(text []byte) (rest, times []byte) {
	for _, mark := range [...]string{timesMark, timesASCII} {
		at := bytes.LastIndex(text, []byte("  "+mark))
		if at >= 0 && isNumber(text[at+2+len(mark):]) {
			return text[:at], text[at:]
		}
	}
	return text, nil
}

func shortenPair(dst, text []byte, width int) ([]byte, int) {
	at, sep := findArrow(text)
	if at < 0 {
		return shortenEnd(dst, text, width)
	}
	one, other := text[:at], text[at+len(sep):]
	room := width - markWidth(sep)
	least, otherLeast := leastEnd(one), leastEnd(other)
	if room < least+otherLeast {
		return shortenEnd(dst, one, width)
	}
	oneWidth, _ := share(textWidth(one), textWidth(other), room)
	if isQueue(one) && oneWidth < textWidth(one) && width > 3*leastWidth {
		// The listener's row names the owner of the queue too. No other cell names the
		// waiting process.
		oneWidth = room - min(textWidth(other), room-len(queueAlone))
	}
	oneWidth = min(max(oneWidth, least), room-otherLeast)
	dst, took := shortenEnd(dst, one, oneWidth)
	dst = append(dst, sep...)
	dst, more := shortenEnd(dst, other, room-oneWidth)
	return dst, took + markWidth(sep) + more
}

// leastEnd is the least width of one end of a pair that still says who it is.
func leastEnd(text []byte) int {
	if isReason(text) {
		return leastReason(textWidth(text))
	}
	end := endOfGroup(text)
	g := parseGroup(text[:end])
	all := g.owners()
	if end < len(text) {
		all += countOwners(text[end+len(", "):])
	}
	return leastOwners(textWidth(text), textWidth(g.name), g.briefNumbers(all).width())
}

// leastReason is the same of a reason by its width, and leastOwners of owners by the
// widths of all, of the first name, and of the numbers that stay.
func leastReason(width int) int                { return min(width, leastWidth) }
func leastOwners(width, name, numbers int) int { return min(width, min(name, 2)+1+numbers) }

// isReason reports whether one end of a pair says why it has no owner.
func isReason(end []byte) bool { return bytes.HasPrefix(end, []byte("(")) }

// isQueue reports whether one end of a pair is a queue with an owner in it.
func isQueue(end []byte) bool {
	return bytes.HasPrefix(end, []byte(queueOf)) && bytes.HasSuffix(end, []byte(")")) && len(end) > len(queueOf)+1
}

// shortenEnd shortens one end of a pair: owners, a reason, or the queue of a
// listener.
func shortenEnd(dst, text []byte, width int) ([]byte, int) {
	switch {
	case textWidth(text) <= width || !isReason(text):
		return shortenOwners(dst, text, width)
	case isQueue(text):
		return shortenQueue(dst, text, width)
	}
	name := bytes.Index(text, []byte(": ")) + 2
	switch short := width - name - 1; {
	case name < 2:
		return shortenMiddle(dst, text, width)
	case short >= 4: // "(hidden: b…e)"
		dst, took := shortenMiddle(append(dst, text[:name]...), text[name:len(text)-1], short)
		return append(dst, ')'), name + took + 1
	case width >= name-1:
		return append(append(dst, text[:name-2]...), ')'), name - 1
	}
	return shortenMiddle(dst, text, width)
}

func shortenQueue(dst, text []byte, width int) ([]byte, int) {
	inner := text[len(queueOf) : len(text)-1]
	switch room := width - len(queueOfBrief) - 1; {
	case room >= leastEnd(inner):
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
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i += endOfName(text[i:]) - 1
		case ' ':
			for _, sep := range pairMarks {
				if bytes.HasPrefix(text[i:], []byte(sep)) {
					return i, sep
				}
			}
		}
	}
	return -1, ""
}

// pairMarks are the marks between two ends, in either way of writing them.
var pairMarks = [...]string{
	" " + arrowOut + " ", " " + arrowIn + " ", " " + arrowBoth + " ",
	" " + asciiOut + " ", " " + asciiIn + " ", " " + asciiBoth + " ",
}

// markWidth is the width of a mark between two ends, of which each rune has one column.
func markWidth(sep string) int { return utf8.RuneCountInString(sep) }

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

// shortenOwners shortens the names in "nginx 812,813 +6, certbot 9". Of several
// names it drops the last ones and counts their owners. Text within width stays
// as it is.
func shortenOwners(dst, text []byte, width int) ([]byte, int) {
	if w := textWidth(text); w <= width {
		return append(dst, text...), w
	}
	first := endOfGroup(text)
	if first == len(text) {
		return shortenGroup(dst, parseGroup(text), 0, width)
	}
	var room [8]int
	ends := room[:0]
	for end := first; end < len(text); end += len(", ") + endOfGroup(text[end+len(", "):]) {
		ends = append(ends, end)
	}
	for _, end := range slices.Backward(ends) {
		var tail [24]byte
		count := strconv.AppendInt(append(tail[:0], ", +"...), int64(countOwners(text[end+len(", "):])), 10)
		if w := textWidth(text[:end]) + len(count); w <= width {
			return append(append(dst, text[:end]...), count...), w
		}
	}
	return shortenGroup(dst, parseGroup(text[:first]), countOwners(text[first+len(", "):]), width)
}

// A group is the owners of one name, as a cell shows them: "nginx 812,813 +6". The
// name may be missing: "+6".
type group struct {
	name, pids []byte
	more       int
}

// parseGroup reads the text of a group. Text that no table writes is a name.
func parseGroup(text []byte) (g group) {
	name := endOfName(text)
	g.name = text[:name]
	rest := bytes.TrimPrefix(text[name:], []byte(" "))
	if plus := bytes.IndexByte(rest, '+'); plus >= 0 {
		more, err := strconv.ParseUint(string(rest[plus+1:]), 10, 31) // written by moreCell
		if err != nil {
			return group{name: text}
		}
		g.more = int(more)
		rest = bytes.TrimSuffix(rest[:plus], []byte(" "))
	}
	if g.pids = rest; !isList(g.pids) || len(g.name) == 0 && g.owners() == 0 {
		return group{name: text}
	}
	return g
}

// isList reports whether text is numbers with commas between them, or empty.
func isList(text []byte) bool {
	for _, b := range text {
		if b-'0' > 9 && b != ',' {
			return false
		}
	}
	return true
}

// owners is the number of owners of the group.
func (g *group) owners() int {
	if len(g.pids) == 0 {
		return g.more
	}
	return g.more + 1 + bytes.Count(g.pids, []byte(","))
}

// numbers are the numbers of a group as text: a process, and how many more there
// are.
type numbers struct {
	pid  []byte
	more int
}

// briefNumbers is the first process of a group, and the number of the others
// among all.
func (g *group) briefNumbers(all int) numbers {
	pid, _, _ := bytes.Cut(g.pids, []byte(","))
	return numbers{pid, all - 1}
}

func (n numbers) append(dst []byte) []byte {
	dst = append(dst, n.pid...)
	if n.more > 0 {
		dst = strconv.AppendInt(append(dst, " +"...), int64(n.more), 10)
	}
	return dst
}

func (n numbers) width() int {
	var room [32]byte
	return len(n.append(room[:0]))
}

// shortenGroup shortens the name of a group, which stands for others more of other
// names too. Without room for the name it names the first process and counts the
// others.
func shortenGroup(dst []byte, g group, others, width int) ([]byte, int) {
	var room [128]byte
	tail := append(append(room[:0], ' '), g.pids...)
	if g.more > 0 {
		tail = strconv.AppendInt(append(tail, " +"...), int64(g.more), 10)
	}
	if others > 0 {
		tail = strconv.AppendInt(append(tail, ", +"...), int64(others), 10)
	}
	nameWidth := textWidth(g.name)
	brief := g.briefNumbers(g.owners() + others)
	if brief.width() == 0 { // a name alone, which no table writes
		if nameWidth <= width {
			return append(dst, g.name...), nameWidth
		}
		return shortenMiddle(dst, g.name, width)
	}
	if width-len(tail) < min(nameWidth, 4) {
		tail = brief.append(append(tail[:0], ' '))
	}
	if left := width - len(tail); left >= 1 && len(g.name) > 0 {
		took := nameWidth
		if nameWidth > left {
			dst, took = shortenMiddle(dst, g.name, left)
		} else {
			dst = append(dst, g.name...)
		}
		return append(dst, tail...), took + len(tail)
	}
	switch w := brief.width(); {
	case w <= width:
		return brief.append(dst), w
	case brief.more > 0 && len(brief.pid) < width:
		return append(append(dst, brief.pid...), '+'), len(brief.pid) + 1
	}
	return append(dst, brief.pid...), len(brief.pid)
}

// endOfName returns the end of the name that text begins with: of its quotes, or
// the space before the first number. Names without quotes hold no such space.
func endOfName(text []byte) int {
	if len(text) > 0 && text[0] == '"' {
		for i := 1; i < len(text); i++ {
			switch text[i] {
			case '\\':
				i++
			case '"':
				return i + 1
			}
		}
		return len(text)
	}
	for i, b := range text {
		if b == '+' && i == 0 || b == ' ' && i+1 < len(text) && (text[i+1] == '+' || text[i+1]-'0' <= 9) {
			return i
		}
	}
	return len(text)
}

// endOfGroup returns the end of the group that text begins with.
func endOfGroup(text []byte) int {
	name := endOfName(text)
	if at := bytes.Index(text[name:], []byte(", ")); at >= 0 {
		return name + at
	}
	return len(text)
}

// countOwners counts the owners of groups: those with a number, and those counted
// already.
func countOwners(text []byte) int {
	n := 0
	for {
		end := endOfGroup(text)
		g := parseGroup(text[:end])
		n += g.owners()
		if end == len(text) {
			return n
		}
		text = text[end+len(", "):]
	}
}

// shortenList keeps the first values of a list and counts the others: "812,813 +6".
func shortenList(dst, text []byte, width int) ([]byte, int) {
	for left, more := text, 0; ; {
		var tail [24]byte
		count := numbers{more: more}.append(tail[:0])
		at := bytes.LastIndexByte(left, ',')
		switch {
		case textWidth(left)+len(count) <= width:
			return append(append(dst, left...), count...), textWidth(left) + len(count)
		case at < 0 && isNumber(left) && more > 0 && len(left) < width:
			return append(append(dst, left...), '+'), len(left) + 1
		case at < 0 && isNumber(left):
			return append(dst, left...), len(left)
		case at < 0:
			return shortenMiddle(dst, left, width)
		}
		left, more = left[:at], more+1
	}
}
