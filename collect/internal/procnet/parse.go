// The parser of one line: the hot loop of this source. It allocates nothing
// but its errors.

package procnet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/pair"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// A kind holds the common facts of all lines of one file.
type kind struct {
	name   string // of the file under net/
	proto  whose.Proto
	family whose.Family
}

// kinds are the files in the order in which they are read.
var kinds = [...]kind{
	{"tcp", whose.TCP, whose.IPv4}, {"tcp6", whose.TCP, whose.IPv6},
	{"udp", whose.UDP, whose.IPv4}, {"udp6", whose.UDP, whose.IPv6},
	{"udplite", whose.UDPLite, whose.IPv4}, {"udplite6", whose.UDPLite, whose.IPv6},
}

// The columns of a line, by number. The first is a running number.
const (
	colLocal  = 1
	colRemote = 2
	colState  = 3
	colQueues = 4 // tx_queue:rx_queue
	colTimer  = 5 // kind:time left
	colTries  = 6 // retransmissions
	colUID    = 7
	colProbes = 8 // probes of a closed window, and for keepalive
	colInode  = 9
	columns   = 10 // and more, which are not read
)

// A byteOrder is the order of the host which printed a file.
type byteOrder bool

const (
	littleEndian byteOrder = false
	bigEndian    byteOrder = true
)

// hostOrder returns the byte order of this host.
func hostOrder() byteOrder { return binary.NativeEndian.Uint16([]byte{0, 1}) == 1 }

// put writes a word as it lay in the memory of the host. (A binary.ByteOrder
// would do, but for an allocation in each call.)
func (o byteOrder) put(dst []byte, word uint32) {
	if o == bigEndian {
		binary.BigEndian.PutUint32(dst, word)
	} else {
		binary.LittleEndian.PutUint32(dst, word)
	}
}

// A columnError names the malformed column of a line. It quotes nothing: the file
// may be another than it seems, chosen by somebody who may not read it.
type columnError struct {
	column, want string
}

func (e *columnError) Error() string { return e.column + ": want " + e.want }

func malformed(column, want string) error { return &columnError{column, want} }

// parseLine parses one line, without its newline, of a file of kind k. Words of
// addresses are in the byte order of the host which printed them.
func (k *kind) parseLine(line []byte, order byteOrder) (source.Socket, error) {
	s := source.Socket{End: pair.End{Proto: k.proto, Family: k.family}}
	var col [columns][]byte
	if n := split(line, &col); n < columns {
		return s, malformed("line", fmt.Sprintf("at least %d columns, not %d", columns, n))
	}
	var err error
	if s.Local, s.LocalPort, err = k.parseEnd("local address", col[colLocal], order); err != nil {
		return s, err
	}
	if s.Remote, s.RemotePort, err = k.parseEnd("remote address", col[colRemote], order); err != nil {
		return s, err
	}
	if s.State, err = k.parseState(col[colState]); err != nil {
		return s, err
	}
	if err := parseQueues(&s, col[colQueues]); err != nil {
		return s, err
	}
	uid, ok := decimal(col[colUID], 1<<32-1)
	if !ok {
		return s, malformed("uid", "a decimal number of 32 bits")
	}
	s.UID = uint32(uid)
	if s.Inode, ok = decimal(col[colInode], 1<<64-1); !ok {
		return s, malformed("inode", "a decimal number of 64 bits")
	}
	if s.Inode == 0 {
		s.Flags |= source.SocketNoFile // it has not even a struct socket
	}
	if s.Family == whose.IPv6 {
		s.Flags |= source.SocketNoV6Only
	}
	if s.State == whose.Listen {
		s.Flags |= source.SocketNoLimit
	}
	return s, nil
}

// split cuts the line at spaces into the first columns and returns how many it
// found, at most columns.
func split(line []byte, col *[columns][]byte) int {
	n, at := 0, 0
	for n < columns {
		for at < len(line) && line[at] == ' ' {
			at++
		}
		if at == len(line) {
			break
		}
		end := bytes.IndexByte(line[at:], ' ')
		if end < 0 {
			end = len(line) - at
		}
		col[n] = line[at : at+end]
		n++
		at += end
	}
	return n
}

// parseEnd parses "0100007F:0050": the words of the address as the host prints
// its numbers, and the port.
func (k *kind) parseEnd(column string, text []byte, order byteOrder) (addr [16]byte, port uint16, err error) {
	digits, want := 8, "8 hex digits, a colon and 4 hex digits"
	first := 12 // where the address begins
	if k.family == whose.IPv6 {
		digits, want, first = 32, "32 hex digits, a colon and 4 hex digits", 0
	} else {
		addr[10], addr[11] = 0xff, 0xff
	}
	if len(text) != digits+5 || text[digits] != ':' {
		return addr, 0, malformed(column, want)
	}
	for i := 0; i < digits; i += 8 {
		word, ok := hex(text[i : i+8])
		if !ok {
			return addr, 0, malformed(column, want)
		}
		order.put(addr[first+i/2:], word)
	}
	p, ok := hex(text[digits+1:])
	if !ok {
		return addr, 0, malformed(column, want)
	}
	return addr, uint16(p), nil
}

// parseState parses the state. UDP has 07 in place of TCP's CLOSE.
func (k *kind) parseState(text []byte) (whose.State, error) {
	n, ok := hex(text)
	if !ok || len(text) != 2 {
		return 0, malformed("state", "2 hex digits")
	}
	state := whose.State(n)
	if k.proto != whose.TCP {
		switch state {
		case whose.Established:
			return whose.Established, nil
		case whose.Close:
			return whose.Unconn, nil
		}
		return 0, malformed("state", "01 or 07")
	}
	switch {
	case state == whose.NewSynRecv:
		return whose.SynRecv, nil
	case state >= whose.Established && state <= whose.Closing:
		return state, nil
	}
	return 0, malformed("state", "01 to 0C")
}

// parseQueues parses "tx_queue:rx_queue". A listener's rx_queue is the number
// of waiting connections; the kernel prints 0 for its limit.
func parseQueues(s *source.Socket, text []byte) error {
	const want = "8 hex digits, a colon and 8 hex digits"
	if len(text) != 17 || text[8] != ':' {
		return malformed("queues", want)
	}
	send, ok1 := hex(text[:8])
	recv, ok2 := hex(text[9:])
	if !ok1 || !ok2 {
		return malformed("queues", want)
	}
	s.SendQueue, s.RecvQueue = send, recv
	return nil
}

// parseTimer parses the timer of a line of TCP; its kind is 0 where none runs. The
// time is in USER_HZ, the count that of the timer's kind, as sock_diag has it.
func parseTimer(line []byte) (whose.Timer, error) {
	var col [columns][]byte
	if n := split(line, &col); n < columns {
		return whose.Timer{}, malformed("line", fmt.Sprintf("at least %d columns, not %d", columns, n))
	}
	const want = "2 hex digits, a colon and 8 hex digits"
	text := col[colTimer]
	if len(text) < 4 || text[2] != ':' {
		return whose.Timer{}, malformed("timer", want)
	}
	number, ok1 := hex(text[:2])
	left, ok2 := hex(text[3:])
	if !ok1 || !ok2 {
		return whose.Timer{}, malformed("timer", want)
	}
	tries, ok := hex(col[colTries])
	if !ok {
		return whose.Timer{}, malformed("retransmissions", "8 hex digits")
	}
	probes, ok := decimal(col[colProbes], 1<<32-1)
	if !ok {
		return whose.Timer{}, malformed("probes", "a decimal number of 32 bits")
	}
	t := whose.Timer{Kind: source.TimerKind(byte(number)), Left: time.Duration(left) * source.Tick, Retrans: uint8(tries)}
	if t.Kind == whose.TimerKeepalive || t.Kind == whose.TimerPersist {
		t.Retrans = uint8(probes)
	}
	return t, nil
}

// hex parses one to eight hex digits.
func hex(text []byte) (uint32, bool) {
	if len(text) == 0 || len(text) > 8 {
		return 0, false
	}
	var n uint32
	for _, c := range text {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		default:
			return 0, false
		}
		n = n<<4 | uint32(c)
	}
	return n, true
}

// decimal parses a decimal number of at most limit.
func decimal(text []byte, limit uint64) (uint64, bool) {
	if len(text) == 0 {
		return 0, false
	}
	var n uint64
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		d := uint64(c - '0')
		if n > (limit-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}
