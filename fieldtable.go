package whose

import (
	"net/netip"
	"time"
)

// This file is the table of the fields of sessions: a row a column.

func sessionFields() []*Field {
	return []*Field{
		{Name: "proto", Title: "PROTO", Kind: KindName, Of: OfSession,
			Doc:    "Transport protocol. An MPTCP session is mptcp, with the ends of its first subflow; each further one is a row of its own (subflow).",
			Values: protoNames.names(), names: protoNames,
			row: nameAt(protoNames, func(r Row) *Proto { return &r.Session.Proto })},
		{Name: "family", Title: "FAMILY", Kind: KindName, Of: OfSession,
			Doc:    "Address family of the socket. An IPv4-mapped IPv6 address is shown as IPv4, its family is still ipv6.",
			Values: familyNames.names(), names: familyNames,
			row: nameAt(familyNames, func(r Row) *Family { return &r.Session.Family })},
		{Name: "local_addr", Aliases: []string{"local", "laddr", "src"}, Title: "LOCAL", Kind: KindAddr, Of: OfSession,
			Doc: "Address on this side.",
			row: access[Row]{
				addr: func(r Row) netip.Addr { return r.Session.Local.Addr() },
				set:  func(r Row, v *Value) { r.Session.Local = netip.AddrPortFrom(v.Addr, r.Session.Local.Port()) },
			}},
		{Name: "local_port", Aliases: []string{"lport", "sport"}, Title: "LPORT", Kind: KindPort, Of: OfSession,
			Doc: "Port on this side.",
			row: access[Row]{
				num: func(r Row) (uint64, bool) { return uint64(r.Session.Local.Port()), true },
				set: func(r Row, v *Value) { r.Session.Local = netip.AddrPortFrom(r.Session.Local.Addr(), uint16(v.Num)) },
			}},
		{Name: "remote_addr", Aliases: []string{"remote", "raddr", "dst"}, Title: "REMOTE", Kind: KindAddr, Of: OfSession,
			Doc: "Address of the other side; the unspecified address where there is none.",
			row: access[Row]{
				addr: func(r Row) netip.Addr { return r.Session.Remote.Addr() },
				set:  func(r Row, v *Value) { r.Session.Remote = netip.AddrPortFrom(v.Addr, r.Session.Remote.Port()) },
			}},
		{Name: "remote_port", Aliases: []string{"rport", "dport"}, Title: "RPORT", Kind: KindPort, Of: OfSession,
			Doc: "Port of the other side; 0 where there is none.",
			row: access[Row]{
				num: func(r Row) (uint64, bool) { return uint64(r.Session.Remote.Port()), true },
				set: func(r Row, v *Value) { r.Session.Remote = netip.AddrPortFrom(r.Session.Remote.Addr(), uint16(v.Num)) },
			}},
		{Name: "state", Title: "STATE", Kind: KindName, Of: OfSession,
			Doc:    "State: the twelve of TCP; UNCONN (bound, not connected) or ESTABLISHED for UDP.",
			Values: stateNames.names(), names: stateNames,
			row: nameAt(stateNames, func(r Row) *State { return &r.Session.State })},
		{Name: "inode", Title: "INODE", Kind: KindNumber, Of: OfSession,
			Doc: "Inode number of the socket, absent where it belongs to no open file.",
			row: access[Row]{
				num: func(r Row) (uint64, bool) { return r.Session.Inode, r.Session.Inode != 0 },
				set: func(r Row, v *Value) { r.Session.Inode = v.Num },
			}},
		{Name: "cookie", Title: "COOKIE", Kind: KindNumber, Of: OfSession, Needs: NeedCookie,
			Doc: "Socket cookie: the kernel's identity of the socket, never reused. Absent where the source does not know it.",
			row: access[Row]{
				num: func(r Row) (uint64, bool) { return r.Session.Cookie, r.Session.Cookie != 0 },
				set: func(r Row, v *Value) { r.Session.Cookie = v.Num },
			}},
		{Name: "uid", Title: "UID", Kind: KindNumber, Of: OfSession,
			Doc: "User id of the socket at its creation. Absent for TIME_WAIT and SYN_RECV, of which the kernel keeps none, and before Linux 6.17 for all without an inode.",
			row: toldAt(FactUID, func(s *Session) *uint32 { return &s.UID })},
		{Name: "user", Title: "USER", Kind: KindText, Of: OfSession, Needs: NeedUser,
			Doc: "Name of the user of the socket, or the number of a nameless user.",
			row: textAt(func(r Row) *string { return &r.Session.User })},
		{Name: "netns", Title: "NETNS", Kind: KindNumber, Of: OfSession, Needs: NeedNetNSName,
			Doc: "Network namespace by its inode number; a filter also takes its name, or self.",
			row: knownAt(func(r Row) *uint32 { return &r.Session.NetNS })},
		{Name: "netns_name", Title: "NETNS-NAME", Kind: KindText, Of: OfSession, Needs: NeedNetNSName,
			Doc: "Name of the network namespace: from ip netns, its pod, container or service, or a process inside it; host for the one of the host.",
			row: textAt(func(r Row) *string { return &r.Session.NetNSName })},
		{Name: "direction", Title: "DIR", Kind: KindName, Of: OfSession, Needs: NeedDirection,
			Doc:    "in where this end was accepted, out where it connected: by the socket itself or, where a source cannot ask it, by whether a listener of the same namespace takes it. Absent for listeners and where nothing decides: for one that this side has closed a missing listener says nothing.",
			Values: directionNames.names(), names: directionNames,
			row: nameAt(directionNames, func(r Row) *Direction { return &r.Session.Direction })},
		{Name: "recv_queue", Aliases: []string{"recvq"}, Title: "RECV-Q", Unit: "bytes", Kind: KindBytes, Of: OfSession,
			Doc: "Bytes received and not yet read; for a TCP listener the connections in its accept queue.",
			row: toldAt(FactRecvQueue, func(s *Session) *uint32 { return &s.RecvQueue })},
		{Name: "send_queue", Aliases: []string{"sendq"}, Title: "SEND-Q", Unit: "bytes", Kind: KindBytes, Of: OfSession,
			Doc: "Bytes sent and not yet acknowledged; for a TCP listener the limit of its accept queue. Absent where the source does not know it.",
			row: toldAt(FactSendQueue, func(s *Session) *uint32 { return &s.SendQueue })},
		{Name: "bound_dev", Aliases: []string{"dev"}, Title: "DEV", Kind: KindText, Of: OfSession,
			Doc: "Device of a socket bound to one.",
			row: textAt(func(r Row) *string { return &r.Session.BoundDev })},
		{Name: "scope", Title: "SCOPE", Kind: KindText, Of: OfSession,
			Doc: "Zone of a link-local address: the name of its device.",
			row: textAt(func(r Row) *string { return &r.Session.Scope })},
		{Name: "v6only", Title: "V6ONLY", Kind: KindBool, Of: OfSession,
			Doc: "Whether an IPv6 socket takes no IPv4. Absent for an IPv4 socket, for a connected one, and where the source does not know it.",
			row: access[Row]{
				num: func(r Row) (uint64, bool) {
					s := r.Session
					return flag(s.V6Only), s.Family == IPv6 && s.IsListener() && !s.Unknown.Has(FactV6Only)
				},
				set: func(r Row, v *Value) {
					r.Session.V6Only = v.Num != 0
					r.Session.Unknown &^= FactV6Only
				},
			}},
		{Name: "exposure", Title: "EXPOSURE", Kind: KindName, Of: OfSession,
			Doc:    "From how far a listener may be reached, by its address: loopback (its own namespace, or bound to the loopback device), link (a link-local address), private (10/8, 172.16/12, 192.168/16, 100.64/10, 198.18/15, fc00::/7), public (any other address), any (all addresses). No firewall or route is asked. Absent for other sessions.",
			Values: exposureNames.names(), names: exposureNames,
			row: nameAt(exposureNames, func(r Row) *Exposure { return &r.Session.Exposure })},
		{Name: "subflow", Title: "SUBFLOW", Kind: KindBool, Of: OfSession,
			Doc: "Whether it is a path of an MPTCP session beside the first. Its inode and owners are those of the session. Absent for other protocols and for listeners.",
			row: access[Row]{
				num: func(r Row) (uint64, bool) {
					s := r.Session
					return flag(s.Subflow), s.Subflow || s.Proto == MPTCP && !s.IsListener()
				},
				set: func(r Row, v *Value) { r.Session.Subflow = v.Num != 0 },
			}},
		{Name: "mark", Title: "MARK", Kind: KindNumber, Of: OfSession,
			Doc: "Mark of the socket (SO_MARK). Absent where it is 0 or not known.",
			row: knownAt(func(r Row) *uint32 { return &r.Session.Mark })},
		{Name: "reason", Title: "REASON", Kind: KindName, Of: OfSession, Needs: NeedOwners,
			Doc:    "Why no process holds the session. Absent for a session with owners.",
			Values: reasonNames.names(), names: reasonNames,
			row: nameAt(reasonNames, func(r Row) *Reason { return &r.Session.Reason })},
		{Name: "socket_unit", Title: "SOCKET-UNIT", Kind: KindText, Of: OfSession, Needs: NeedOwners | NeedSocketGroup,
			Doc: "Systemd unit of a socket with hidden owners.",
			row: textAt(func(r Row) *string { return &r.Session.Unit })},
		{Name: "socket_container", Title: "SOCKET-CONTAINER", Kind: KindText, Of: OfSession, Needs: NeedOwners | NeedSocketGroup,
			Doc: "Container of a socket with hidden owners.",
			row: textAt(func(r Row) *string { return &r.Session.Container })},
	}
}

func ownerFields() []*Field {
	return []*Field{
		{Name: "pid", Title: "PID", Kind: KindNumber, Of: OfOwner, Needs: NeedOwners,
			Doc:   "Process id of an owner.",
			owner: numAt(func(o *Owner) *uint32 { return &o.PID })},
		{Name: "start_time", Title: "STARTED", Kind: KindTime, Of: OfOwner, Needs: NeedOwners,
			Doc:   "When the owner started, in steps of 10 ms.",
			owner: timeAt(func(o *Owner) *time.Time { return &o.StartTime })},
		{Name: "comm", Aliases: []string{"process", "proc", "name"}, Title: "PROCESS", Kind: KindText, Of: OfOwner, Needs: NeedOwners,
			Doc:   "Name of the owner's main thread, at most 15 bytes.",
			owner: textAt(func(o *Owner) *string { return &o.Comm })},
		{Name: "fds", Aliases: []string{"fd"}, Title: "FD", Kind: KindNumbers, Of: OfOwner, Needs: NeedOwners,
			Doc: "Descriptors by which the owner has the socket.",
			owner: access[*Owner]{
				list: func(o *Owner) []int32 { return o.FDs },
				set:  func(o *Owner, v *Value) { o.FDs = v.List },
			}},
		{Name: "cmdline", Title: "COMMAND", Kind: KindText, Of: OfOwner, Needs: NeedCmdline,
			Doc:   "Command line of the owner, cut at 4,096 bytes.",
			owner: textAt(func(o *Owner) *string { return &o.Cmdline })},
		{Name: "exe", Title: "EXE", Kind: KindText, Of: OfOwner, Needs: NeedExe,
			Doc:   "Path of the owner's executable.",
			owner: textAt(func(o *Owner) *string { return &o.Exe })},
		{Name: "script", Title: "SCRIPT", Kind: KindText, Of: OfOwner, Needs: NeedCmdline | NeedExe,
			Doc:   "What an interpreter runs (python, node, java, perl, ruby, php, shells, dotnet): a file, a module or a class, by its command line. Absent for other programs, and where it has no name.",
			owner: textAt(func(o *Owner) *string { return &o.Script })},
		{Name: "owner_user", Key: "user", Title: "OWNER-USER", Kind: KindText, Of: OfOwner, Needs: NeedCreds,
			Doc:   "Name of the owner's effective user.",
			owner: textAt(func(o *Owner) *string { return &o.User })},
		{Name: "parent", Aliases: []string{"ppid"}, Title: "PARENT", Kind: KindNumber, Of: OfOwner, Needs: NeedCreds,
			Doc:   "Process id of the owner's parent.",
			owner: knownAt(func(o *Owner) *uint32 { return &o.Parent })},
		{Name: "unit", Title: "UNIT", Kind: KindText, Of: OfOwner, Needs: NeedCgroup,
			Doc:   "The owner's systemd unit; user/NAME if a user may have chosen the name.",
			owner: textAt(func(o *Owner) *string { return &o.Unit })},
		{Name: "container", Title: "CONTAINER", Kind: KindText, Of: OfOwner, Needs: NeedCgroup,
			Doc:   "Id of the owner's container; user/ID if a user may have chosen it. A filter also takes its name.",
			owner: textAt(func(o *Owner) *string { return &o.Container })},
		{Name: "pod", Title: "POD", Kind: KindText, Of: OfOwner, Needs: NeedCgroup,
			Doc:   "Uid of the owner's Kubernetes pod.",
			owner: textAt(func(o *Owner) *string { return &o.Pod })},
		{Name: "container_name", Title: "CONTAINER-NAME", Kind: KindText, Of: OfOwner, Needs: NeedContainerNames,
			Doc:   "Name of the owner's container, by the files of its runtime; user/NAME if a user may have chosen the container. Absent where they may not be read.",
			owner: textAt(func(o *Owner) *string { return &o.ContainerName })},
		{Name: "image", Title: "IMAGE", Kind: KindText, Of: OfOwner, Needs: NeedContainerNames,
			Doc:   "Image of the owner's container, as it was asked for.",
			owner: textAt(func(o *Owner) *string { return &o.Image })},
		{Name: "pod_name", Title: "POD-NAME", Kind: KindText, Of: OfOwner, Needs: NeedContainerNames,
			Doc:   "Name of the owner's Kubernetes pod.",
			owner: textAt(func(o *Owner) *string { return &o.PodName })},
		{Name: "pod_namespace", Title: "POD-NAMESPACE", Kind: KindText, Of: OfOwner, Needs: NeedContainerNames,
			Doc:   "Kubernetes namespace of the owner's pod.",
			owner: textAt(func(o *Owner) *string { return &o.PodNamespace })},
	}
}

func peerFields() []*Field {
	return []*Field{
		{Name: "peer_pid", Key: "pid", Title: "PEER-PID", Kind: KindNumber, Of: OfPeer, Needs: NeedPeer,
			Doc:   "Process id of an owner of the other end, if it is on this host.",
			owner: numAt(func(o *Owner) *uint32 { return &o.PID })},
		{Name: "peer_comm", Key: "comm", Aliases: []string{"peer", "peer_process"}, Title: "PEER", Kind: KindText, Of: OfPeer, Needs: NeedPeer,
			Doc:   "Name of an owner of the other end, if it is on this host.",
			owner: textAt(func(o *Owner) *string { return &o.Comm })},
	}
}

func tcpFields() []*Field {
	return []*Field{
		{Name: "rtt", Title: "RTT", Unit: "microseconds", Kind: KindDuration, Of: OfTCP, Needs: NeedTCPInfo,
			Doc: "Smoothed round-trip time. Absent where nothing was measured yet.",
			row: tcpNum(func(t *TCPInfo) (uint64, bool) { return uint64(t.RTT), t.RTT >= time.Microsecond }, func(t *TCPInfo, n uint64) { t.RTT = time.Duration(n) })},
		{Name: "retrans", Title: "RETRANS", Unit: "segments", Kind: KindNumber, Of: OfTCP, Needs: NeedTCPInfo,
			Doc: "Segments sent again since the session began.",
			row: tcpNum(func(t *TCPInfo) (uint64, bool) { return uint64(t.Retrans), true }, func(t *TCPInfo, n uint64) { t.Retrans = uint32(n) })},
		{Name: "bytes_sent", Title: "SENT", Unit: "bytes", Kind: KindBytes, Of: OfTCP, Needs: NeedTCPInfo, EventKey: "sent.bytes",
			Doc: "Payload bytes sent, those sent again not counted twice.",
			row: bytesAt(func(l *Lifetime) *uint64 { return &l.Sent.Bytes }, func(t *TCPInfo) *uint64 { return &t.BytesSent })},
		{Name: "bytes_received", Title: "RECEIVED", Unit: "bytes", Kind: KindBytes, Of: OfTCP, Needs: NeedTCPInfo, EventKey: "received.bytes",
			Doc: "Payload bytes received.",
			row: bytesAt(func(l *Lifetime) *uint64 { return &l.Received.Bytes }, func(t *TCPInfo) *uint64 { return &t.BytesReceived })},
		{Name: "cong", Title: "CONG", Kind: KindText, Of: OfTCP, Needs: NeedTCPInfo,
			Doc: "Congestion control algorithm.",
			row: access[Row]{
				text: func(r Row) string {
					if t := figures(r); t != nil {
						return t.Cong
					}
					return ""
				},
				set: func(r Row, v *Value) { figuresOf(r.Session).Cong = v.Text },
			}},
		{Name: "cwnd", Title: "CWND", Unit: "segments", Kind: KindNumber, Of: OfTCP, Needs: NeedTCPInfo,
			Doc: "Congestion window.",
			row: tcpNum(func(t *TCPInfo) (uint64, bool) { return uint64(t.Cwnd), t.Cwnd != 0 }, func(t *TCPInfo, n uint64) { t.Cwnd = uint32(n) })},
		{Name: "idle", Title: "IDLE", Unit: "microseconds", Kind: KindDuration, Of: OfTCP, Needs: NeedTCPInfo,
			Doc: "Time since the last byte of payload either way or, before the first, since the connection was established. Absent before that.",
			row: access[Row]{
				num: func(r Row) (uint64, bool) {
					t := r.Session.TCP
					if t == nil || !t.HasIdle {
						return 0, false
					}
					return uint64(t.Idle), true
				},
				set: func(r Row, v *Value) {
					t := figuresOf(r.Session)
					t.Idle, t.HasIdle = time.Duration(v.Num), true
				},
			}},
		{Name: "age", Title: "AGE", Unit: "microseconds", Kind: KindDuration, Of: OfTCP, Needs: NeedTCPInfo,
			Doc: "Time since a session that stands was established: known where a watch saw that, also of UDP, and of a TCP session over which no byte of payload went yet. Absent otherwise, since the kernel does not keep it.",
			row: access[Row]{num: ageOf, set: func(r Row, v *Value) { r.Life.Duration = time.Duration(v.Num) }}},
		{Name: "flow", Title: "FLOW", Kind: KindHex, Of: OfTCP, Needs: NeedFlow,
			Doc: "Flow id of a TCP connection: the same at both ends, whatever translates addresses between them, and another for each connection. A hash of the two numbers with which it began; of an MPTCP session that of its first subflow. Known to the source bpf and to a watch by bpf; absent before the connection is established, in TIME_WAIT, and after TCP_REPAIR.",
			row: knownAt(func(r Row) *uint64 { return &r.Session.Flow })},
		{Name: "timer", Title: "TIMER", Kind: KindName, Of: OfTCP, Needs: NeedTimer,
			Doc:    "The running timer: retransmit (of what was not acknowledged), keepalive, timewait, persist (probes of a closed window). Absent where none runs.",
			Values: timerNames.names(), names: timerNames,
			row: access[Row]{
				code: func(r Row) uint8 { return uint8(timerOf(r).Kind) },
				set:  func(r Row, v *Value) { tcpOf(r.Session).Timer.Kind = TimerKind(timerNames.number(v.Text)) },
			}},
		{Name: "timer_left", Title: "TIMER-LEFT", Unit: "microseconds", Kind: KindDuration, Of: OfTCP, Needs: NeedTimer,
			Doc: "Time until the timer fires.",
			row: timerNum(func(t *Timer) uint64 { return uint64(t.Left) }, func(t *Timer, n uint64) { t.Left = time.Duration(n) })},
		{Name: "timer_retrans", Title: "TIMER-RETRANS", Kind: KindNumber, Of: OfTCP, Needs: NeedTimer,
			Doc: "Retransmissions or probes so far that nobody answered.",
			row: timerNum(func(t *Timer) uint64 { return uint64(t.Retrans) }, func(t *Timer, n uint64) { t.Retrans = uint8(n) })},
	}
}

// toldAt makes the access to a number of a session that may be unknown.
func toldAt(fact Facts, at func(*Session) *uint32) access[Row] {
	return access[Row]{
		num: func(r Row) (uint64, bool) { return uint64(*at(r.Session)), !r.Session.Unknown.Has(fact) },
		set: func(r Row, v *Value) {
			*at(r.Session) = uint32(v.Num)
			r.Session.Unknown &^= fact
		},
	}
}

// tcpOf returns the session's facts of TCP, made where there are none.
func tcpOf(s *Session) *TCPInfo {
	if s.TCP == nil {
		s.TCP = &TCPInfo{OnlyTimer: true}
	}
	return s.TCP
}

// figuresOf returns them to set a figure.
func figuresOf(s *Session) *TCPInfo {
	t := tcpOf(s)
	t.OnlyTimer = false
	return t
}

// figures returns the session's figures of TCP, nil where there are none.
func figures(r Row) *TCPInfo {
	if t := r.Session.TCP; t != nil && !t.OnlyTimer {
		return t
	}
	return nil
}

// ageOf returns the age of a session that stands.
func ageOf(r Row) (uint64, bool) {
	age := r.Life.Duration
	switch t := figures(r); {
	case r.Life.Ended():
		return 0, false
	case age != 0:
	case !r.Life.Opened.IsZero() && !r.Event.Time.IsZero():
		age = r.Event.Time.Sub(r.Life.Opened)
	case t != nil && t.Unused && t.HasIdle:
		age = t.Idle
	}
	return uint64(max(age, 0)), age >= time.Microsecond
}

// timerOf returns the session's timer.
func timerOf(r Row) Timer {
	if r.Session.TCP == nil {
		return Timer{}
	}
	return r.Session.TCP.Timer
}

// timerNum makes the access to a number of a running timer.
func timerNum(get func(*Timer) uint64, set func(*Timer, uint64)) access[Row] {
	return access[Row]{
		num: func(r Row) (uint64, bool) {
			t := timerOf(r)
			return get(&t), t.Kind != 0
		},
		set: func(r Row, v *Value) { set(&tcpOf(r.Session).Timer, v.Num) },
	}
}

// tcpNum makes the access to a number of TCP.
func tcpNum(get func(*TCPInfo) (uint64, bool), set func(*TCPInfo, uint64)) access[Row] {
	return access[Row]{
		num: func(r Row) (uint64, bool) {
			t := figures(r)
			if t == nil {
				return 0, false
			}
			return get(t)
		},
		set: func(r Row, v *Value) { set(figuresOf(r.Session), v.Num) },
	}
}

// bytesAt makes the access to the bytes of one direction: as counted in the
// session's life, else as TCP counts them now.
func bytesAt(counted func(*Lifetime) *uint64, now func(*TCPInfo) *uint64) access[Row] {
	count := func(r Row, v *Value) { *counted(r.Life), r.Life.Counted = v.Num, true }
	return access[Row]{
		num: func(r Row) (uint64, bool) {
			switch {
			case r.Life.Counted:
				return *counted(r.Life), true
			case figures(r) != nil:
				return *now(figures(r)), true
			}
			return 0, false
		},
		// Whoever wrote it beside other figures of TCP had it from there.
		set: func(r Row, v *Value) {
			if figures(r) == nil {
				count(r, v)
				return
			}
			*now(r.Session.TCP) = v.Num
		},
		setBeside: count,
	}
}

// flag is a bool as fields count it.
func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
