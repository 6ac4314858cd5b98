package zabbix

import (
	"reflect"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/tally"
)

// Schema names the form of the document. It changes when a key changes its
// meaning or goes; new keys do not change it.
const Schema = "whose-zabbix-v1"

// A Document is the output of `whose zabbix get`: aggregates of one collection.
// Keys of Listeners and Processes are the ids of the discovery rows. An item's
// JSONPath is $.listeners.ID.established whatever a process calls itself.
//
// Unknown values are left out and are never 0: a JSONPath to them fails, and the
// item's preprocessing discards the value. Without any answer only the first
// keys are there, down to Truncated. If the time ran out, the figures cover the
// collection until then. Discovery is left out in this case: rows seemingly gone
// may still be there.
type Document struct {
	// Schema is the constant [Schema]. Version is the version of whose.
	Schema  string `json:"schema"`
	Version string `json:"version"`
	// Source is "bpf", "netlink" or "procfs". Pinned: a pinned iterator was used.
	Source string `json:"source"`
	Pinned bool   `json:"pinned"`
	// Duration of the collection in seconds.
	Duration float64 `json:"duration"`
	// Complete is false if expected data is missing: the time ran out, a table
	// changed under every reading, rows were left out for size, nothing could be
	// collected. Owners or namespaces hidden for want of permission are in Coverage
	// and do not count here.
	Complete bool `json:"complete"`
	// Gaps are the account of missing things, hidden owners too, at most 16. Their
	// text is made safe by [Safe].
	Gaps whose.Gaps `json:"partial"`
	// Truncated counts the listeners and processes left out for size.
	Truncated int `json:"truncated"`
	// Totals of all sessions.
	Totals Totals `json:"totals,omitzero"`
	// Coverage is the account of sessions without known owners.
	Coverage Coverage `json:"coverage,omitzero"`
	// Discovery is the input of low-level discovery.
	Discovery Discovery `json:"discovery,omitzero"`
	// Absent holds the values of a missing row: 0, except for values missing in all
	// rows. It is left out with Discovery: missing rows may be there then. An item
	// adds its row's value and this one. The sum is the value, or 0 for a gone row,
	// or no value at all.
	Absent *Absent `json:"absent,omitempty"`
	// Listeners and Processes by the ids of their discovery rows.
	Listeners map[string]Listener `json:"listeners,omitzero"`
	Processes map[string]Process  `json:"processes,omitzero"`

	// shares are whose rows they are, by id: for the choice of those left out.
	shares map[string]tally.Share
}

// Equal reports whether both documents say the same.
func (d Document) Equal(o Document) bool {
	d.shares, o.shares = nil, nil
	return reflect.DeepEqual(d, o)
}

// Totals count all sessions of the host.
type Totals struct {
	Sessions int `json:"sessions"`
	// TCP and UDP count by state, in lower case: established, listen, time_wait, …
	// Every state has its key, with 0 for none. MPTCP counts as TCP. UDP-Lite
	// counts as UDP, with the states established and unconn.
	TCP map[string]int `json:"tcp"`
	UDP map[string]int `json:"udp"`
	// In and Out count the TCP sessions by direction. Listeners are neither.
	In  int `json:"in"`
	Out int `json:"out"`
	// Listeners and Processes count all rows, those left out too.
	Listeners int `json:"listeners"`
	Processes int `json:"processes"`
	// UDPEphemeral counts the unconnected UDP sockets on ephemeral ports. They have
	// no discovery rows by themselves.
	UDPEphemeral int `json:"udp_ephemeral"`
	// RemoteHosts counts the distinct remote addresses without loopback. The count
	// ends at [tally.MaxRemoteHosts], here and below.
	RemoteHosts int `json:"remote_hosts"`
}

// A Coverage is the account of sessions without a known owner, by reason.
type Coverage struct {
	Owned     int `json:"owned"`
	Ownerless int `json:"ownerless"`
	// Hidden counts sessions held by a process we may not look into.
	Hidden int `json:"hidden"`
	// Reasons count the ownerless by reason. Every reason has its key: kernel,
	// accept_queue, in_flight, orphan, hidden, raced, unheld.
	Reasons map[string]int `json:"reasons"`
	// ProcessesHidden and NamespacesHidden count those we could not look into, at
	// least 1 if their number is unknown.
	ProcessesHidden  int `json:"processes_hidden"`
	NamespacesHidden int `json:"namespaces_hidden"`
}

// Discovery holds the arrays of low-level discovery. They hold stable facts only
// (no PID, no counter) and are sorted, so 'discard unchanged' works.
type Discovery struct {
	Listeners []ListenerRow `json:"listeners"`
	Processes []ProcessRow  `json:"processes"`
}

// Absent are the values of a missing listener and of a missing process.
type Absent struct {
	Listener Listener `json:"listener"`
	Process  Process  `json:"process"`
}

// A ListenerRow is one listener. An SO_REUSEPORT group of one process is one.
//
// Text chosen by a process is made safe by [Safe]. Empty: unknown or not there.
type ListenerRow struct {
	// ID has 12 hexadecimal digits.
	ID string `json:"{#WHOSE.ID}"`
	// Proto is "tcp" (MPTCP too), "udp" or "udplite".
	Proto string `json:"{#WHOSE.PROTO}"`
	// Addr is "0.0.0.0", "::", "127.0.0.1", "fe80::1%eth0", …
	Addr string `json:"{#WHOSE.ADDR}"`
	Port string `json:"{#WHOSE.PORT}"`
	// NetNS is empty for the host's own namespace, else its name in `ip netns`, the
	// pod, the container's name or id, or the inode number.
	NetNS string `json:"{#WHOSE.NETNS}"`
	// Process is the name of its longest holder, so workers may come and go.
	// "[kernel]" is a socket of the kernel, "?" a process without a name. Empty:
	// hidden.
	Process string `json:"{#WHOSE.PROCESS}"`
	// User is the user of this process or, if no process is known, of the socket.
	User string `json:"{#WHOSE.USER}"`
	// Unit is the systemd unit, with * for the part new at each start:
	// "nginx.service", "session-*.scope".
	Unit      string `json:"{#WHOSE.UNIT}"`
	Container string `json:"{#WHOSE.CONTAINER}"`
	ContainerNames
	// Ephemeral is "1" for a UDP port of the host's ephemeral range, "0" else.
	Ephemeral string `json:"{#WHOSE.EPHEMERAL}"`
}

// A ProcessRow is all processes of one name, unit, container and user. Process
// is empty if the owner is hidden and only its unit or container is known.
type ProcessRow struct {
	ID        string `json:"{#WHOSE.ID}"`
	Process   string `json:"{#WHOSE.PROCESS}"`
	Unit      string `json:"{#WHOSE.UNIT}"`
	Container string `json:"{#WHOSE.CONTAINER}"`
	User      string `json:"{#WHOSE.USER}"`
	ContainerNames
}

// ContainerNames are the names of the container of a row, of its image and of its
// Kubernetes pod. Those that are not known have no macro. They are no part of the
// row's id.
type ContainerNames struct {
	Name         string `json:"{#WHOSE.CONTAINER_NAME},omitempty"`
	Image        string `json:"{#WHOSE.IMAGE},omitempty"`
	Pod          string `json:"{#WHOSE.POD_NAME},omitempty"`
	PodNamespace string `json:"{#WHOSE.POD_NAMESPACE},omitempty"`
}

// A Listener holds the values of one listener.
type Listener struct {
	// Sockets of the group.
	Sockets int `json:"sockets"`
	// Holders names the current holders in order: "nginx", "sshd, systemd".
	Holders     string `json:"holders"`
	Established int    `json:"established"`
	CloseWait   int    `json:"close_wait"`
	SynRecv     int    `json:"syn_recv"`
	TimeWait    int    `json:"time_wait"`
	// Queue is the number of connections waiting to be accepted, QueueLimit their
	// limit, QueueUsed the used part in percent for the fullest socket. All are 0
	// for UDP. QueueLimit and QueueUsed are nil if the source does not know the
	// limit, as procfs.
	Queue      uint64   `json:"queue"`
	QueueLimit *uint64  `json:"queue_limit,omitempty"`
	QueueUsed  *float64 `json:"queue_used,omitempty"`
	// RemoteHosts counts the distinct remote addresses.
	RemoteHosts int `json:"remote_hosts"`
}

// A Process holds the values of all processes of one row.
type Process struct {
	// Processes counts them, 0 if they are hidden.
	Processes int `json:"processes"`
	// Sessions counts their sessions. A session of several of them counts once.
	Sessions    int `json:"sessions"`
	Listening   int `json:"listening"`
	Established int `json:"established"`
	CloseWait   int `json:"close_wait"`
	// TimeWait counts sessions in TIME_WAIT accepted by a listener of the
	// processes. Nobody holds them any more; Sessions does not count them.
	TimeWait int `json:"time_wait"`
	SynSent  int `json:"syn_sent"`
	// Other counts TCP sessions in another state.
	Other int `json:"other"`
	UDP   int `json:"udp"`
	// In and Out count the TCP sessions by direction.
	In  int `json:"in"`
	Out int `json:"out"`
	// RemoteHosts counts the distinct remote addresses without loopback.
	RemoteHosts int `json:"remote_hosts"`
}
