package bpfevent

import (
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// A Config selects the records. The zero value selects everything except
// command lines, with the default sizes.
type Config struct {
	// BufferSize is the size of the ring buffer in bytes, rounded up to a power
	// of two of at least 4 KiB. Zero means 8 MiB.
	BufferSize int
	// MaxFlows bounds the UDP flows counted at a time, rounded up to a power of
	// two. Beyond it a new flow evicts the oldest one not in use. The kernel
	// keeps about 350 bytes for each. Zero means 65,536.
	MaxFlows int
	// Query selects sessions. The kernel applies its Protos, Families, NetNS, Any
	// and Listeners, as far as they fit there; it never reports less. Nil selects
	// all.
	Query *source.Query
	// FlushEvery is how long an event may wait for others before it is read; it
	// is less where many come. A connection open for a fifth of it is reported
	// before its end, in a record of its own. Zero means 100 ms.
	FlushEvery time.Duration
	// Text: command lines and paths of executables are read.
	Text bool
	// Whole: a connection that is over when it is first reported comes as one
	// record, TCPClose, instead of two or three.
	Whole bool
	// Packets: UDP flows are counted by their packets rather than by the calls
	// that send and receive them. This is always so if the kernel does not report
	// the calls (before Linux 6.3). It costs on every packet of the host, TCP's
	// too. Received then counts the datagrams that reached a socket, whether or
	// not anybody reads them, and the remote is always known. Of a flow that
	// begins with an incoming packet, Task is the process that then asks for its
	// sender. If none does within 100 ms, Task is the process that used the
	// socket last.
	Packets bool
	// Kinds are the wanted kinds of records (SetOf(TCPOpen, …)). Programs that no
	// wanted kind needs are not attached. Zero means all. ProcessSeen comes in
	// any case.
	Kinds whose.Set[Kind]

	// takenWithin is the 100 ms of Packets, for tests on slow machines. Zero
	// means 100 ms.
	takenWithin time.Duration
}

const (
	defaultBuffer = 8 << 20
	defaultFlows  = 65536
	defaultFlush  = 100 * time.Millisecond
	defaultTaken  = 100 * time.Millisecond
	minBuffer     = 4096
	maxBuffer     = 1 << 30
	minFlows      = 8
	maxFlows      = 1 << 22
)

// powerOfTwo returns the smallest power of two not less than n, within the
// bounds, which are powers of two themselves.
func powerOfTwo(n, smallest, largest int) int {
	p := smallest
	for p < n && p < largest {
		p *= 2
	}
	return p
}

// withDefaults returns the configuration with every size stated.
func (c Config) withDefaults() Config {
	if c.BufferSize <= 0 {
		c.BufferSize = defaultBuffer
	}
	c.BufferSize = powerOfTwo(c.BufferSize, minBuffer, maxBuffer)
	if c.MaxFlows <= 0 {
		c.MaxFlows = defaultFlows
	}
	c.MaxFlows = powerOfTwo(c.MaxFlows, minFlows, maxFlows)
	if c.FlushEvery <= 0 {
		c.FlushEvery = defaultFlush
	}
	if c.takenWithin <= 0 {
		c.takenWithin = defaultTaken
	}
	if c.Query == nil {
		everything := source.Everything()
		c.Query = &everything
	}
	if c.Kinds == 0 {
		c.Kinds = ^c.Kinds
	}
	return c
}

// emitAfter is the time after which an open connection is reported without its
// end.
func (c *Config) emitAfter() time.Duration { return c.FlushEvery / 5 }

// settlesAfter is the time between the last complete moment and a look at the
// ring. By then a connection has been open for long enough, and a socket has
// listened for 10 ms. It is more than emitAfter, since flush passes over a note
// being written.
func (c *Config) settlesAfter() time.Duration { return max(c.FlushEvery/4, 10*time.Millisecond) }

// wants reports whether one of the kinds is wanted.
func (c *Config) wants(kinds ...Kind) bool {
	for _, k := range kinds {
		if c.Kinds.Has(k) {
			return true
		}
	}
	return false
}

// wantsTCP and wantsUDP report whether anything of the protocol is wanted.
func (c *Config) wantsTCP() bool {
	p := c.Query.Protos
	return (p.Has(whose.TCP) || p.Has(whose.MPTCP)) &&
		c.wants(TCPOpen, TCPAccept, TCPClose, TCPFail, TCPListen, TCPUnlisten)
}

func (c *Config) wantsUDP() bool {
	p := c.Query.Protos
	return (p.Has(whose.UDP) || p.Has(whose.UDPLite)) && c.wants(UDPBind, UDPOpen, UDPClose)
}

// what returns the wanted kinds as enum what of bpf/record.h.
func (c *Config) what() uint32 {
	var w uint32
	for _, k := range []struct {
		kind Kind
		what uint16
	}{
		{TCPOpen, whatOpen}, {UDPOpen, whatOpen}, {TCPAccept, whatAccept}, {TCPClose, whatClose}, {UDPClose, whatClose},
		{TCPFail, whatFail}, {TCPListen, whatListen}, {TCPUnlisten, whatUnlisten}, {UDPBind, whatBind},
	} {
		if c.wants(k.kind) {
			w |= uint32(k.what)
		}
	}
	return w
}
