package whose

import "strings"

// A Group says what a field is a fact of.
type Group uint8

// The groups.
const (
	// OfSession: the session itself.
	OfSession Group = iota + 1
	// OfOwner: each of its owners; in JSON inside "owners".
	OfOwner
	// OfPeer: each owner of the other end; in JSON inside "peer".
	OfPeer
	// OfTCP: what only TCP has, shown where asked for.
	OfTCP
)

// A Field is one column: a fact of a session or of its owners. Tables, JSON,
// CSV, filters, completion and the reference pages are loops over Fields.
type Field struct {
	// Name is the name in filters, in --fields and, where Key is empty, in JSON.
	Name string
	// Key is the JSON key inside its object, where it is not Name.
	Key string
	// Aliases are shorter names for filters and --fields.
	Aliases []string
	// Title heads the column in tables.
	Title string
	// Unit of the values in JSON, empty for none.
	Unit string
	// Doc says in one sentence what it means.
	Doc string
	// Kind of the values.
	Kind Kind
	// Of says what it is a fact of.
	Of Group
	// Needs is what must be collected for it.
	Needs Needs
	// Values are all values of a KindName field.
	Values []string

	session func(*Session) Value
	owner   func(*Owner) Value
}

// JSONKey returns the key in JSON.
func (f *Field) JSONKey() string {
	if f.Key != "" {
		return f.Key
	}
	return f.Name
}

// PerOwner reports whether the field has a value for each owner rather than
// one for the session.
func (f *Field) PerOwner() bool { return f.owner != nil }

// Value returns the field's value of a session. It is the zero Value for a
// field that is a fact of owners.
func (f *Field) Value(s *Session) Value {
	if f.session == nil {
		return Value{}
	}
	return f.session(s)
}

// OwnerValue returns the field's value of one owner. It is the zero Value for
// a field that is a fact of the session.
func (f *Field) OwnerValue(o *Owner) Value {
	if f.owner == nil {
		return Value{}
	}
	return f.owner(o)
}

// OwnersOf returns the owners whose values the field has: those of the session
// or, for a field of the peer, those of the other end.
func (f *Field) OwnersOf(s *Session) []Owner {
	if f.Of == OfPeer {
		return s.Peer
	}
	return s.Owners
}

// A Pair is a name that stands for two fields at once: "port" for the port on
// either side.
type Pair struct {
	Name  string
	Doc   string
	Which [2]string
}

// Pairs are the names that filters understand for either side.
var pairs = [...]Pair{
	{Name: "addr", Doc: "The address on either side.", Which: [2]string{"local_addr", "remote_addr"}},
	{Name: "port", Doc: "The port on either side.", Which: [2]string{"local_port", "remote_port"}},
}

// Pairs returns the names that stand for the fields of both ends.
func Pairs() []Pair { return pairs[:] }

// Fields returns the table of all fields in the order in which they are
// documented and written. The table is shared: do not change it.
func Fields() []*Field { return fieldTable }

// FieldByName returns the field of that name or alias, in any case, or nil.
func FieldByName(name string) *Field {
	for _, f := range fieldTable {
		if strings.EqualFold(f.Name, name) {
			return f
		}
		for _, a := range f.Aliases {
			if strings.EqualFold(a, name) {
				return f
			}
		}
	}
	return nil
}

var fieldTable = buildFields()

func buildFields() []*Field {
	all := append(sessionFields(), ownerFields()...)
	all = append(all, peerFields()...)
	return append(all, tcpFields()...)
}

func sessionFields() []*Field {
	return []*Field{
		{Name: "proto", Title: "PROTO", Kind: KindName, Of: OfSession, Values: protoNames.names(),
			Doc:     "Transport protocol. An MPTCP session is mptcp and its subflows are not listed beside it.",
			session: func(s *Session) Value { return nameValue(s.Proto.String()) }},
		{Name: "family", Title: "FAMILY", Kind: KindName, Of: OfSession, Values: familyNames.names(),
			Doc:     "Address family of the socket. An IPv4-mapped IPv6 address is shown as IPv4, its family is still ipv6.",
			session: func(s *Session) Value { return nameValue(s.Family.String()) }},
		{Name: "local_addr", Aliases: []string{"local", "laddr", "src"}, Title: "LOCAL", Kind: KindAddr, Of: OfSession,
			Doc:     "Address on this side.",
			session: func(s *Session) Value { return Value{Kind: KindAddr, Addr: s.Local.Addr()} }},
		{Name: "local_port", Aliases: []string{"lport", "sport"}, Title: "LPORT", Kind: KindPort, Of: OfSession,
			Doc:     "Port on this side.",
			session: func(s *Session) Value { return numValue(KindPort, uint64(s.Local.Port())) }},
		{Name: "remote_addr", Aliases: []string{"remote", "raddr", "dst"}, Title: "REMOTE", Kind: KindAddr, Of: OfSession,
			Doc:     "Address of the other side; the unspecified address where there is none.",
			session: func(s *Session) Value { return Value{Kind: KindAddr, Addr: s.Remote.Addr()} }},
		{Name: "remote_port", Aliases: []string{"rport", "dport"}, Title: "RPORT", Kind: KindPort, Of: OfSession,
			Doc:     "Port of the other side; 0 where there is none.",
			session: func(s *Session) Value { return numValue(KindPort, uint64(s.Remote.Port())) }},
		{Name: "state", Title: "STATE", Kind: KindName, Of: OfSession, Values: stateNames.names(),
			Doc:     "State: the twelve of TCP; UNCONN (bound, not connected) or ESTABLISHED for UDP.",
			session: func(s *Session) Value { return nameValue(s.State.String()) }},
		{Name: "inode", Title: "INODE", Kind: KindNumber, Of: OfSession,
			Doc:     "Inode number of the socket, absent where it belongs to no open file.",
			session: func(s *Session) Value { return knownValue(s.Inode) }},
		{Name: "cookie", Title: "COOKIE", Kind: KindNumber, Of: OfSession, Needs: NeedCookie,
			Doc:     "Socket cookie: the kernel's identity of the socket, never reused. Absent where the source does not know it.",
			session: func(s *Session) Value { return knownValue(s.Cookie) }},
		{Name: "uid", Title: "UID", Kind: KindNumber, Of: OfSession,
			Doc:     "User id that the socket was created with.",
			session: func(s *Session) Value { return numValue(KindNumber, uint64(s.UID)) }},
		{Name: "user", Title: "USER", Kind: KindText, Of: OfSession, Needs: NeedUser,
			Doc:     "Name of the user that the socket was created with, or the number where it has no name.",
			session: func(s *Session) Value { return textValue(s.User) }},
		{Name: "netns", Title: "NETNS", Kind: KindNumber, Of: OfSession, Needs: NeedNetNSName,
			Doc:     "Network namespace by its inode number; a filter also takes its name, or self.",
			session: func(s *Session) Value { return knownValue(uint64(s.NetNS)) }},
		{Name: "netns_name", Title: "NETNS", Kind: KindText, Of: OfSession, Needs: NeedNetNSName,
			Doc:     "Name of the network namespace: from ip netns, the container in it, or the process that is in it.",
			session: func(s *Session) Value { return textValue(s.NetNSName) }},
		{Name: "direction", Title: "DIR", Kind: KindName, Of: OfSession, Values: directionNames.names(), Needs: NeedDirection,
			Doc:     "in where a listener of the same namespace accepts on the local address and port, out otherwise; listeners have none.",
			session: func(s *Session) Value { return nameValue(s.Direction.String()) }},
		{Name: "recv_queue", Aliases: []string{"recvq"}, Title: "RECV-Q", Unit: "bytes", Kind: KindBytes, Of: OfSession,
			Doc:     "Bytes received and not yet read; for a TCP listener the connections that wait to be accepted.",
			session: func(s *Session) Value { return numValue(KindBytes, uint64(s.RecvQueue)) }},
		{Name: "send_queue", Aliases: []string{"sendq"}, Title: "SEND-Q", Unit: "bytes", Kind: KindBytes, Of: OfSession,
			Doc:     "Bytes sent and not yet acknowledged; for a TCP listener the limit of its accept queue.",
			session: func(s *Session) Value { return numValue(KindBytes, uint64(s.SendQueue)) }},
		{Name: "bound_dev", Aliases: []string{"dev"}, Title: "DEV", Kind: KindText, Of: OfSession,
			Doc:     "Device that the socket is bound to.",
			session: func(s *Session) Value { return textValue(s.BoundDev) }},
		{Name: "scope", Title: "SCOPE", Kind: KindText, Of: OfSession,
			Doc:     "Zone of a link-local address: the name of its device.",
			session: func(s *Session) Value { return textValue(s.Scope) }},
		{Name: "v6only", Title: "V6ONLY", Kind: KindBool, Of: OfSession,
			Doc: "Whether an IPv6 socket takes no IPv4. Absent for an IPv4 socket and for a connected one.",
			session: func(s *Session) Value {
				if s.Family != IPv6 || !s.IsListener() {
					return Value{}
				}
				return boolValue(s.V6Only)
			}},
		{Name: "mark", Title: "MARK", Kind: KindNumber, Of: OfSession,
			Doc:     "Mark of the socket (SO_MARK). Absent where it is 0 or not known.",
			session: func(s *Session) Value { return knownValue(uint64(s.Mark)) }},
		{Name: "reason", Title: "REASON", Kind: KindName, Of: OfSession, Values: reasonNames.names(), Needs: NeedOwners,
			Doc:     "Why no process holds the session. Absent for a session with owners.",
			session: func(s *Session) Value { return nameValue(s.Reason.String()) }},
		{Name: "socket_unit", Title: "SOCKET-UNIT", Kind: KindText, Of: OfSession, Needs: NeedOwners,
			Doc:     "Systemd unit that made the socket, where its owners are hidden.",
			session: func(s *Session) Value { return textValue(s.Unit) }},
		{Name: "socket_container", Title: "SOCKET-CONTAINER", Kind: KindText, Of: OfSession, Needs: NeedOwners,
			Doc:     "Container that made the socket, where its owners are hidden.",
			session: func(s *Session) Value { return textValue(s.Container) }},
	}
}

func ownerFields() []*Field {
	return []*Field{
		{Name: "pid", Title: "PID", Kind: KindNumber, Of: OfOwner, Needs: NeedOwners,
			Doc:   "Process id of an owner.",
			owner: func(o *Owner) Value { return numValue(KindNumber, uint64(o.PID)) }},
		{Name: "start_time", Title: "STARTED", Kind: KindTime, Of: OfOwner, Needs: NeedOwners,
			Doc: "When the owner started, in steps of 10 ms.",
			owner: func(o *Owner) Value {
				if o.StartTime.IsZero() {
					return Value{}
				}
				return Value{Kind: KindTime, Time: o.StartTime}
			}},
		{Name: "comm", Aliases: []string{"process", "proc", "name"}, Title: "PROCESS", Kind: KindText, Of: OfOwner, Needs: NeedOwners,
			Doc:   "Name of the owner's main thread, at most 15 bytes.",
			owner: func(o *Owner) Value { return textValue(o.Comm) }},
		{Name: "fds", Aliases: []string{"fd"}, Title: "FD", Kind: KindNumbers, Of: OfOwner, Needs: NeedOwners,
			Doc:   "Descriptors by which the owner has the socket.",
			owner: func(o *Owner) Value { return Value{Kind: KindNumbers, List: o.FDs} }},
		{Name: "cmdline", Title: "COMMAND", Kind: KindText, Of: OfOwner, Needs: NeedCmdline,
			Doc:   "Command line of the owner, cut at 4,096 bytes.",
			owner: func(o *Owner) Value { return textValue(o.Cmdline) }},
		{Name: "exe", Title: "EXE", Kind: KindText, Of: OfOwner, Needs: NeedExe,
			Doc:   "Path of the owner's executable.",
			owner: func(o *Owner) Value { return textValue(o.Exe) }},
		{Name: "owner_user", Key: "user", Title: "OWNER-USER", Kind: KindText, Of: OfOwner, Needs: NeedCreds,
			Doc:   "Name of the user that the owner runs as.",
			owner: func(o *Owner) Value { return textValue(o.User) }},
		{Name: "parent", Aliases: []string{"ppid"}, Title: "PARENT", Kind: KindNumber, Of: OfOwner, Needs: NeedCreds,
			Doc:   "Process id of the owner's parent.",
			owner: func(o *Owner) Value { return knownValue(uint64(o.Parent)) }},
		{Name: "unit", Title: "UNIT", Kind: KindText, Of: OfOwner, Needs: NeedCgroup,
			Doc:   "The owner's systemd unit.",
			owner: func(o *Owner) Value { return textValue(o.Unit) }},
		{Name: "container", Title: "CONTAINER", Kind: KindText, Of: OfOwner, Needs: NeedCgroup,
			Doc:   "Id of the owner's container.",
			owner: func(o *Owner) Value { return textValue(o.Container) }},
		{Name: "pod", Title: "POD", Kind: KindText, Of: OfOwner, Needs: NeedCgroup,
			Doc:   "Uid of the owner's Kubernetes pod.",
			owner: func(o *Owner) Value { return textValue(o.Pod) }},
	}
}

func peerFields() []*Field {
	return []*Field{
		{Name: "peer_pid", Key: "pid", Title: "PEER-PID", Kind: KindNumber, Of: OfPeer, Needs: NeedPeer,
			Doc:   "Process id of an owner of the other end, where that is on this host.",
			owner: func(o *Owner) Value { return numValue(KindNumber, uint64(o.PID)) }},
		{Name: "peer_comm", Key: "comm", Aliases: []string{"peer", "peer_process"}, Title: "PEER", Kind: KindText, Of: OfPeer, Needs: NeedPeer,
			Doc:   "Name of an owner of the other end, where that is on this host.",
			owner: func(o *Owner) Value { return textValue(o.Comm) }},
	}
}

func tcpFields() []*Field {
	tcp := func(get func(*TCPInfo) Value) func(*Session) Value {
		return func(s *Session) Value {
			if s.TCP == nil {
				return Value{}
			}
			return get(s.TCP)
		}
	}
	return []*Field{
		{Name: "rtt", Title: "RTT", Unit: "microseconds", Kind: KindDuration, Of: OfTCP, Needs: NeedTCPInfo,
			Doc:     "Smoothed round-trip time.",
			session: tcp(func(t *TCPInfo) Value { return numValue(KindDuration, uint64(t.RTT)) })},
		{Name: "retrans", Title: "RETRANS", Unit: "segments", Kind: KindNumber, Of: OfTCP, Needs: NeedTCPInfo,
			Doc:     "Segments sent again since the session began.",
			session: tcp(func(t *TCPInfo) Value { return numValue(KindNumber, uint64(t.Retrans)) })},
		{Name: "bytes_sent", Title: "SENT", Unit: "bytes", Kind: KindBytes, Of: OfTCP, Needs: NeedTCPInfo,
			Doc:     "Payload bytes sent, those sent again not counted twice.",
			session: tcp(func(t *TCPInfo) Value { return numValue(KindBytes, t.BytesSent) })},
		{Name: "bytes_received", Title: "RECEIVED", Unit: "bytes", Kind: KindBytes, Of: OfTCP, Needs: NeedTCPInfo,
			Doc:     "Payload bytes received.",
			session: tcp(func(t *TCPInfo) Value { return numValue(KindBytes, t.BytesReceived) })},
		{Name: "cong", Title: "CONG", Kind: KindText, Of: OfTCP, Needs: NeedTCPInfo,
			Doc:     "Congestion control algorithm.",
			session: tcp(func(t *TCPInfo) Value { return textValue(t.Cong) })},
		{Name: "cwnd", Title: "CWND", Unit: "segments", Kind: KindNumber, Of: OfTCP, Needs: NeedTCPInfo,
			Doc:     "Congestion window.",
			session: tcp(func(t *TCPInfo) Value { return knownValue(uint64(t.Cwnd)) })},
	}
}
