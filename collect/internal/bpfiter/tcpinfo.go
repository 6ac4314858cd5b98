package bpfiter

import (
	"time"

	"github.com/seed-44df2ae6/whose"
)

// congNames are the names of congestion control in kernels. With them a name
// costs no allocation for each session.
var congNames = [...]string{"cubic", "bbr", "reno", "dctcp", "htcp", "vegas", "westwood", "bic", "illinois", "nv", "scalable", "hybla", "yeah", "veno", "lp", "cdg", "highspeed"}

func tcpInfo(r *tcpRecord) whose.TCPInfo {
	return whose.TCPInfo{
		RTT:     time.Duration(r.srtt) * time.Microsecond,
		Retrans: r.retrans, Cwnd: r.cwnd,
		BytesSent: r.bytesSent, BytesReceived: r.bytesReceived,
		Cong: congName(&r.cong),
	}
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
