package bpfevent

import (
	"structs"
)

// The records in the ring, as laid out in bpf/record.h, in the host's byte
// order.

// Kinds of raw records, enum record_kind.
const (
	recordTCP     = 1
	recordUDP     = 2
	recordProcess = 3
	recordExit    = 4
)

// The events in a raw record, enum what.
const (
	whatOpen uint16 = 1 << iota
	whatAccept
	whatClose
	whatFail
	whatListen
	whatUnlisten
	whatBind
	whatSeen
	whatExec
)

// Flags of a raw record, enum record_flag.
const (
	flagOut uint16 = 1 << iota
	flagV6Only
	flagAccepted
	flagUnknown
	flagEvicted
	flagUnsent
	flagQueued
	flagIn
	flagISNs
)

type tcpRecord struct {
	_                             structs.HostLayout
	kind, proto, family, oldState uint8
	what, flags                   uint16
	time, called, opened          uint64
	cookie, cgroup                uint64
	sent, received                uint64
	start                         uint64
	tgid, pid                     uint32
	inode, netns                  uint32
	uid, mark, device             uint32
	rtt, retrans, err             uint32
	lport, rport                  uint16
	_                             uint32
	isn, otherISN                 uint32
	local, remote                 [16]byte
}

type udpRecord struct {
	_                                structs.HostLayout
	kind, proto, family, _           uint8
	what, flags                      uint16
	time, opened                     uint64
	cookie, inode, cgroup            uint64
	sent, received                   uint64
	sentDatagrams, receivedDatagrams uint64
	start                            uint64
	tgid, pid                        uint32
	netns, uid, mark, device         uint32
	lport, rport                     uint16
	_                                uint32
	local, remote                    [16]byte
}

const (
	argsSize = 1024
	pathSize = 1024
)

type processRecord struct {
	_                  structs.HostLayout
	kind, _            uint8
	what               uint16
	argsSize, pathSize uint16
	time, start        uint64
	cgroup             uint64
	tgid, pid          uint32
	parent, uid        uint32
	comm               [16]byte
	args               [argsSize]byte
	path               [pathSize]byte
}

type exitRecord struct {
	_           structs.HostLayout
	kind        uint8
	_           [7]uint8
	time, start uint64
	tgid, pid   uint32
}
