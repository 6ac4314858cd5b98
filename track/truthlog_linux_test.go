// What the load of internal/truthload says that it did.

package track_test

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-44df2ae6/whose"
)

// A procID is a process as its log knows it: start in clock ticks since boot.
type procID struct {
	pid   uint32
	start uint64
}

// A trueProc is what a process said of itself.
type trueProc struct {
	comm, exe, cmdline string
}

// A trueEnd is one end of a TCP connection, one attempt, or one listener.
type trueEnd struct {
	kind          string // session, fail, listen
	cookie        uint64 // 0: nobody accepted it
	netns         uint32
	owner         procID
	then          []procID // who had it later too
	out           bool
	family        whose.Family
	local, remote netip.AddrPort
	// begin is before the call that opened it (0: not known), open after that
	// call, end before the call that closed it; by the boot clock in nanoseconds.
	begin, open, end int64
	sent, received   uint64
	how, by          string
	errno            uint32
	// late tells that it was closed before it was accepted, if it ever was.
	late bool
}

// A flowID tells a UDP flow.
type flowID struct {
	cookie uint64
	remote netip.AddrPort
}

// A trueFlow is one UDP socket and one remote.
type trueFlow struct {
	netns                   uint32
	owner                   procID // who sent or received first
	family                  whose.Family
	local                   netip.AddrPort
	sent, received          uint64
	dgramsSent, dgramsRecvd uint64
	blind                   bool // what was received came by calls that do not say from where
	first                   int64
}

// A trueBind is a UDP socket that its process bound.
type trueBind struct {
	netns uint32
	owner procID
	local netip.AddrPort
}

// A truth is all that a load did.
type truth struct {
	ends  []trueEnd
	flows map[flowID]*trueFlow
	binds map[uint64]trueBind
	procs map[procID]trueProc
	// connections counts the connections that were made, exchanges those of UDP
	// by their servers.
	connections, exchanges int

	named map[uint32][]procID
}

func newTruth() *truth {
	return &truth{
		flows: make(map[flowID]*trueFlow), binds: make(map[uint64]trueBind), procs: make(map[procID]trueProc),
	}
}

// read adds a log.
func (tr *truth) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for number := 1; lines.Scan(); number++ {
		if err := tr.line(lines.Text()); err != nil {
			return fmt.Errorf("log of the load: line %d: %w", number, err)
		}
	}
	return lines.Err()
}

// line adds a line: a word, and fields NAME=VALUE parted by spaces, the last
// of which may hold some.
func (tr *truth) line(text string) error {
	word, rest, _ := strings.Cut(text, " ")
	f := fields{raw: make(map[string]string)}
	for rest != "" {
		var pair string
		if strings.HasPrefix(rest, "cmdline=") {
			pair, rest = rest, ""
		} else {
			pair, rest, _ = strings.Cut(rest, " ")
		}
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return fmt.Errorf("field %q has no value", pair)
		}
		f.raw[name] = value
	}
	switch word {
	case "proc":
		tr.procs[f.proc()] = trueProc{f.raw["comm"], f.raw["exe"], f.raw["cmdline"]}
	case "tcp":
		tr.tcp(&f)
	case "udp":
		tr.udp(&f)
	case "bind":
		tr.binds[f.number("cookie")] = trueBind{uint32(f.number("ns")), f.proc(), f.addr("local")}
	default:
		return fmt.Errorf("unknown word %q", word)
	}
	return f.err
}

func (tr *truth) tcp(f *fields) {
	e := trueEnd{
		kind: f.raw["kind"], cookie: f.number("cookie"), netns: uint32(f.number("ns")), owner: f.proc(),
		out: f.raw["dir"] == "out", family: f.family(), local: f.addr("local"), remote: f.addr("remote"),
		begin: int64(f.number("begin")), open: int64(f.number("open")), end: int64(f.number("end")),
		sent: f.number("sent"), received: f.number("recv"), how: f.raw["how"], by: f.raw["by"],
		errno: uint32(f.number("errno")), late: f.raw["late"] == "1",
	}
	if then := f.raw["then"]; then != "-" {
		for one := range strings.SplitSeq(then, ",") {
			pid, start, _ := strings.Cut(one, ":")
			e.then = append(e.then, procID{uint32(f.parse(pid)), f.parse(start)})
		}
	}
	if e.kind == "session" && e.out {
		tr.connections++
	}
	tr.ends = append(tr.ends, e)
}

func (tr *truth) udp(f *fields) {
	id := flowID{f.number("cookie"), f.addr("remote")}
	flow := tr.flows[id]
	if flow == nil {
		flow = &trueFlow{
			netns: uint32(f.number("ns")), owner: f.proc(), family: f.family(), local: f.addr("local"),
			blind: f.raw["blind"] == "1", first: int64(f.number("at")),
		}
		tr.flows[id] = flow
	}
	flow.sent += f.number("sent")
	flow.received += f.number("recv")
	flow.dgramsSent += f.number("dsent")
	flow.dgramsRecvd += f.number("drecv")
	if _, server := tr.binds[id.cookie]; server {
		tr.exchanges += int(f.number("drecv"))
	}
}

// byCookie returns the ends of each socket in the order of their time.
func (tr *truth) byCookie() map[uint64][]*trueEnd {
	all := make(map[uint64][]*trueEnd, len(tr.ends))
	for i := range tr.ends {
		if e := &tr.ends[i]; e.cookie != 0 {
			all[e.cookie] = append(all[e.cookie], e)
		}
	}
	for _, ends := range all {
		slices.SortFunc(ends, func(a, b *trueEnd) int { return int(a.end - b.end) })
	}
	return all
}

// fields are those of a line. The first that cannot be read is kept as err.
type fields struct {
	raw map[string]string
	err error
}

func (f *fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

func (f *fields) parse(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		f.fail(err)
	}
	return n
}

func (f *fields) number(name string) uint64 {
	text, ok := f.raw[name]
	if !ok {
		f.fail(fmt.Errorf("no field %s", name))
		return 0
	}
	return f.parse(text)
}

func (f *fields) proc() procID { return procID{uint32(f.number("pid")), f.number("start")} }

func (f *fields) family() whose.Family {
	if f.number("fam") == 4 {
		return whose.IPv4
	}
	return whose.IPv6
}

// addr reads ADDRESS/PORT.
func (f *fields) addr(name string) netip.AddrPort {
	host, port, ok := strings.Cut(f.raw[name], "/")
	a, err := netip.ParseAddr(host)
	if !ok || err != nil {
		f.fail(fmt.Errorf("%s %q is no address", name, f.raw[name]))
	}
	return netip.AddrPortFrom(a, uint16(f.parse(port)))
}

// byPID returns the processes that said what they are called.
func (tr *truth) byPID() map[uint32][]procID {
	if tr.named == nil {
		tr.named = make(map[uint32][]procID, len(tr.procs))
		for id := range tr.procs {
			tr.named[id.pid] = append(tr.named[id.pid], id)
		}
	}
	return tr.named
}
