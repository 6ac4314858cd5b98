package sockdiag

import (
	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
)

// splitFrom is from how many TCP sockets of a namespace on its table is listed
// in two halves, by two workers. Each half walks the whole table: both cost 6 to
// 12 % more processor time than one dump of all and take 14 to 20 % less time.
const splitFrom = 8192

// The halves go by the ports, which a socket keeps as long as it is connected:
// by the remote one if it looks like a client's, else by the local one. Both
// ends of connections within the host, servers and clients each fall into two
// halves of about the same size. firstClient and middle are those of the
// kernel's own default, ip_local_port_range of 32768 to 60999.
const (
	firstClient = 32768
	middle      = 46884
	lastPort    = 65535
)

// halves returns the two programs for the halves of all sockets.
func halves() (lower, upper []byte) {
	servers := filter.PortRange{Last: firstClient - 1}
	lower = compile([]filter.Endpoints{
		{RemotePorts: filter.PortRange{First: firstClient, Last: middle - 1}, LocalPorts: filter.AnyPort},
		{RemotePorts: servers, LocalPorts: filter.PortRange{Last: middle - 1}},
	}, false)
	upper = compile([]filter.Endpoints{
		{RemotePorts: filter.PortRange{First: middle, Last: lastPort}, LocalPorts: filter.AnyPort},
		{RemotePorts: servers, LocalPorts: filter.PortRange{First: middle, Last: lastPort}},
	}, false)
	return lower, upper
}

// splits reports whether the TCP sockets of a namespace are worth two dumps,
// and may be listed by two. A socket that is only bound gets its remote port
// with its connect, and could change from one half to the other unseen. A
// question for those takes one dump. Before Linux 6.9 the kernel lets one dump
// of a protocol wait for the other.
func (p *pass) splits(c *census) bool {
	states := kernelTCPStates(p.q.States)
	return p.s.threads() > 1 && p.s.kernel.dumpsAtOnce && !p.s.kernel.oneFamily.Load() && p.everything &&
		c.known && c.tcpTotal() >= p.s.splitFrom && states&uncounted == 0 &&
		p.q.Protos.Has(whose.TCP) && p.q.Families == whose.AllFamilies
}

// split parts the job of listing TCP sockets in two.
func (j job) split() [2]job {
	lower, upper := j, j
	lower.half, upper.half = halves()
	upper.lane = laneHalf
	lower.weight = j.weight * 5 / 8 // they are seldom of the same size
	upper.weight = lower.weight
	return [2]job{lower, upper}
}
