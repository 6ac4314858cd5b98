package source

import "github.com/seed-44df2ae6/whose"

// TimerKind returns the kind of a timer by the kernel's number, of sock_diag and of
// /proc/net/tcp alike; 0 for none and for an unknown one.
func TimerKind(n byte) whose.TimerKind {
	if n > byte(whose.TimerPersist) {
		return 0
	}
	return whose.TimerKind(n)
}

// HasIdle reports whether a TCP session in the state was established, so that the
// kernel knows the time of its last byte. Before, the fields hold no time.
func HasIdle(s whose.State) bool {
	switch s {
	case whose.SynSent, whose.SynRecv, whose.Listen, whose.Close, whose.TimeWait:
		return false
	}
	return true
}
