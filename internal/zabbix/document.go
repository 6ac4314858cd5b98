package zabbix

import "github.com/seed-44df2ae6/whose"

// Schema names the form of the document. It changes when a key changes its
// meaning or goes; new keys do not change it.
const Schema = "whose-zabbix-v1"

// A Document is what `whose zabbix get` prints: aggregates of one collection.
// Keys of Listeners and Processes are the ids of the discovery rows, so that an
// item's JSONPath is $.listeners.ID.established whatever a process calls itself.
//
// What is not known is left out, so that a JSONPath to it fails and the item's
// preprocessing discards the value; it is never told as 0. Where there was no
// answer at all, only the first keys are there, down to Truncated. Where the
// time ran out, the figures are those of what was collected until then, and
// Discovery is left out: what would be found missing may still be there.
type Document struct {
	// Schema is the constant of that name; Version that of whose.
	Schema  string `json:"schema"`
	Version string `json:"version"`
	// Source is "bpf", "netlink" or "procfs"; Pinned tells of a pinned iterator.
	Source string `json:"source"`
	Pinned bool   `json:"pinned"`
	// Duration of the collection in seconds.
	Duration float64 `json:"duration"`
	// Complete is false where something is missing that would have been told:
	// the time ran out, a table changed under every reading, rows were left out
	// for size, nothing could be collected. That owners or namespaces are hidden
	// for want of permission is told by Coverage and does not count here.
	Complete bool `json:"complete"`
	// Gaps are the account of what is missing, hidden owners too, at most 16.
	// Text in it is made safe: see Safe.
	Gaps whose.Gaps `json:"partial"`
	// Truncated counts listeners and processes that were left out for size.
	Truncated int `json:"truncated"`
	// Totals of all sessions.
	Totals Totals `json:"totals,omitzero"`
	// Coverage is the account of sessions without known owners.
	Coverage Coverage `json:"coverage,omitzero"`
	// Discovery holds what low-level discovery reads.
	Discovery Discovery `json:"discovery,omitzero"`
	// Absent are the values of a row that is not there, all 0 but for those that
	// no row has. It is left out where Discovery is: what is missing then may be there. An item takes the
	// sum of its row's value and this one, which is the value, or 0 for a row
	// that is gone, or no value at all.
	Absent *Absent `json:"absent,omitempty"`
	// Listeners and Processes by the ids of their discovery rows.
	Listeners map[string]Listener `json:"listeners,omitzero"`
	Processes map[string]Process  `json:"processes,omitzero"`
}

// Totals count all sessions of the host.
type Totals struct {
	Sessions int `json:"sessions"`
	// TCP and UDP count by state, in lower case: established, listen,
	// time_wait, … Every state has its key, with 0 where there is none. MPTCP
	// counts as TCP, UDP-Lite as UDP, whose states are established and unconn.
	TCP map[string]int `json:"tcp"`
	UDP map[string]int `json:"udp"`
	// In and Out count the TCP sessions by direction; listeners are neither.
	In  int `json:"in"`
	Out int `json:"out"`
	// Listeners and Processes count the rows before any was left out.
	Listeners int `json:"listeners"`
	Processes int `json:"processes"`
	// UDPEphemeral counts the unconnected UDP sockets on ephemeral ports, which
	// have no discovery rows by themselves.
	UDPEphemeral int `json:"udp_ephemeral"`
	// RemoteHosts counts the distinct remote addresses, loopback left out.
	// Above [tally.MaxRemoteHosts] they are not told apart any more, here and below.
	RemoteHosts int `json:"remote_hosts"`
}

// A Coverage is the account of what has no known owner, and why.
type Coverage struct {
	Owned     int `json:"owned"`
	Ownerless int `json:"ownerless"`
	// Hidden counts sessions that a process holds that we may not look into.
	Hidden int `json:"hidden"`
	// Reasons count the ownerless by reason; every reason has its key: kernel,
	// accept_queue, in_flight, orphan, hidden, raced, unheld.
	Reasons map[string]int `json:"reasons"`
	// ProcessesHidden and NamespacesHidden count what could not be looked into,
	// at least 1 where nobody can know how many there are.
	ProcessesHidden  int `json:"processes_hidden"`
	NamespacesHidden int `json:"namespaces_hidden"`
}

// Discovery holds the arrays of low-level discovery: stable facts only (no
// PID, no counter), sorted, so that 'discard unchanged' works.
type Discovery struct {
	Listeners []ListenerRow `json:"listeners"`
	Processes []ProcessRow  `json:"processes"`
}

// Absent are the values of a listener and of a process that are not there.
type Absent struct {
	Listener Listener `json:"listener"`
	Process  Process  `json:"process"`
}

// A ListenerRow is one listener: an SO_REUSEPORT group of the same process is one.
//
// Text that a process chose is made safe: see Safe. Empty stands for what is
// not known or not there.
type ListenerRow struct {
	// ID is of 12 hexadecimal digits.
	ID string `json:"{#WHOSE.ID}"`
	// Proto is "tcp" (MPTCP too), "udp" or "udplite".
	Proto string `json:"{#WHOSE.PROTO}"`
	// Addr is "0.0.0.0", "::", "127.0.0.1", "fe80::1%eth0", …
	Addr string `json:"{#WHOSE.ADDR}"`
	Port string `json:"{#WHOSE.PORT}"`
	// NetNS is empty for the host's own namespace, else the name that
	// `ip netns` gave, the container's id, or the inode number.
	NetNS string `json:"{#WHOSE.NETNS}"`
	// Process is the name of the process that has held it longest, so that
	// workers may come and go; "[kernel]" for a socket of the kernel; "?" for
	// a process without a name; empty where it is hidden.
	Process string `json:"{#WHOSE.PROCESS}"`
	// User is whom that process runs as, or whose the socket is where no
	// process is known.
	User string `json:"{#WHOSE.USER}"`
	// Unit is the systemd unit, with * for what changes with each start:
	// "nginx.service", "session-*.scope".
	Unit      string `json:"{#WHOSE.UNIT}"`
	Container string `json:"{#WHOSE.CONTAINER}"`
	// Ephemeral is "1" for a UDP port of the host's ephemeral range, "0" else.
	Ephemeral string `json:"{#WHOSE.EPHEMERAL}"`
}

// A ProcessRow is all processes of one name, unit, container and user. Process
// is empty where the owner is hidden and only its unit or container is known.
type ProcessRow struct {
	ID        string `json:"{#WHOSE.ID}"`
	Process   string `json:"{#WHOSE.PROCESS}"`
	Unit      string `json:"{#WHOSE.UNIT}"`
	Container string `json:"{#WHOSE.CONTAINER}"`
	User      string `json:"{#WHOSE.USER}"`
}

// A Listener holds the values of one listener.
type Listener struct {
	// Sockets of the group.
	Sockets int `json:"sockets"`
	// Holders names who has it open now, in order: "nginx", "sshd, systemd".
	Holders     string `json:"holders"`
	Established int    `json:"established"`
	CloseWait   int    `json:"close_wait"`
	SynRecv     int    `json:"syn_recv"`
	TimeWait    int    `json:"time_wait"`
	// Queue is how many connections wait to be accepted, QueueLimit how many
	// may, QueueUsed the part of it in percent of the fullest socket. 0 for UDP.
	// Both are nil where the source does not tell the limit, as procfs.
	Queue      uint64   `json:"queue"`
	QueueLimit *uint64  `json:"queue_limit,omitempty"`
	QueueUsed  *float64 `json:"queue_used,omitempty"`
	// RemoteHosts counts the distinct remote addresses.
	RemoteHosts int `json:"remote_hosts"`
}

// A Process holds the values of all processes of one row.
type Process struct {
	// Processes counts them, 0 where they are hidden.
	Processes int `json:"processes"`
	// Sessions that they hold. One that several of them hold counts once.
	Sessions    int `json:"sessions"`
	Listening   int `json:"listening"`
	Established int `json:"established"`
	CloseWait   int `json:"close_wait"`
	// TimeWait counts sessions in TIME_WAIT that came in by a listener of the
	// processes. Nobody holds them any more, so Sessions is without them.
	TimeWait int `json:"time_wait"`
	SynSent  int `json:"syn_sent"`
	// Other counts TCP sessions in another state.
	Other int `json:"other"`
	UDP   int `json:"udp"`
	// In and Out count the TCP sessions by direction.
	In  int `json:"in"`
	Out int `json:"out"`
	// RemoteHosts counts the distinct remote addresses, loopback left out.
	RemoteHosts int `json:"remote_hosts"`
}
