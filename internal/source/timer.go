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

// PayloadOf returns the bytes of payload in a count of received bytes of a TCP session
// in the state. The kernel counts the other side's FIN as one of them (tcp_data_queue
// in net/ipv4/tcp_input.c).
func PayloadOf(received uint64, s whose.State) uint64 {
	switch s {
	case whose.CloseWait, whose.LastAck, whose.Closing:
		return received - min(received, 1)
	}
	return received
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
