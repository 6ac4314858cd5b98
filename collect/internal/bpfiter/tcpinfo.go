package bpfiter

import (
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// congNames are the names of congestion control in kernels. With them a name
// costs no allocation for each session.
var congNames = [...]string{"cubic", "bbr", "reno", "dctcp", "htcp", "vegas", "westwood", "bic", "illinois", "nv", "scalable", "hybla", "yeah", "veno", "lp", "cdg", "highspeed"}

// tcpInfo reads the record of a session in that state, as far as it was asked for.
// The question has one bit for the figures and the timer, so both come. ok is false
// if nothing of it was asked for.
func (rd *reading) tcpInfo(r *tcpRecord, state whose.State) (info whose.TCPInfo, ok bool) {
	if rd.wantInfo && r.timerOnly == 0 {
		info = rd.figures(r, state)
	} else {
		info.OnlyTimer = true
	}
	if rd.wantTimer {
		if kind := source.TimerKind(r.timer); kind != 0 {
			info.Timer = whose.Timer{Kind: kind, Retrans: r.tries, Left: sinceJiffies(r.left, rd.hz)}
		}
	}
	return info, !info.OnlyTimer || info.Timer.Kind != 0
}

func (rd *reading) figures(r *tcpRecord, state whose.State) whose.TCPInfo {
	received := source.PayloadOf(r.bytesReceived, state)
	return whose.TCPInfo{
		Idle: sinceJiffies(r.idle, rd.hz), HasIdle: source.HasIdle(state),
		Unused:  r.bytesSent == 0 && received == 0,
		RTT:     time.Duration(r.srtt) * time.Microsecond,
		Retrans: r.retrans, Cwnd: r.cwnd,
		BytesSent: r.bytesSent, BytesReceived: received,
		Cong: congName(&r.cong),
	}
}

// sinceJiffies turns jiffies into time as the kernel does (jiffies_to_msecs): whole
// milliseconds, rounded up.
func sinceJiffies(n, hz uint32) time.Duration {
	return time.Duration((uint64(n)*1000+uint64(hz)-1)/uint64(hz)) * time.Millisecond
}

func congName(name *[16]byte) string {
	n := 0
	for n < len(name) && name[n] != 0 {
		n++
	}
	for _, known := range congNames {
		if known == string(name[:n]) {
			return known
		}
	}
	return string(name[:n])
}
