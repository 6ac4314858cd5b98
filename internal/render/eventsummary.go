package render

import (
	"io"
	"net/netip"
	"strconv"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/tally"
)

// Summary writes the summary to w: as tables for a person, or for JSONL as one
// object on a line.
func Summary(w io.Writer, format string, s *tally.Summary, opts Options) error {
	if format == JSONL {
		_, err := w.Write(appendSummary(nil, s))
		return err
	}
	if opts.ASCII {
		w = ToASCII(w)
	}
	var head cell
	summaryHead(&head, s)
	if _, err := w.Write(append(head.text, '\n')); err != nil {
		return err
	}
	for _, table := range []*grid{
		processGrid(s), remoteGrid(s, &opts), failureGrid(s, &opts), busiestGrid(s.Busiest, &opts),
	} {
		if table.rows.count == 0 {
			continue
		}
		if _, err := io.WriteString(w, "\n"); err != nil {
			return err
		}
		if err := table.write(w, &opts, 0); err != nil {
			return err
		}
	}
	return nil
}

// summaryHead gives duration and totals in one line.
func summaryHead(c *cell, s *tally.Summary) {
	c.ascii("In ")
	c.span(s.Took, false)
	if s.Source != "" {
		c.ascii(", by " + s.Source)
	}
	sep := ": "
	for _, k := range whose.EventKinds() {
		if n := s.Counts[k]; n > 0 && k != whose.EventLost {
			c.ascii(sep)
			c.uint(n)
			c.ascii(" " + k.String())
			sep = ", "
		}
	}
	if sep == ": " && len(s.Busiest) > 0 {
		c.ascii(": nothing opened or closed")
	} else if sep == ": " {
		c.ascii(": nothing")
	}
	if s.Beyond > 0 {
		c.ascii("; of them in no list below: ")
		c.uint(s.Beyond)
	}
	if s.Gaps.HasKind(whose.GapEvents) {
		c.ascii("; LOST ")
		c.uint(uint64(s.Gaps.Count(whose.GapEvents)))
	}
	for _, g := range s.Gaps {
		if g.Kind == whose.GapTraffic {
			c.ascii("; ")
			c.safe(g.String())
		}
	}
}

// summaryGrid is a grid with its titles. A name before a space is aligned to the
// left, all others to the right.
func summaryGrid(left []string, right ...string) *grid {
	g := &grid{}
	for _, title := range left {
		g.columns = append(g.columns, &column{title: title, gap: 2, easy: 14, shorten: shortenMiddle})
	}
	for _, title := range right {
		g.columns = append(g.columns, &column{title: title, gap: 2, right: true})
	}
	g.start(false)
	return g
}

// trafficTitles are the titles of the counts for a process or a remote address.
var trafficTitles = []string{"OUT", "IN", "FAILED", "STOOD", "SENT", "RECEIVED"}

func processGrid(s *tally.Summary) *grid {
	g := summaryGrid([]string{"PROCESS"}, trafficTitles...)
	for i := range s.Processes {
		g.process(s.Processes[i].Key, 0)
		g.traffic(&s.Processes[i].Sum, s.NoTraffic)
	}
	g.more(s.MoreProcesses)
	return g
}

// remoteGrid shows the name beside each address, if names are on: many addresses
// may have one name.
func remoteGrid(s *tally.Summary, opts *Options) *grid {
	left := []string{"REMOTE"}
	if opts.HostName != nil {
		left = append(left, "NAME")
	}
	g := summaryGrid(left, trafficTitles...)
	for i := range s.Remotes {
		remote := s.Remotes[i].Key
		g.text(remote.String(), plain)
		if opts.HostName != nil {
			g.text(opts.HostName(remote), plain)
		}
		g.traffic(&s.Remotes[i].Sum, s.NoTraffic)
	}
	g.more(s.MoreRemotes)
	return g
}

// traffic adds the counts of one process or remote address. Unknown bytes are blank;
// where those of some sessions are, the others are marked as the least: >1.2 kB.
func (g *grid) traffic(t *tally.Traffic, unknown bool) {
	g.number(t.Out, plain)
	g.number(t.In, plain)
	g.failures(t.Failed)
	g.number(t.Stood, plain)
	for _, n := range [...]uint64{t.Sent, t.Received} {
		switch {
		case unknown || t.Unknown():
			g.text(" ", plain)
		case t.Uncounted > 0:
			c := g.cell()
			c.ascii(">")
			c.size(n, false)
			g.add(c)
		default:
			g.bytes(n)
		}
	}
}

func failureGrid(s *tally.Summary, opts *Options) *grid {
	g := summaryGrid([]string{"FAILED", "PROCESS", "PROTO", "WHY"}, "TIMES")
	for i := range s.Failures {
		f := &s.Failures[i].Key
		c := g.cell()
		remoteEndCell(c, f.Remote, f.Proto, opts)
		g.add(c)
		g.process(f.Actor, 0)
		g.text(f.Proto.String(), plain)
		c = g.cell()
		endText(c, &whose.Event{Kind: whose.EventFail, Lifetime: whose.Lifetime{End: f.End, Errno: f.Errno}})
		g.add(c)
		g.number(s.Failures[i].Sum, plain)
	}
	g.more(s.MoreFailures)
	return g
}

func busiestGrid(list []tally.Load, opts *Options) *grid {
	g := summaryGrid([]string{"BUSIEST", "PROTO", "ENDS"}, "SENT", "RECEIVED", "TOOK")
	g.columns[2].shorten, g.columns[2].easy = shortenEnds, len("…:52144 → 255.255.255.255:443")
	for i := range list {
		l := &list[i]
		g.process(l.Actor, l.PID)
		g.text(l.Proto.String(), plain)
		c := g.cell()
		localEndCell(c, l.Local, l.Proto, opts)
		c.ascii(" ")
		c.mark(arrowOf(l.Direction))
		c.ascii(" ")
		remoteEndCell(c, l.Remote, l.Proto, opts)
		g.add(c)
		g.bytes(l.Sent)
		g.bytes(l.Received)
		c = g.cell()
		c.span(l.Took, false)
		if l.Open {
			c.ascii(", open")
		}
		g.add(c)
	}
	return g
}

// shortenEnds shortens each end by itself, the local one first. The arrow and
// the ports stay.
func shortenEnds(dst, text []byte, width int) ([]byte, int) {
	at, sep := findArrow(text)
	if at < 0 || width < 9 {
		return shortenMiddle(dst, text, width)
	}
	one, other := text[:at], text[at+len(sep):]
	least := min(leastWidth, textWidth(one), (width-3)/2)
	room := min(textWidth(other), width-3-least)
	dst, took := shortenTo(dst, one, width-3-room)
	dst, more := shortenTo(append(dst, sep...), other, room)
	return dst, took + 3 + more
}

// shortenTo shortens an end to width.
func shortenTo(dst, end []byte, width int) ([]byte, int) {
	if w := textWidth(end); w <= width {
		return append(dst, end...), w
	}
	return shortenEndpoint(dst, end, width)
}

// process adds the name of a process, and its number if given, or the reason why
// there is none.
func (g *grid) process(by tally.Actor, pid uint32) {
	c := g.cell()
	if by.Comm == "" && by.Reason != whose.ReasonNone {
		g.text("("+reasonWords(by.Reason)+")", faint)
		return
	}
	nameCell(c, by.Comm)
	if pid > 0 {
		c.ascii(" ")
		c.uint(uint64(pid))
	}
	g.add(c)
}

func (g *grid) bytes(n uint64) {
	c := g.cell()
	c.size(n, false)
	g.add(c)
}

// failures adds a number of failures, marked unless it is 0.
func (g *grid) failures(n uint64) {
	if n > 0 {
		g.number(n, alarm)
		return
	}
	g.number(0, plain)
}

// more adds a row with the number of rows left out.
func (g *grid) more(n int) {
	if n <= 0 {
		return
	}
	g.text("… "+strconv.Itoa(n)+" more", faint)
	for g.at > 0 {
		g.text(" ", plain) // nothing is missing here
	}
}

func localEndCell(c *cell, end netip.AddrPort, proto whose.Proto, opts *Options) {
	if !end.IsValid() {
		c.ascii("*")
		return
	}
	addrCell(c, end.Addr(), "")
	opts.portCell(c, end.Port(), proto)
}

// remoteEndCell is the other end, by its name if known.
func remoteEndCell(c *cell, end netip.AddrPort, proto whose.Proto, opts *Options) {
	name := ""
	if end.IsValid() {
		name = opts.hostName(end.Addr())
	}
	if name == "" {
		localEndCell(c, end, proto, opts)
		return
	}
	c.safe(name)
	opts.portCell(c, end.Port(), proto)
}

// appendSummary appends the last object of JSONL.
func appendSummary(dst []byte, s *tally.Summary) []byte {
	dst = append(strconv.AppendInt(append(dst, `{"version":`...), whose.EventVersion, 10), `,"summary":{`...)
	dst = strconv.AppendInt(append(dst, `"duration":`...), int64(s.Took/time.Microsecond), 10)
	dst = appendEventName(dst, `,"source":"`, s.Source)
	dst = append(dst, `,"events":{`...)
	for _, k := range whose.EventKinds() {
		if k != whose.EventLost {
			dst = append(appendJSONString(dst, k.String()), ':')
			dst = append(strconv.AppendUint(dst, s.Counts[k], 10), ',')
		}
	}
	dst = append(dst[:len(dst)-1], '}')
	dst = appendGaps(append(dst, `,"partial":`...), s.Gaps)
	dst = strconv.AppendUint(append(dst, `,"beyond":`...), s.Beyond, 10)
	dst = append(dst, `,"by_process":[`...)
	for i := range s.Processes {
		dst = appendTraffic(appendActor(dst, s.Processes[i].Key), &s.Processes[i].Sum, s.NoTraffic)
	}
	dst = append(unlist(dst), `,"by_remote":[`...)
	for i := range s.Remotes {
		dst = append(s.Remotes[i].Key.AppendTo(append(dst, `{"remote_addr":"`...)), '"')
		dst = appendTraffic(dst, &s.Remotes[i].Sum, s.NoTraffic)
	}
	dst = append(unlist(dst), `,"failed":[`...)
	for i := range s.Failures {
		dst = appendFailure(dst, &s.Failures[i].Key, s.Failures[i].Sum)
	}
	dst = append(unlist(dst), `,"busiest":[`...)
	for i := range s.Busiest {
		dst = appendLoad(dst, &s.Busiest[i])
	}
	dst = unlist(dst)
	dst = strconv.AppendInt(append(dst, `,"more_processes":`...), int64(s.MoreProcesses), 10)
	dst = strconv.AppendInt(append(dst, `,"more_remotes":`...), int64(s.MoreRemotes), 10)
	dst = strconv.AppendInt(append(dst, `,"more_failed":`...), int64(s.MoreFailures), 10)
	return append(dst, "}}\n"...)
}

// unlist removes the last comma and closes the list.
func unlist(dst []byte) []byte {
	if dst[len(dst)-1] == ',' {
		dst = dst[:len(dst)-1]
	}
	return append(dst, ']')
}

func appendTraffic(dst []byte, t *tally.Traffic, unknown bool) []byte {
	dst = strconv.AppendUint(append(dst, `,"out":`...), t.Out, 10)
	dst = strconv.AppendUint(append(dst, `,"in":`...), t.In, 10)
	dst = strconv.AppendUint(append(dst, `,"failed":`...), t.Failed, 10)
	if t.Stood > 0 {
		dst = strconv.AppendUint(append(dst, `,"stood":`...), t.Stood, 10)
	}
	if !unknown && !t.Unknown() {
		dst = strconv.AppendUint(append(dst, `,"sent":`...), t.Sent, 10)
		dst = strconv.AppendUint(append(dst, `,"received":`...), t.Received, 10)
	}
	if t.Uncounted > 0 {
		dst = strconv.AppendUint(append(dst, `,"uncounted":`...), t.Uncounted, 10)
	}
	return append(dst, "},"...)
}

// appendActor begins an object with the process, or with the reason why there is
// none.
func appendActor(dst []byte, by tally.Actor) []byte {
	if by.Comm == "" && by.Reason != whose.ReasonNone {
		return append(append(append(dst, `{"reason":"`...), by.Reason.String()...), '"')
	}
	return appendJSONString(append(dst, `{"comm":`...), by.Comm)
}

func appendFailure(dst []byte, f *tally.Failure, count uint64) []byte {
	dst = appendActor(dst, f.Actor)
	dst = appendEventName(dst, `,"proto":"`, f.Proto.String())
	dst = appendEnd(dst, "remote", f.Remote)
	dst = appendEventName(dst, `,"end":"`, f.End.String())
	if f.Errno != 0 {
		dst = strconv.AppendUint(append(dst, `,"errno":`...), uint64(f.Errno), 10)
	}
	dst = strconv.AppendUint(append(dst, `,"count":`...), count, 10)
	return append(dst, "},"...)
}

func appendLoad(dst []byte, l *tally.Load) []byte {
	dst = appendActor(dst, l.Actor)
	if l.PID > 0 {
		dst = strconv.AppendUint(append(dst, `,"pid":`...), uint64(l.PID), 10)
	}
	dst = appendEventName(dst, `,"proto":"`, l.Proto.String())
	dst = appendEventName(dst, `,"direction":"`, l.Direction.String())
	dst = appendEnd(appendEnd(dst, "local", l.Local), "remote", l.Remote)
	dst = strconv.AppendUint(append(dst, `,"sent":`...), l.Sent, 10)
	dst = strconv.AppendUint(append(dst, `,"received":`...), l.Received, 10)
	dst = strconv.AppendInt(append(dst, `,"duration":`...), int64(l.Took/time.Microsecond), 10)
	if l.Stood {
		dst = append(dst, `,"stood_before":true`...)
	}
	if l.Open {
		dst = append(dst, `,"open":true`...)
	}
	return append(dst, "},"...)
}

// appendEnd appends address and port of one end, if known.
func appendEnd(dst []byte, side string, end netip.AddrPort) []byte {
	if !end.IsValid() {
		return dst
	}
	dst = append(append(append(dst, `,"`...), side...), `_addr":"`...)
	dst = append(end.Addr().AppendTo(dst), '"')
	dst = append(append(append(dst, `,"`...), side...), `_port":`...)
	return strconv.AppendUint(dst, uint64(end.Port()), 10)
}

// appendEventName appends a key and a name, if there is one.
func appendEventName(dst []byte, key, name string) []byte {
	if name == "" {
		return dst
	}
	return append(append(append(dst, key...), name...), '"')
}
