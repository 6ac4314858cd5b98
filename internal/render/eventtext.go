package render

import (
	"time"

	"github.com/seed-44df2ae6/whose"
)

// An eventText writes a line for each event, made for a person:
//
//	14:03:07.123 open   out tcp curl 4711 (sergey)   → 93.184.215.14:443
//	14:03:08.345 close  out tcp curl 4711 (sergey)   → 93.184.215.14:443   closed by remote after 1.2 s, ↑1.2 kB ↓34 kB
//
// The next events are unknown, so columns begin with a width and grow with their
// cells, up to a bound. A cell wider than its column moves the rest of its line,
// and is not cut as long as there is room; so is a line too long for the
// terminal. See fit.
type eventText struct {
	opts  EventOptions
	clock eventClock
	// day is the day of the last event.
	day int
	// names writes owners as the table of sessions does.
	names *table
	// bothEnds shows both ends in full. narrow shows the direction by the arrow
	// alone.
	bothEnds, narrow bool

	kindCol, protoCol, processCol, localCol, remoteCol growing
	process, user, local, remote, detail               cell
	arrow                                              string
	headWidth                                          int
	named                                              bool // the remote cell has a name
	short                                              []byte
}

// A growing column has a width that grows with its cells to a bound.
type growing struct{ width, most int }

// fit updates the width with a cell and returns the space after the cell.
func (g *growing) fit(width int) int {
	g.width = max(g.width, min(width, g.most))
	return max(0, g.width-width)
}

// The widths from which the line has both ends in full, a word for the
// direction, and milliseconds in the time.
const (
	wideEvents     = 150
	wordyEvents    = 100
	punctualEvents = 60
)

func newEventText(opts *EventOptions) *eventText {
	r := &eventText{opts: *opts}
	r.Resize(opts.Width)
	return r
}

// Head appends nothing: lines that explain themselves need no titles.
func (r *eventText) Head(dst []byte) []byte { return dst }

// Resize resets the initial widths.
func (r *eventText) Resize(width int) {
	r.opts.Width = width
	r.names = newTable(Table, &Options{Width: width, HostName: r.opts.HostName, ServiceName: r.opts.ServiceName, ASCII: r.opts.ASCII})
	for _, c := range [...]*cell{&r.process, &r.user, &r.local, &r.remote, &r.detail} {
		c.ascii7 = r.opts.ASCII
	}
	r.clock = dayClock(r.opts.Zone)
	if width > 0 && width < punctualEvents {
		r.clock.layout, r.clock.digits = time.TimeOnly, 0
	}
	r.bothEnds, r.narrow = width == 0 || width >= wideEvents, width > 0 && width < wordyEvents
	r.kindCol = growing{len("listen"), len("standing")}
	r.protoCol = growing{len("tcp"), len("udplite")}
	if r.bothEnds {
		r.processCol, r.localCol, r.remoteCol = growing{22, 36}, growing{15, 27}, growing{18, 30}
		if r.opts.HostName != nil {
			r.remoteCol.most = 40 // names are longer than addresses
		}
		return
	}
	r.processCol = growing{16, max(16, width/4)}
	r.localCol = growing{}
	r.remoteCol = growing{21, max(21, width/4)}
}

// Event appends one line. The first event of a new day has a line with the date
// before it.
func (r *eventText) Event(dst []byte, e *whose.Event) ([]byte, error) {
	dst = r.newDay(dst, e.Time)
	dst = r.head(dst, e)
	if e.Kind == whose.EventLost {
		return r.lost(dst, e), nil
	}
	r.fill(&e.Session)
	return r.line(dst, e), nil
}

// newDay appends the date if it changed.
func (r *eventText) newDay(dst []byte, t time.Time) []byte {
	year, month, date := t.In(r.clock.zone).Date()
	day := (year*12+int(month))*31 + date
	if r.day != 0 && day > r.day {
		dst = appendStyled(dst, t.In(r.clock.zone).AppendFormat(nil, time.DateOnly), strong, r.opts.Color)
		dst = append(dst, '\n')
	}
	r.day = max(r.day, day)
	return dst
}

// head appends the beginning of every line: time, kind, direction, protocol.
func (r *eventText) head(dst []byte, e *whose.Event) []byte {
	color := r.opts.Color
	r.short = append(r.clock.append(r.short[:0], e.Time), ' ')
	r.headWidth = len(r.short)
	dst = appendStyled(dst, r.short, faint, color)
	if e.Kind == whose.EventLost {
		r.headWidth += r.kindCol.width + 1
		dst = appendStyled(dst, []byte("LOST"), alarm, color)
		return appendSpaces(dst, r.kindCol.width+1-len("LOST"))
	}
	kind, direction := e.Kind.String(), e.Session.Direction.String()
	r.short = append(r.short[:0], kind...)
	switch {
	case r.narrow: // a long name moves the rest of its line
		r.short = appendSpaces(r.short, max(0, r.kindCol.width-len(kind)))
	case direction == "": // there is room for a long name
		if e.Kind == whose.EventStanding { // others with a direction follow
			r.kindCol.fit(len(kind))
		}
		r.short = appendSpaces(r.short, max(0, r.kindCol.width+len(" out")-len(kind)))
	default:
		r.short = appendSpaces(r.short, r.kindCol.fit(len(kind))+1)
		r.short = appendSpaces(append(r.short, direction...), len("out")-len(direction))
	}
	proto := e.Session.Proto.String()
	protoPad := r.protoCol.fit(len(proto)) + 1
	r.headWidth += len(r.short) + 1 + len(proto) + protoPad
	dst = appendStyled(dst, r.short[:len(kind)], kindStyle(e.Kind), color)
	dst = append(append(dst, r.short[len(kind):]...), ' ')
	return appendSpaces(append(dst, proto...), protoPad)
}

func kindStyle(k whose.EventKind) style {
	switch k {
	case whose.EventOpen:
		return open
	case whose.EventListen, whose.EventUnlisten, whose.EventBind:
		return waiting
	case whose.EventFail, whose.EventLost:
		return alarm
	case whose.EventOwned:
		return passing
	case whose.EventStanding:
		return faint
	}
	return plain
}

// lost appends the rest of a line about a loss.
func (r *eventText) lost(dst []byte, e *whose.Event) []byte {
	c := &r.detail
	c.reset()
	c.uint(e.Lost)
	c.ascii(" event")
	if e.Lost != 1 {
		c.ascii("s")
	}
	if e.Why != "" {
		c.ascii(": ")
		c.safe(e.Why)
	}
	if r.opts.Width > 0 {
		r.cut(c, shortenLast, leastDetail, r.headWidth+c.width-r.opts.Width)
	}
	return append(appendStyled(dst, c.text, alarm, r.opts.Color), '\n')
}

// fill makes the cells of a session.
func (r *eventText) fill(s *whose.Session) {
	for _, c := range [...]*cell{&r.process, &r.user, &r.local, &r.remote} {
		c.reset()
	}
	r.arrow, r.named = "", false
	r.ownerCells(s)
	noRemote := s.Remote.Port() == 0 && (!s.Remote.IsValid() || s.Remote.Addr().IsUnspecified())
	switch {
	case r.bothEnds || noRemote && s.Direction == 0:
		addrCell(&r.local, s.Local.Addr(), s.Scope)
		r.names.opts.portCell(&r.local, s.Local.Port(), s.Proto)
	case s.Direction == whose.In:
		r.names.opts.portCell(&r.local, s.Local.Port(), s.Proto)
	}
	if noRemote && s.Direction == 0 {
		r.local.style = strong
		return
	}
	if r.arrow = arrowOf(s.Direction); r.opts.ASCII {
		r.arrow = ASCII(r.arrow)
	}
	if noRemote {
		r.remote.ascii("*")
		return
	}
	r.named = r.names.hostCell(&r.remote, s.Remote.Addr(), s.Scope)
	r.names.opts.portCell(&r.remote, s.Remote.Port(), s.Proto)
}

// ownerCells names the owners, or the reason why there are none, and the user.
func (r *eventText) ownerCells(s *whose.Session) {
	alone := *s
	alone.Peer = nil // the detail shows it
	r.names.processCell(&r.process, &alone)
	if len(r.process.text) == 0 {
		r.process.ascii("?")
	}
	if s.User != "" {
		r.user.ascii(" (")
		r.user.safe(s.User)
		r.user.ascii(")")
		r.user.style = faint
	}
}
