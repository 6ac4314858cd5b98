package collecttest

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
)

func timerCases() []Case {
	return []Case{
		{Name: "timers", Rule: "the running timer of a connection is told: its kind, and the time left", Brief: true, hold: holdTimers, check: checkTimers},
		{Name: "idle", Rule: "the time since the last byte either way is told, from the establishment on", Brief: true, hold: holdTimers, check: checkIdle},
	}
}

// keepIdle is the time before the first keepalive of the case.
const keepIdle = 3000 * time.Second

func holdTimers(st *Stage) {
	st.addPair(st.pair("127.0.0.1:0", ""), st.pid())
	p := st.pair("127.0.0.1:0", "")
	st.check(unix.SetsockoptInt(p.c, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(keepIdle/time.Second)), "setsockopt TCP_KEEPIDLE")
	st.check(unix.SetsockoptInt(p.c, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1), "setsockopt SO_KEEPALIVE")
	st.add("keepalive", st.established(p.c, whose.Out, st.pid()))
	st.add("other end of keepalive", st.established(p.a, whose.In, st.pid()))
	st.add("listener of keepalive", st.listener(p.l, 16))
	p = st.pair("127.0.0.1:0", "")
	st.add("listener of timewait", st.listener(p.l, 16))
	st.add("timewait", st.finish(p))
	p = st.pair("127.0.0.1:0", "")
	st.check(unix.Shutdown(p.c, unix.SHUT_WR), "shutdown")
	st.inState(p.c, whose.FinWait2)
	client, server := st.established(p.c, whose.Out, st.pid()), st.established(p.a, whose.In, st.pid())
	client.State, server.State, server.RecvQueue = whose.FinWait2, whose.CloseWait, 1
	st.add("shut down", client)
	st.add("other end of shut down", server)
	st.add("listener of shut down", st.listener(p.l, 16))
	holdSynRecv(st)
	p = st.pair("127.0.0.1:0", "")
	st.check(unix.SetNonblock(p.c, true), "set nonblocking")
	st.wait("fill the window", func() bool {
		_, err := unix.Write(p.c, make([]byte, 64<<10))
		return err == unix.EAGAIN
	})
	st.add("persist", st.established(p.c, whose.Out, st.pid()), "recv_queue", "send_queue")
	st.add("other end of persist", st.established(p.a, whose.In, st.pid()), "recv_queue", "send_queue")
	st.add("listener of persist", st.listener(p.l, 16))
}

// A timed answer knows when it was collected.
type timed struct {
	before, after time.Time
	byLabel       map[string]whose.Session
}

// timed asks with the needs and finds the case's sessions.
func (c *caught) timed(t *testing.T, needs whose.Needs) timed {
	t.Helper()
	opts := everything()
	opts.Needs = whose.NeedDefault | needs
	a := timed{before: time.Now(), byLabel: make(map[string]whose.Session)}
	sessions, _ := c.again(t, opts)
	a.after = time.Now()
	for _, truth := range c.Truths {
		for _, s := range c.ours(sessions) {
			if keyOf(&s) == keyOf(&truth.Session) {
				a.byLabel[truth.Label] = s
			}
		}
	}
	return a
}

// slack is what the clocks of kernel and test may differ by, which go by ticks.
const slack = 100 * time.Millisecond

// elapsed reports whether a span is the time from one answer to the next.
func elapsed(span time.Duration, first, second timed) bool {
	return span >= second.before.Sub(first.after)-slack && span <= second.after.Sub(first.before)+slack
}

// until asks again until the answer is good.
func (c *caught) until(t *testing.T, needs whose.Needs, good func(timed) bool) timed {
	t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if a := c.timed(t, needs); good(a) || time.Since(began) > wait {
			return a
		}
	}
}

func timerOfLabel(a timed, label string) whose.Timer {
	if s := a.byLabel[label]; s.TCP != nil {
		return s.TCP.Timer
	}
	return whose.Timer{}
}

// knowsTimers reports whether the source knows the timer of any session.
func (c *caught) knowsTimers() bool {
	s := whose.Session{TCP: &whose.TCPInfo{OnlyTimer: true, Timer: whose.Timer{Kind: whose.TimerKeepalive}}}
	return Blank(c.source, &s) && s.TCP != nil
}

func checkTimers(t *testing.T, c *caught) {
	if !c.knowsTimers() {
		for label, s := range c.timed(t, whose.NeedTimer).byLabel {
			if s.TCP != nil {
				t.Errorf("%s: %s gives %+v, which it is said not to know", label, c.source, s.TCP)
			}
		}
		return
	}
	settled := func(a timed) bool { return timerOfLabel(a, "persist").Kind == whose.TimerPersist }
	first := c.until(t, whose.NeedTimer, settled)
	second := c.until(t, whose.NeedTimer, func(a timed) bool { return a.before.Sub(first.after) > 2*slack })
	for label, most := range map[string]time.Duration{
		"keepalive": keepIdle, "timewait": time.Minute, "persist": 2 * time.Minute, "not complete": 2 * time.Minute,
	} {
		kind := label
		if label == "not complete" {
			kind = "retransmit"
		}
		for _, a := range []timed{first, second} {
			if timer := timerOfLabel(a, label); timer.Kind.String() != kind || timer.Left > most+slack || timer.Left < 0 {
				t.Errorf("%s: timer %+v, want %s with at most %v left", label, timer, kind, most)
			}
		}
	}
	for _, label := range []string{"keepalive", "timewait"} {
		if went := timerOfLabel(first, label).Left - timerOfLabel(second, label).Left; !elapsed(went, first, second) {
			t.Errorf("%s: the time left went down by %v between answers %v to %v apart", label, went,
				second.before.Sub(first.after), second.after.Sub(first.before))
		}
	}
	if timer := timerOfLabel(second, "keepalive"); timer.Retrans != 0 || timer.Left < keepIdle-2*wait {
		t.Errorf("keepalive: %+v, want no probe and nearly %v left", timer, keepIdle)
	}
	for label, s := range second.byLabel {
		if s.TCP != nil && !s.TCP.OnlyTimer {
			t.Errorf("%s: figures that nobody asked for: %+v", label, *s.TCP)
		}
		if strings.HasPrefix(label, "listener") && s.TCP != nil {
			t.Errorf("%s: %+v, want no timer", label, *s.TCP)
		}
	}
	for label, s := range c.timed(t, 0).byLabel {
		if s.TCP != nil {
			t.Errorf("%s: a timer that nobody asked for: %+v", label, *s.TCP)
		}
	}
}

func checkIdle(t *testing.T, c *caught) {
	first := c.timed(t, whose.NeedTCPInfo)
	second := c.until(t, whose.NeedTCPInfo, func(a timed) bool { return a.before.Sub(first.after) > 2*slack })
	for label, s := range second.byLabel {
		full := s
		full.TCP = &whose.TCPInfo{}
		Blank(c.source, &full)
		known := full.TCP != nil && whose.SetOf(whose.Established, whose.FinWait2, whose.CloseWait).Has(s.State)
		if got := s.TCP != nil && s.TCP.HasIdle; got != known {
			t.Errorf("%s: idle known %v, want %v", label, got, known)
			continue
		}
		age := whose.FieldByName("age").Value(s.Row())
		if used := strings.Contains(label, "persist"); age.IsZero() == (known && !used) {
			t.Errorf("%s: age %v; it is known where no byte went, and there alone", label, time.Duration(age.Num))
		}
		if !known || strings.Contains(label, "persist") {
			continue
		}
		if age.Num != uint64(s.TCP.Idle) {
			t.Errorf("%s: age %v, want the idle %v", label, time.Duration(age.Num), s.TCP.Idle)
		}
		if went := s.TCP.Idle - first.byLabel[label].TCP.Idle; !elapsed(went, first, second) {
			t.Errorf("%s: idle went up by %v between answers %v to %v apart", label, went,
				second.before.Sub(first.after), second.after.Sub(first.before))
		}
	}
}
