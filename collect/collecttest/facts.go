package collecttest

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/seed-44df2ae6/whose"
)

// A Fact is something a source cannot know, or knows only in part.
type Fact struct {
	// Source is "bpf", "netlink", "procfs" or [BeforeWalk].
	Source string
	// Field is the field's name as in whose.Fields; "" stands for the session
	// itself, which the source does not list.
	Field string
	// Which sessions: "all", or a description of Holds.
	Which string
	// Instead is the value given by the source.
	Instead string
	// Why it is so.
	Why string
	// holds tests whether a session of the full truth is of the kind Which.
	holds func(*whose.Session) bool
}

// Holds reports whether the fact is about the session, as it is in truth.
func (f *Fact) Holds(s *whose.Session) bool { return f.holds == nil || f.holds(s) }

func isTCP(s *whose.Session) bool       { return s.Proto == whose.TCP || s.Proto == whose.MPTCP }
func isMPTCP(s *whose.Session) bool     { return s.Proto == whose.MPTCP }
func isListening(s *whose.Session) bool { return s.State == whose.Listen }

// isIdle reports whether a session is a TCP socket, bound and neither listening
// nor connected.
func isIdle(s *whose.Session) bool { return isTCP(s) && s.State == whose.Close }

// hasFile reports whether an ownerless session has a struct socket. Only a look
// at the socket itself can distinguish these reasons.
func hasFile(s *whose.Session) bool {
	return s.Reason == whose.ReasonKernel || s.Reason == whose.ReasonInFlight || s.Reason == whose.ReasonUnheld
}

// Facts returns the table of the facts unknown to a source. The suite blanks
// exactly these before it compares; docs/sources.md is rendered from it.
func Facts() []Fact {
	facts := []Fact{{
		Source: "bpf", Field: "direction", Which: "TCP sessions in TIME_WAIT, unless connect chose their port", Instead: "`in` where a listener of the same namespace takes them, else nothing",
		holds: never, Why: "of TIME_WAIT the kernel keeps no more than that connect chose the port, since Linux 6.18",
	}, {
		Source: "bpf", Field: "direction", Which: "before Linux 6.18, accepted ones of a listener with a backlog of 0", Instead: byWhoListens,
		holds: never, Why: "what is accepted has the backlog of its listener, and until then a client without a chosen port had nothing else to be told by",
	}, {
		Source: "bpf", Field: "direction", Which: "sockets restored by TCP_REPAIR from a port of choice", Instead: "`out`",
		holds: never, Why: "to the kernel they are connected, on whichever side they were before",
	}, {
		Source: "bpf", Field: "cookie", Which: "sessions that nobody holds, and further subflows", Instead: "nothing, unless it was asked for before",
		holds: func(s *whose.Session) bool { return s.Reason != whose.ReasonNone || s.Subflow },
		Why:   "the kernel makes a cookie when it is asked for the first time, and a walk of its tables only reads",
	}, {
		Source: "bpf", Field: "flow", Which: "TCP sessions in SYN_SENT, SYN_RECV and TIME_WAIT, and restored ones (TCP_REPAIR)", Instead: "nothing",
		holds: never, Why: "a number of theirs is not known, or would be given away",
	}, {
		Source: "bpf", Field: "flow", Which: "before Linux 6.18, clients with unsent data, unless they chose their port", Instead: "nothing",
		holds: never, Why: "until then only a count of what was sent tells which side such a one is",
	}}
	facts = append(facts, beforeWalkFacts()...)
	facts = append(facts, netlinkFacts()...)
	facts = append(facts, procfsFacts()...)
	facts = append(facts, agentFacts()...)
	for _, source := range []string{"bpf", BeforeWalk, "netlink", "procfs", Agent} {
		facts = append(facts, userFacts(source)...)
	}
	for _, source := range []string{"bpf", BeforeWalk, Agent} {
		facts = append(facts, Fact{
			Source: source, Field: "direction", Which: "before Linux 6.18, TCP connections that this side began and has closed",
			Instead: "`in` where a listener of the same namespace takes them, else nothing",
			holds:   func(s *whose.Session) bool { return closedHere(s) && s.Direction != whose.In && kernelBefore(6, 18) },
			Why:     "until then the kernel marks no port that connect chose, and they may outlive a listener",
		})
	}
	return facts
}

// never is for facts that no session shows by itself; cases state the directions
// that sources give instead.
func never(*whose.Session) bool { return false }

// byWhoListens is the direction without a word of the socket.
const byWhoListens = "`in` where a listener of the same namespace takes them, else `out`"

// closedHere reports whether this side has closed a session, which may then outlive
// its listener.
func closedHere(s *whose.Session) bool {
	switch s.State {
	case whose.FinWait1, whose.FinWait2, whose.Closing, whose.LastAck, whose.TimeWait:
		return true
	}
	return false
}

// directionFacts are those of a source that does not ask sockets.
func directionFacts(source, transparent string) []Fact {
	return []Fact{
		{Source: source, Field: "direction", Which: "TCP connections from a port that somebody listens on", Instead: "`in`", holds: never,
			Why: "the direction follows from who listens, since the source cannot ask the socket"},
		{Source: source, Field: "direction", Which: "accepted TCP connections whose listener is gone, or on another port", Instead: "`out`", holds: never,
			Why: "the same; one that still waits to be accepted comes in by its state"},
		{Source: source, Field: "direction", Which: "TCP connections that this side has closed", Instead: "`in` where a listener of the same namespace takes them, else nothing",
			holds: func(s *whose.Session) bool { return closedHere(s) && s.Direction != whose.In },
			Why:   "they may outlive their listener"},
		{Source: source, Field: "direction", Which: "TCP connections by IP_TRANSPARENT, where a listener has it too", Instead: transparent, holds: never,
			Why: "TPROXY leads to a listener on any port"},
	}
}

// userFacts are the sessions whose user the kernel itself does not keep.
func userFacts(source string) []Fact {
	var facts []Fact
	for _, field := range []string{"uid", "user"} {
		facts = append(facts,
			Fact{Source: source, Field: field, Which: "sessions in TIME_WAIT and SYN_RECV, and those in FIN_WAIT2 without an inode", Instead: "nothing",
				holds: func(s *whose.Session) bool {
					return s.Inode == 0 && (s.State == whose.TimeWait || s.State == whose.SynRecv || s.State == whose.FinWait2)
				},
				Why: "the kernel keeps less than a socket of them, without its user"},
			Fact{Source: source, Field: field, Which: "all without an inode, before Linux 6.17", Instead: "nothing",
				holds: func(s *whose.Session) bool { return s.Inode == 0 && kernelBefore(6, 17) },
				Why:   "until then the user of a socket was that of its inode"})
	}
	return facts
}

// BeforeWalk is the source "bpf" on kernels without a walk of the socket
// tables. The sockets are then from netlink.
const BeforeWalk = "bpf before Linux 5.19"

// Agent is the live table of an agent, asked over its socket. It follows the kernel
// by the source "bpf".
const Agent = "agent"

// agentFacts are those of a live table. It knows changes without an event as of the
// latest snapshot.
func agentFacts() []Fact {
	none := func(field, why string) Fact {
		return Fact{Source: Agent, Field: field, Which: "all", Instead: "nothing", Why: why}
	}
	setUp := whose.SetOf(whose.SynSent, whose.SynRecv, whose.NewSynRecv, whose.Close, whose.TimeWait)
	facts := []Fact{
		{Source: Agent, Field: "", Which: "TCP sessions in SYN_SENT, SYN_RECV, TIME_WAIT and CLOSE", Instead: "no row",
			holds: func(s *whose.Session) bool { return setUp.Has(s.State) }, Why: "a session is followed from its establishment to its end"},
		{Source: Agent, Field: "", Which: "those in FIN_WAIT2 without an inode", Instead: "no row",
			holds: func(s *whose.Session) bool { return s.State == whose.FinWait2 && s.Inode == 0 },
			Why:   "the kernel may keep no more of them than of one in TIME_WAIT"},
		{Source: Agent, Field: "", Which: "further subflows of MPTCP sessions", Instead: "no row",
			holds: func(s *whose.Session) bool { return s.Subflow }, Why: "the session is followed, and not its paths"},
		{Source: Agent, Field: "", Which: "flows of UDP sockets that are not connected", Instead: "a row for each, beside the socket's",
			holds: never, Why: "a flow is followed as a session; the kernel has none"},
		{Source: Agent, Field: "pid", Which: "sessions that were handed over, and the sockets of UDP that are only bound", Instead: "what was before, for a while",
			holds: never, Why: "no event reports it: a snapshot finds it, and a second one confirms it"},
		{Source: Agent, Field: "state", Which: "connections that one side has shut down", Instead: "that of the latest snapshot", holds: never,
			Why: "no event reports it; a snapshot is at most ten seconds old while it costs little"},
		none("fds", "no event reports descriptors"),
	}
	for _, f := range whose.Fields() {
		if f.Of == whose.OfTCP && f.Name != "age" && f.Name != "flow" {
			facts = append(facts, none(f.Name, "no event reports it while a session lasts"))
		}
	}
	return facts
}

func beforeWalkFacts() []Fact {
	var facts []Fact
	for _, f := range netlinkFacts() {
		f.Source = BeforeWalk
		if f.Field == "direction" {
			held := f.holds
			f.Which += ", and that nobody holds"
			f.holds = func(s *whose.Session) bool { return s.Reason != whose.ReasonNone && held(s) }
		}
		if f.Field == "" {
			held := f.holds
			f.Which = "TCP sockets that are bound and neither listening nor connected, and that nobody holds"
			f.holds = func(s *whose.Session) bool { return s.Reason != whose.ReasonNone && held(s) }
		}
		facts = append(facts, f)
	}
	return facts
}

func netlinkFacts() []Fact {
	const source = "netlink"
	return append(directionFacts(source, "nothing, unless a listener takes them"), []Fact{
		{Source: source, Field: "", Which: "TCP sockets that are bound and neither listening nor connected, before Linux 6.8", Instead: "no row",
			holds: func(s *whose.Session) bool { return isIdle(s) && kernelBefore(6, 8) },
			Why:   "sock_diag dumps the table of bound sockets since Linux 6.8"},
		{Source: source, Field: "mark", Which: "all, for a caller without CAP_NET_ADMIN", Instead: "nothing",
			holds: func(*whose.Session) bool { return os.Geteuid() != 0 },
			Why:   "sock_diag tells it to those alone who may set it"},
		{Source: source, Field: "flow", Which: "all", Instead: "nothing", Why: "sock_diag gives neither number"},
		{Source: source, Field: "reason", Which: nobodys, Instead: "unheld", holds: hasFile,
			Why: "sock_diag does not tell a socket of the kernel from one in transit over a UNIX socket or registered with io_uring"},
	}...)
}

// nobodys describes the sessions of hasFile.
const nobodys = "sessions that nobody holds although they have a file or are the kernel's"

func procfsFacts() []Fact {
	const source = "procfs"
	none := func(field, why string) Fact {
		return Fact{Source: source, Field: field, Which: "all", Instead: "nothing", Why: why}
	}
	facts := []Fact{
		{Source: source, Field: "", Which: "TCP sockets that are bound and neither listening nor connected", Instead: "no row", holds: isIdle,
			Why: "they are in none of the tables that /proc/net/tcp walks"},
		{Source: source, Field: "", Which: "UDP sockets, now and then, while thousands a second are closed", Instead: "no row",
			holds: func(*whose.Session) bool { return false }, // in the churn test alone
			Why:   "between two pieces of the file the kernel finds its place again by counting from the start; it is read up to eight times"},
		{Source: source, Field: "proto", Which: "MPTCP sessions", Instead: "tcp", holds: isMPTCP,
			Why: "there is no file for MPTCP; its subflows stand in /proc/net/tcp, each with the inode of the session"},
		none("subflow", "the files do not tell which subflow is the first"),
		none("cookie", "the files do not print it"),
		none("mark", "the files do not print it"),
		none("bound_dev", "the files do not print it"),
		none("scope", "the files do not print it"),
		{Source: source, Field: "exposure", Which: "listeners bound to the loopback device by SO_BINDTODEVICE", Instead: "that of their address",
			holds: func(s *whose.Session) bool { return s.IsListener() && s.BoundDev != "" }, Why: "the files do not print the device"},
		{Source: source, Field: "pid", Which: "connections that wait for a listener, where one on the same address and port is bound to another device",
			Instead: "the owners of both", holds: func(*whose.Session) bool { return false }, // in a case of its own
			Why: "the files do not print the device"},
		none("v6only", "the files do not print it"),
		{Source: source, Field: "send_queue", Which: "TCP listeners", Instead: "nothing", holds: isListening,
			Why: "the files print the length of the accept queue and not its limit"},
		{Source: source, Field: "reason", Which: nobodys,
			Instead: "unheld", holds: hasFile, Why: "the files do not tell a socket of the kernel from one in transit"},
	}
	facts = append(facts, Fact{Source: source, Field: "timer_retrans", Which: "SYN_RECV, where the listener waits for data (TCP_DEFER_ACCEPT)",
		Instead: "also the times that the answer was only put off", holds: never, Why: "the files print another count"},
		Fact{Source: source, Field: "timer", Which: "MPTCP sessions", Instead: "the timers of their subflows", holds: never,
			Why: "every path is a session of TCP"})
	facts = append(facts, directionFacts(source, "`out`, unless a listener takes them")...)
	for _, f := range whose.Fields() {
		if f.Of == whose.OfTCP && f.Needs != whose.NeedTimer { // the timers are in the files
			facts = append(facts, none(f.Name, "the files do not print it"))
		}
	}
	return facts
}

// Blank changes a session of the full truth into the knowledge of a source. It
// returns false if the source does not list the session at all.
func Blank(source string, s *whose.Session) bool {
	truth := *s
	if source == "bpf" && kernelBefore(5, 19) {
		source = BeforeWalk
	}
	for _, f := range Facts() {
		if f.Source != source || !f.Holds(&truth) {
			continue
		}
		if f.Field == "" {
			return false
		}
		blankField(s, f.Field)
	}
	return true
}

// blankField changes one field to its value from a source that does not know
// it.
func blankField(s *whose.Session, field string) {
	switch field {
	case "proto":
		s.Proto = whose.TCP
	case "direction":
		s.Direction = 0
	case "cookie":
		s.Cookie = 0
	case "mark":
		s.Mark = 0
	case "bound_dev":
		s.BoundDev = ""
	case "scope":
		s.Scope = ""
	case "exposure":
		s.Exposure = whose.ExposureOf(s.Local.Addr(), false)
	case "subflow":
		s.Subflow = false
	case "flow":
		s.Flow = 0
	case "v6only":
		s.V6Only = false
		s.Unknown |= whose.FactV6Only
	case "send_queue":
		s.SendQueue = 0
		s.Unknown |= whose.FactSendQueue
	case "uid", "user":
		s.UID, s.User = 0, ""
		s.Unknown |= whose.FactUID
	case "reason":
		s.Reason = whose.ReasonUnheld
	case "timer", "timer_left", "timer_retrans":
		if s.TCP != nil && s.TCP.OnlyTimer {
			s.TCP = nil
		} else if s.TCP != nil {
			s.TCP.Timer = whose.Timer{}
		}
	case "fds":
		s.Owners, s.Peer = withoutFDs(s.Owners), withoutFDs(s.Peer)
	case "rtt", "retrans", "bytes_sent", "bytes_received", "cong", "cwnd", "idle", "age":
		if s.TCP != nil && s.TCP.Timer.Kind == 0 {
			s.TCP = nil
		} else if s.TCP != nil {
			s.TCP = &whose.TCPInfo{OnlyTimer: true, Timer: s.TCP.Timer}
		}
	default:
		panic(fmt.Sprintf("collecttest: no way to blank the field %q", field))
	}
}

// withoutFDs returns owners without their descriptors.
func withoutFDs(owners []whose.Owner) []whose.Owner {
	owners = slices.Clone(owners)
	for i := range owners {
		owners[i].FDs = nil
	}
	return owners
}

// kernelBefore reports whether the running kernel is older than major.minor.
func kernelBefore(major, minor int) bool {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return false
	}
	var ma, mi int
	if _, err := fmt.Sscanf(string(release), "%d.%d", &ma, &mi); err != nil {
		return false
	}
	return ma < major || ma == major && mi < minor
}

// FactsPage renders the table of facts as the page docs/sources.md.
func FactsPage() string {
	var b strings.Builder
	b.WriteString(pageHead)
	for _, source := range []string{"bpf", BeforeWalk, "netlink", "procfs", Agent} {
		fmt.Fprintf(&b, "\n## %s\n\n", source)
		rows := 0
		for _, f := range Facts() {
			if f.Source != source {
				continue
			}
			if rows++; rows == 1 {
				b.WriteString("| fact | of which sessions | given instead | why |\n|---|---|---|---|\n")
			}
			name := "the session itself"
			if f.Field != "" {
				name = "`" + f.Field + "`"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, f.Which, f.Instead, f.Why)
		}
		if rows == 0 {
			b.WriteString("Nothing: it knows every fact of every session.\n")
		}
	}
	return b.String()
}

const pageHead = `<!-- Made by go test ./collect/collecttest -run TestFactsPage -update from the table of facts. -->

# What a source cannot know

Three sources answer the same question with the same rows, byte for byte in
JSON, apart from the facts below. The live table of an agent does so a moment later. The conformance suite blanks exactly these
before it compares, so that this page cannot be wrong without a failing test.
What a source could not see on a particular host for want of permission is not
here: it stands in the coverage of each answer.
`
