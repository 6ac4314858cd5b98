package bpfiter

import (
	"fmt"
	"structs"
	"unsafe"
)

// The records of the programs, in the layout of bpf/record.h. All numbers are
// in the host's byte order.

const (
	recordMagic   = 0x5753
	recordVersion = 5
)

// A recordKind is enum record_kind.
type recordKind uint8

const (
	recordSocket recordKind = 1
	recordTCP    recordKind = 2
	recordID     recordKind = 3
	recordTask   recordKind = 4
	recordDevice recordKind = 5
	recordNetNS  recordKind = 6
	recordMore   recordKind = 7
	recordWay    recordKind = 8
	recordHeader recordKind = 9
	recordInside recordKind = 10
)

// A programKind is enum program.
type programKind uint32

const (
	fdWalk   programKind = 1
	taskFile programKind = 2
	hashWalk programKind = 3
)

// String returns the program's name, which begins that of its pin.
func (k programKind) String() string {
	switch k {
	case fdWalk:
		return "fd_walk"
	case taskFile:
		return "task_file"
	case hashWalk:
		return "hash_walk"
	}
	return fmt.Sprintf("program %d", uint32(k))
}

// Flags of a socketRecord, enum record_flag.
const (
	flagV6Only = 1 << iota
	flagKernel
	flagFile
	flagNoFile
	flagThread
	flagAccepted
	flagConnected
	flagSubflow
)

type headerRecord struct {
	_       structs.HostLayout
	tag     uint32
	program programKind
	set     uint64
}

type socketRecord struct {
	_             structs.HostLayout
	tag           uint32
	netns         uint32
	cookie, inode uint64
	local, remote [16]byte
	lport, rport  uint16
	proto, family uint8
	state, flags  uint8
	uid, mark     uint32
	device        uint32
	recvq, sendq  uint32
	pid           uint32
	fd            int32
	key           uint32
	start         uint64
	comm          [16]byte
	cgroup        uint64
}

type tcpRecord struct {
	_                        structs.HostLayout
	tag, srtt, retrans, cwnd uint32
	bytesSent, bytesReceived uint64
	cong                     [16]byte
	idle, left               uint32 // in jiffies
	timer, tries, timerOnly  uint8
	_                        [5]byte
}

type idRecord struct {
	_              structs.HostLayout
	tag, netns     uint32
	inode, element uint32
}

type taskRecord struct {
	_        structs.HostLayout
	tag, pid uint32
	// mark is another if the facts of the process may be others, 0: not asked for.
	netns, mark uint32
}

type insideRecord struct {
	_          structs.HostLayout
	tag, netns uint32
	pid, tid   uint32
}

type deviceRecord struct {
	_          structs.HostLayout
	tag, netns uint32
	device, _  uint32
	name       [16]byte
}

type netnsRecord struct {
	_                   structs.HostLayout
	tag, netns          uint32
	element, udpElement uint32
}

type moreRecord struct {
	_            structs.HostLayout
	tag, element uint32
	done, from   uint32
}

// moreOfThread is MORE_OF_THREAD.
const moreOfThread = 1 << 31

type wayRecord struct {
	_               structs.HostLayout
	tag, netns, pid uint32
	fd              int32
	inode, _        uint32
}

// sizeOf returns the size of a record by its kind, 0 for a kind unknown to this
// version.
func sizeOf(k recordKind) int {
	switch k {
	case recordSocket:
		return int(unsafe.Sizeof(socketRecord{}))
	case recordTCP:
		return int(unsafe.Sizeof(tcpRecord{}))
	case recordID:
		return int(unsafe.Sizeof(idRecord{}))
	case recordTask:
		return int(unsafe.Sizeof(taskRecord{}))
	case recordDevice:
		return int(unsafe.Sizeof(deviceRecord{}))
	case recordNetNS:
		return int(unsafe.Sizeof(netnsRecord{}))
	case recordMore:
		return int(unsafe.Sizeof(moreRecord{}))
	case recordWay:
		return int(unsafe.Sizeof(wayRecord{}))
	case recordInside:
		return int(unsafe.Sizeof(insideRecord{}))
	case recordHeader:
		return int(unsafe.Sizeof(headerRecord{}))
	}
	return 0
}

// A RecordError reports data of an iterator not in this version's format: the
// pin was made by another version, or is not ours at all.
type RecordError struct {
	// Tag is the first word of the record, which names format and kind.
	Tag uint32
	// Short: the record ended early.
	Short bool
}

// Error names the found and the wanted format.
func (e *RecordError) Error() string {
	switch {
	case e.Short:
		return fmt.Sprintf("record cut short: tag %#08x", e.Tag)
	case e.Tag>>16 == recordMagic && e.Tag>>8&0xff != recordVersion:
		return fmt.Sprintf("record of version %d: want %d", e.Tag>>8&0xff, recordVersion)
	}
	return fmt.Sprintf("foreign record: tag %#08x", e.Tag)
}

// records goes through data, record by record, and ends at the first malformed
// one; err is then the reason.
type records struct {
	rest []byte
	kind recordKind
	body []byte
	err  error
}

func (r *records) next() bool {
	if len(r.rest) == 0 {
		return false
	}
	if r.kind, r.body, r.err = nextRecord(r.rest); r.err != nil {
		return false
	}
	r.rest = r.rest[len(r.body):]
	return true
}

// nextRecord returns the kind and the bytes of the first record of b. The bytes
// are aligned to 8 if b is, since every size is a multiple of 8.
func nextRecord(b []byte) (recordKind, []byte, error) {
	if len(b) < 4 {
		return 0, nil, &RecordError{Short: true}
	}
	tag := *(*uint32)(unsafe.Pointer(unsafe.SliceData(b)))
	kind := recordKind(tag)
	size := sizeOf(kind)
	switch {
	case tag>>8 != recordMagic<<8|recordVersion || size == 0:
		return 0, nil, &RecordError{Tag: tag}
	case size > len(b):
		return 0, nil, &RecordError{Tag: tag, Short: true}
	}
	return kind, b[:size:size], nil
}

// as views the bytes of a record as its struct. The caller has the size from
// nextRecord, and the memory aligned to 8.
func as[T any](b []byte) *T {
	return (*T)(unsafe.Pointer(unsafe.SliceData(b)))
}
