package render

import (
	"time"

	"github.com/seed-44df2ae6/whose"
)

// noon is when the events of the samples begin.
var noon = time.Date(2026, 3, 1, 14, 3, 7, 123_456_789, time.UTC)

// event makes the nth event of a sample.
func event(n int, kind whose.EventKind, s whose.Session, changes ...func(*whose.Event)) whose.Event {
	e := whose.Event{Kind: kind, Time: noon.Add(time.Duration(n) * 1_234_567 * time.Microsecond), Session: s}
	if kind.Ends() {
		e.Closed = e.Time
	}
	for _, change := range changes {
		change(&e)
	}
	return e
}

// ended is how a session ended.
func ended(end whose.End, by whose.Side, after time.Duration) func(*whose.Event) {
	return func(e *whose.Event) {
		e.End, e.By, e.Duration, e.Counted = end, by, after, e.Kind == whose.EventClose && end != whose.EndNone
	}
}

// carried is what went each way.
func carried(sent, received uint64) func(*whose.Event) {
	return func(e *whose.Event) { e.Sent.Bytes, e.Received.Bytes, e.Counted = sent, received, true }
}

func datagrams(sent, received uint64) func(*whose.Event) {
	return func(e *whose.Event) { e.Sent.Datagrams, e.Received.Datagrams = sent, received }
}

func errno(n uint32) func(*whose.Event) { return func(e *whose.Event) { e.Errno = n } }

func metTCP(rtt time.Duration, retrans uint32) func(*whose.Event) {
	return func(e *whose.Event) { e.Session.TCP = &whose.TCPInfo{RTT: rtt, Retrans: retrans} }
}

func directed(d whose.Direction) func(*whose.Session) {
	return func(s *whose.Session) { s.Direction = d }
}

// asUser sets the user, and lets the name of the namespace go without saying.
func asUser(name string, s whose.Session) whose.Session {
	s.User = name
	return s
}

// dayAtWork is what happens on a host.
func dayAtWork() []whose.Event {
	curl := asUser("sergey", with(session(whose.TCP, whose.Established, "10.0.0.5:52144", "93.184.215.14:443", owners(process(4711, "curl"))...), directed(whose.Out)))
	nginx := with(session(whose.TCP, whose.Established, "10.0.0.5:443", "203.0.113.7:51234", owners(process(814, "nginx"))...), directed(whose.In))
	app := with(session(whose.TCP, whose.Established, "127.0.0.1:40312", "127.0.0.1:5432", owners(process(1234, "app"))...), func(s *whose.Session) {
		s.Direction, s.Peer = whose.Out, owners(process(731, "postgres"))
	})
	ssh := asUser("sergey", with(session(whose.TCP, whose.Close, "10.0.0.5:40022", "10.0.0.9:22", owners(process(4720, "ssh"))...), directed(whose.Out)))
	python := asUser("root", session(whose.TCP, whose.Listen, "0.0.0.0:8000", "0.0.0.0:0", owners(process(4800, "python3"), process(4801, "python3"))...))
	dig := asUser("sergey", with(session(whose.UDP, whose.Unconn, "10.0.0.5:41873", "10.0.0.1:53", owners(process(4730, "dig"))...), directed(whose.Out)))
	v6 := with(session(whose.TCP, whose.Established, "[2001:db8:85a3::8a2e:370:7334]:443", "[2001:db8:ffff:1:2:3:4:5]:60123", owners(process(815, "nginx"))...), directed(whose.In))
	web := with(session(whose.TCP, whose.Established, "172.17.0.2:36000", "10.0.0.1:3128", owners(process(9001, "apt"))...), func(s *whose.Session) {
		s.Direction, s.NetNS, s.NetNSName, s.User = whose.Out, 4026532200, "web", "root"
	})
	handed := with(nginx, func(s *whose.Session) { s.Owners = owners(process(814, "nginx"), process(816, "nginx")) })
	kernel := with(session(whose.UDP, whose.Unconn, "0.0.0.0:51820", "198.51.100.9:51820"), func(s *whose.Session) {
		s.Direction, s.Reason, s.User = whose.In, whose.ReasonKernel, ""
	})
	queued := with(session(whose.TCP, whose.Established, "10.0.0.5:443", "203.0.113.19:49152"), func(s *whose.Session) {
		s.Direction, s.Reason, s.Owners = whose.In, whose.ReasonAcceptQueue, owners(process(812, "nginx"))
	})
	bound := asUser("root", session(whose.UDP, whose.Unconn, "0.0.0.0:5353", "0.0.0.0:0", owners(process(500, "avahi-daemon"))...))
	stood := func(e *whose.Event) { e.StoodBefore = true }
	return []whose.Event{
		event(0, whose.EventStanding, nginx),
		event(0, whose.EventStanding, python),
		event(1, whose.EventOpen, curl),
		event(2, whose.EventClose, curl, ended(whose.EndOrderly, whose.There, 1_221_400*time.Microsecond), carried(1_234, 34_567), metTCP(12_345*time.Microsecond, 0)),
		event(3, whose.EventOpen, nginx),
		event(4, whose.EventOwned, handed),
		event(5, whose.EventClose, nginx, ended(whose.EndReset, whose.There, 3*time.Hour+5*time.Minute), carried(9_876_543_210, 517), metTCP(340*time.Microsecond, 3)),
		event(6, whose.EventOpen, app),
		event(7, whose.EventClose, app, ended(whose.EndOrderly, whose.Here, 127*time.Second), carried(0, 0), stood, metTCP(25*time.Microsecond, 1)),
		event(8, whose.EventFail, ssh, ended(whose.EndRefused, 0, 312*time.Microsecond), errno(111)),
		event(9, whose.EventFail, ssh, ended(whose.EndTimedOut, 0, 127*time.Second), errno(110)),
		event(10, whose.EventFail, ssh, ended(whose.EndUnreachable, 0, 3*time.Second), errno(113)),
		event(11, whose.EventFail, ssh, ended(whose.EndError, 0, 9*time.Microsecond), errno(4711)),
		event(12, whose.EventListen, python),
		event(13, whose.EventUnlisten, python),
		event(14, whose.EventBind, bound),
		event(15, whose.EventOpen, dig),
		event(16, whose.EventClose, dig, ended(whose.EndClosed, whose.Here, 23*time.Millisecond), carried(45, 312), datagrams(1, 1)),
		event(17, whose.EventOpen, kernel),
		event(18, whose.EventClose, kernel, ended(whose.EndIdle, 0, 31*time.Second), carried(1<<60, 999_999), datagrams(4, 7)),
		event(19, whose.EventOpen, v6),
		event(20, whose.EventClose, v6, ended(whose.EndTimedOut, 0, 52*time.Hour), carried(1000, 999)),
		event(21, whose.EventOpen, web),
		event(22, whose.EventClose, queued, ended(whose.EndError, 0, time.Second), carried(1, 2), errno(71)),
		event(23, whose.EventClose, app, ended(whose.EndNone, 0, 2*time.Second)),
		event(23, whose.EventLost, whose.Session{}, func(e *whose.Event) { e.Lost, e.Cause, e.Why = 1234, whose.CauseLost, "ring buffer full" }),
		event(24, whose.EventLost, whose.Session{}, func(e *whose.Event) { e.Lost = 1 }),
		event(100_000, whose.EventOpen, curl),
	}
}

// hostileEvents are of processes whose names try to break a line.
func hostileEvents() []whose.Event {
	var all []whose.Event
	for i, s := range hostile() {
		s.State, s.Direction = whose.Established, whose.Out
		s.NetNS, s.NetNSName, s.Peer = 7, s.User, s.Owners
		all = append(all, event(i, whose.EventClose, s, ended(whose.EndOrderly, whose.Here, time.Second), carried(1, 2)))
		all = append(all, event(i, whose.EventLost, whose.Session{}, func(e *whose.Event) { e.Lost, e.Cause, e.Why = 1, whose.CauseLimit, s.User }))
	}
	return all
}
