package whose

import "time"

// A TimerKind is the kind of a timer of a TCP session.
type TimerKind uint8

// The kinds of timers. The zero value: none runs.
const (
	// TimerRetransmit: what was sent and not acknowledged is sent again then, or the
	// connection request or its answer is.
	TimerRetransmit TimerKind = iota + 1
	// TimerKeepalive: the other end is asked whether it is still there
	// (SO_KEEPALIVE), or the wait for its FIN ends.
	TimerKeepalive
	// TimerTimeWait: TIME_WAIT ends then.
	TimerTimeWait
	// TimerPersist: the other end, whose window is closed, is probed.
	TimerPersist
)

var timerNames = enum{
	TimerRetransmit: "retransmit", TimerKeepalive: "keepalive", TimerTimeWait: "timewait", TimerPersist: "persist",
}

// String returns "retransmit", "keepalive", "timewait", "persist" or "".
func (k TimerKind) String() string { return timerNames.name(uint8(k)) }

// A Timer is the running timer of a TCP session. Where several run, the kernel
// reports that of a transmission. The zero value: none runs.
type Timer struct {
	// Left is the time until it fires, in the kernel's ticks (1 to 10 ms, by the source
	// procfs 10 ms). Zero: now.
	Left time.Duration
	Kind TimerKind
	// Retrans counts the retransmissions or probes without an answer so far.
	Retrans uint8
}
