package baseline

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/tally"
)

// A Kind says of what an entry is.
type Kind uint8

// The kinds.
const (
	// Listen: a process waits for others.
	Listen Kind = iota + 1
	// Call: a process called a remote end.
	Call
)

var kindNames = [...]string{Listen: "listen", Call: "call"}

// String returns "listen", "call" or "".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return ""
}

// An Entry is a key: two sessions with the same one are the same to a baseline.
type Entry struct {
	Kind Kind
	// Workload is the name of the owner that stays over restarts: the image of its
	// container, else the container's name, its systemd unit, its executable, its
	// name. Empty: the owner is hidden or unknown.
	Workload string
	// User is the user of the socket. Calls have none.
	User  string
	Proto whose.Proto
	// Exposure is the reach of a listener.
	Exposure whose.Exposure
	// Remote is where a call went: a name, a prefix or, of this host, another workload.
	Remote string
	// Port of the listener or of the remote end. Zero: one that the kernel chose.
	Port uint16
}

// Target is the end that the entry is about: ":443", "10.0.0.0/24:5432", ":*" for a
// port that the kernel chose.
func (e Entry) Target() string {
	port := "*"
	if e.Port != 0 {
		port = strconv.Itoa(int(e.Port))
	}
	if strings.Contains(e.Remote, ":") {
		return "[" + e.Remote + "]:" + port
	}
	return e.Remote + ":" + port
}

// compare orders entries for a person: listeners first, by workload and port.
func (e Entry) compare(o Entry) int {
	return cmp.Or(cmp.Compare(e.Kind, o.Kind), cmp.Compare(e.Workload, o.Workload), cmp.Compare(e.Port, o.Port),
		cmp.Compare(e.Proto, o.Proto), cmp.Compare(e.Remote, o.Remote), cmp.Compare(e.Exposure, o.Exposure), cmp.Compare(e.User, o.User))
}

// A Rule says which sessions become entries, and how far their keys go.
type Rule struct {
	// Calls: calls count too, beside listeners. A listing sees only those that stand,
	// so they suit spans of time and quiet hosts.
	Calls bool
	// Bits4 and Bits6 are the lengths of the prefixes under which remote addresses are
	// one. Zero: all are one.
	Bits4, Bits6 int
	// Name names a remote address; "" leaves it to its prefix. Nil: none are named.
	Name func(netip.Addr) string
	// Low and High are the ports from which the kernel chooses, both included
	// (net.ipv4.ip_local_port_range). A listener on one of them counts as one of any
	// port, where the kernel does not say who chose it.
	Low, High uint16
}

// Entry returns the entry of a session, false if it makes none.
func (r *Rule) Entry(s *whose.Session) (Entry, bool) {
	switch {
	case s.IsListener():
		return Entry{
			Kind: Listen, Workload: workload(s.Owners, s.Reason), User: clean(s.User), Proto: s.Proto,
			Exposure: s.Exposure, Port: r.port(s),
		}, true
	case r.Calls && s.Direction == whose.Out && s.HasRemote():
		return Entry{
			Kind: Call, Workload: workload(s.Owners, s.Reason), Proto: s.Proto,
			Remote: r.remote(s), Port: s.Remote.Port(),
		}, true
	}
	return Entry{}, false
}

// port returns the port of a listener, 0 if the kernel chose it.
func (r *Rule) port(s *whose.Session) uint16 {
	if p := s.Local.Port(); p < r.Low || p > r.High {
		return p
	}
	return 0
}

func (r *Rule) remote(s *whose.Session) string {
	addr := s.Remote.Addr().Unmap().WithZone("")
	if r.Name != nil {
		if name := r.Name(addr); name != "" {
			return clean(name)
		}
	}
	if w := workload(s.Peer, 0); w != "" {
		return w
	}
	bits := r.Bits6
	if addr.Is4() {
		bits = r.Bits4
	}
	p, err := addr.Prefix(min(bits, addr.BitLen()))
	switch {
	case err != nil:
		return ""
	case p.IsSingleIP():
		return addr.String()
	}
	return p.String()
}

// workload names the owner of a session: of several the one that began first, which
// handed the socket to the others. Those of a connection that waits to be accepted are
// its listener's.
func workload(owners []whose.Owner, reason whose.Reason) string {
	switch {
	case reason == whose.ReasonKernel:
		return "kernel"
	case len(owners) == 0 || reason == whose.ReasonHidden:
		return ""
	}
	first := owners[0].Process
	for _, o := range owners[1:] {
		if o.StartTime.Before(first.StartTime) || o.StartTime.Equal(first.StartTime) && o.PID < first.PID {
			first = o.Process
		}
	}
	return clean(nameOf(first))
}

// maxName bounds a name. Strangers choose it.
const maxName = 1024

// clean makes a name one that comes back from a file as it was.
func clean(name string) string {
	if len(name) > maxName {
		name = name[:maxName]
	}
	return strings.ToValidUTF8(name, "\uFFFD")
}

func nameOf(p *whose.Process) string {
	return cmp.Or(repository(p.Image), p.ContainerName, p.Container, steady(p.Unit), program(p), p.Comm)
}

// repository is the name of an image without its tag and digest: another version is
// the same workload.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if at := strings.LastIndexByte(image, ':'); at > strings.LastIndexByte(image, '/') {
		return image[:at]
	}
	return image
}

// steady returns a unit without its parts that are new at each start, "" for one that
// names no program: the scopes of logins and desktops, the managers of users, and those
// of systemd-run.
func steady(unit string) string {
	name := strings.TrimPrefix(unit, whose.ByUser)
	stable := tally.StableUnit(name)
	switch {
	case strings.HasPrefix(name, "user@"), strings.HasPrefix(name, "session-"),
		stable != name && (strings.HasSuffix(name, ".scope") || strings.HasPrefix(name, "run-")):
		return ""
	}
	return strings.TrimSuffix(unit, name) + stable
}

// program is the path of an executable, also after its file was replaced, with what an
// interpreter runs.
func program(p *whose.Process) string {
	exe := strings.TrimSuffix(p.Exe, " (deleted)")
	if exe != "" && p.Script != "" {
		exe += " " + p.Script
	}
	return exe
}

// Needs are the facts that entries are made of.
const Needs = whose.NeedSessions | whose.NeedOwners | whose.NeedUser | whose.NeedCmdline | whose.NeedExe | whose.NeedContainerNames

// CallNeeds are those of calls beside them.
const CallNeeds = whose.NeedDirection | whose.NeedPeer
