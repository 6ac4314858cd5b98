package render

import (
	"time"

	"github.com/seed-44df2ae6/whose"
)

// A detailLevel is the amount of detail at the end of a line.
type detailLevel uint8

const (
	detailFull  detailLevel = iota // closed by remote after 1.2 s, ↑1.2 kB ↓34 kB, rtt 12 ms
	detailPlain                    // without the measurements of TCP, and without datagrams
	detailShort                    // closed by remote 1.2s ↑1.2k ↓34k
	detailBrief                    // remote 1.2s ↑1.2k ↓34k
	detailLess                     // 1.2s ↑1.2k ↓34k
	detailLeast                    // 1.2s
	detailWord                     // nothing but an unusual end: refused
)

const (
	// easyEnd and easyRemote are the widths of a process and an end below which the
	// detail is cut first.
	easyEnd, easyRemote = 14, len("255.255.255.255:65535")
	// leastDetail is the least width of a useful cut detail.
	leastDetail = 6
)

// A layout is the space given to the cells of a line.
type layout struct {
	processPad, localPad, remotePad int
	user                            bool
}

// line appends the cells after the head.
//
// On too narrow a terminal it gives up, in this order: the measurements of TCP;
// whole words; the padding; the user; the side that ended; the traffic; letters
// of the process and of the ends; and then as much of the rest as necessary. The
// name of a remote end loses letters earlier: names are long.
func (r *eventText) line(dst []byte, e *whose.Event) []byte {
	l := layout{user: true}
	l.processPad = r.processCol.fit(r.process.width + r.user.width)
	if r.arrow != "" {
		if r.bothEnds {
			l.localPad = r.localCol.fit(r.local.width)
		}
		l.remotePad = r.remoteCol.fit(r.remoteWidth())
	} else {
		l.remotePad = max(0, r.endsWidth()-r.local.width)
	}
	r.makeDetail(e, detailFull)
	if room := r.opts.Width; room > 0 {
		r.fit(e, &l, room-r.headWidth)
	}
	return r.put(dst, &l)
}

// endsWidth is the width of the columns of both ends, with the arrow between
// them.
func (r *eventText) endsWidth() int {
	if r.bothEnds {
		return r.localCol.width + 3 + r.remoteCol.width
	}
	return 2 + r.remoteCol.width
}

// remoteWidth is the width of the cell before the detail. If the local end is a
// port only, it counts as a part.
func (r *eventText) remoteWidth() int {
	if r.bothEnds || r.local.width == 0 {
		return r.remote.width
	}
	return r.local.width + 1 + r.remote.width
}

// width is the width of the cells.
func (r *eventText) width(l *layout) int {
	w := r.process.width + 1 + r.local.width
	if l.user {
		w += r.user.width
	}
	if r.arrow != "" {
		w += Width(r.arrow) + 1 + r.remote.width
		if r.local.width > 0 {
			w++
		}
	}
	w += l.processPad + l.localPad
	if r.detail.width > 0 {
		w += l.remotePad + 2 + r.detail.width
	}
	return w
}

// fit shortens the cells to the room there is.
func (r *eventText) fit(e *whose.Event, l *layout, room int) {
	for level := detailPlain; level <= detailBrief && r.width(l) > room; level++ {
		r.makeDetail(e, level)
	}
	r.cutName(max(easyRemote, r.opts.Width/3), r.width(l)-room)
	for _, pad := range [...]*int{&l.remotePad, &l.localPad, &l.processPad} {
		*pad -= min(*pad, max(0, r.width(l)-room))
	}
	if r.width(l) > room {
		l.user = false
	}
	if r.width(l) > room {
		r.makeDetail(e, detailLess)
	}
	r.cutName(easyRemote, r.width(l)-room)
	if r.width(l) > room {
		r.makeDetail(e, detailLeast)
	}
	r.cut(&r.process, shortenProcess, easyEnd, r.width(l)-room)
	r.cut(&r.local, shortenEndpoint, easyRemote, r.width(l)-room)
	r.cut(&r.remote, shortenEndpoint, easyRemote, r.width(l)-room)
	if r.width(l) > room {
		r.makeDetail(e, detailWord)
	}
	r.cut(&r.detail, shortenLast, leastDetail, r.width(l)-room)
	if r.width(l) > room {
		r.detail.reset()
	}
	r.cut(&r.process, shortenProcess, leastWidth, r.width(l)-room)
	r.cut(&r.local, shortenEndpoint, leastWidth, r.width(l)-room)
	r.cut(&r.remote, shortenEndpoint, leastWidth, r.width(l)-room)
}

// cut shortens a cell by the excess of the line, down to a least width.
func (r *eventText) cut(c *cell, shorten shortener, least, over int) {
	if over <= 0 || c.width <= least {
		return
	}
	r.short, c.width = shorten(r.short[:0], c.text, max(least, c.width-over))
	if r.opts.ASCII {
		r.short = cutASCII(r.short)
	}
	c.text = append(c.text[:0], r.short...)
}

// cutName shortens the remote end if it is a name.
func (r *eventText) cutName(least, over int) {
	if r.named {
		r.cut(&r.remote, shortenEndpoint, least, over)
	}
}

// shortenLast keeps the beginning.
func shortenLast(dst, text []byte, width int) ([]byte, int) {
	s, start := string(text), len(dst)
	dst = append(dst, s[:columns(s, width-1)]...)
	dst = append(dst, ellipsis...)
	return dst, textWidth(dst[start:])
}

// put appends the cells.
func (r *eventText) put(dst []byte, l *layout) []byte {
	color := r.opts.Color
	dst = appendStyled(dst, r.process.text, r.process.style, color)
	if l.user {
		dst = appendStyled(dst, r.user.text, r.user.style, color)
	}
	dst = appendSpaces(dst, l.processPad+1)
	dst = appendStyled(dst, r.local.text, r.local.style, color)
	if r.arrow != "" {
		dst = appendSpaces(dst, l.localPad)
		if r.local.width > 0 {
			dst = append(dst, ' ')
		}
		dst = append(appendStyled(dst, []byte(r.arrow), faint, color), ' ')
		dst = appendStyled(dst, r.remote.text, r.remote.style, color)
	}
	if r.detail.width > 0 {
		dst = appendSpaces(dst, l.remotePad+2)
		dst = appendStyled(dst, r.detail.text, r.detail.style, color)
	}
	return append(dst, '\n')
}

// makeDetail describes the process at the other end, the end of the session, and
// the network namespace, unless this one is left unnamed.
func (r *eventText) makeDetail(e *whose.Event, level detailLevel) {
	c := &r.detail
	c.reset()
	s := &e.Session
	if len(s.Peer) > 0 && (level < detailShort || level < detailLess && !e.Kind.Ends()) {
		c.ascii("(")
		r.names.ownersCell(c, s.Peer, r.names.maxPIDs)
		c.ascii(")")
	}
	if e.Kind.Ends() {
		r.endCell(e, level)
	}
	if s.NetNS != r.opts.NetNS && (s.NetNS != 0 || s.NetNSName != "") {
		parted(c, ", ")
		c.ascii("netns ")
		spaceCell(c, s)
	}
}

// parted appends a separator if there is a part before it.
func parted(c *cell, sep string) {
	if c.width > 0 {
		c.ascii(sep)
	}
}

// endCell describes the way and time of the end, and the traffic.
func (r *eventText) endCell(e *whose.Event, level detailLevel) {
	c, brief := &r.detail, level >= detailShort
	parted(c, ", ")
	c.style = endStyle(e)
	endWord(c, e, level)
	if level < detailWord {
		lastedCell(c, e, brief)
	}
	if !e.Counted || level >= detailLeast {
		return
	}
	if !brief {
		c.ascii(",")
	}
	c.ways(e.Sent.Bytes, e.Received.Bytes, true, brief)
	if e.Session.Proto.IsDatagram() && level == detailFull {
		c.ascii(", datagrams")
		c.ways(e.Sent.Datagrams, e.Received.Datagrams, false, brief)
	}
	if tcp := e.Session.TCP; tcp != nil && level == detailFull {
		measuredCell(c, tcp)
	}
}

// lastedCell gives the duration. An idle session lasted until its last datagram.
func lastedCell(c *cell, e *whose.Event, brief bool) {
	if e.StoodBefore && e.Duration < time.Microsecond {
		return // it ended while the watch began
	}
	switch {
	case brief:
		parted(c, " ")
	case e.End == whose.EndIdle:
		c.ascii(", active for ")
	default:
		parted(c, " ")
		c.ascii("after ")
	}
	switch {
	case e.StoodBefore && brief:
		c.ascii(">")
	case e.StoodBefore:
		c.ascii("more than ")
	}
	c.span(e.Duration, brief)
}

// endWord describes the way of the end and the side that ended. brief leaves out
// the usual.
func endWord(c *cell, e *whose.Event, level detailLevel) {
	usual := e.End == whose.EndOrderly || e.End == whose.EndClosed || e.End == whose.EndNone
	if level < detailBrief || !usual {
		endText(c, e)
	}
	if level >= detailLess || e.By == 0 {
		return
	}
	parted(c, " ")
	switch {
	case e.By == whose.Here:
		c.ascii("here")
	case level == detailBrief:
		c.ascii("remote")
	default:
		c.ascii("by remote")
	}
}

func endStyle(e *whose.Event) style {
	switch {
	case e.Kind == whose.EventFail:
		return alarm
	case e.End == whose.EndReset || e.End == whose.EndTimedOut || e.End == whose.EndUnreachable || e.End == whose.EndError:
		return passing
	}
	return plain
}

// ways appends the traffic each way: bytes or a number.
func (c *cell) ways(sent, received uint64, bytes, brief bool) {
	for i, n := range [...]uint64{sent, received} {
		c.ascii(" ")
		c.mark([...]string{"↑", "↓"}[i])
		if bytes {
			c.size(n, brief)
		} else {
			c.uint(n)
		}
	}
}

// measuredCell appends the measurements of TCP.
func measuredCell(c *cell, tcp *whose.TCPInfo) {
	if tcp.RTT > 0 {
		c.ascii(", rtt ")
		c.span(tcp.RTT, false)
	}
	if tcp.Retrans > 0 {
		c.ascii(", ")
		c.uint(uint64(tcp.Retrans))
		if tcp.Retrans == 1 {
			c.ascii(" retransmit")
		} else {
			c.ascii(" retransmits")
		}
	}
}
