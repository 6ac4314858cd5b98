package zabbix

// Schema names the form of the document. It changes when a key changes its
// meaning or goes; new keys do not change it.
const Schema = "whose-zabbix-v1"

// A Document is what `whose zabbix get` prints: aggregates of one collection.
// Keys of Listeners and Processes are the ids of the discovery rows, so that an
// item's JSONPath is $.listeners.ID.established whatever a process calls itself.
type Document struct {
	// Schema is the constant of that name; Version that of whose.
	Schema  string `json:"schema"`
	Version string `json:"version"`
	// Source is "bpf", "netlink" or "procfs"; Pinned tells of a pinned iterator.
	Source string `json:"source"`
	Pinned bool   `json:"pinned"`
	// Duration of the collection in seconds.
	Duration float64 `json:"duration"`
	// Complete is false where something is missing that would have been told;
	// Reasons say what, each in one line.
	Complete bool     `json:"complete"`
	Reasons  []string `json:"reasons"`
	// Truncated counts listeners and processes that were left out for size.
	Truncated int `json:"truncated"`
	// Totals of all sessions.
	Totals Totals `json:"totals"`
	// Coverage is the account of sessions without known owners.
	Coverage Coverage `json:"coverage"`
	// Discovery holds what low-level discovery reads.
	Discovery Discovery `json:"discovery"`
	// Listeners and Processes by the ids of their discovery rows.
	Listeners map[string]Listener `json:"listeners"`
	Processes map[string]Process  `json:"processes"`
}

// Totals count all sessions of the host.
type Totals struct {
	Sessions int `json:"sessions"`
	// TCP and UDP count by state, in lower case: established, listen,
	// time_wait, … Every state has its key, with 0 where there is none.
	TCP map[string]int `json:"tcp"`
	UDP map[string]int `json:"udp"`
	// In and Out count the TCP sessions by direction; listeners are neither.
	In  int `json:"in"`
	Out int `json:"out"`
	// Listeners and Processes count the rows before any was left out.
	Listeners int `json:"listeners"`
	Processes int `json:"processes"`
	// RemoteHosts counts the distinct remote addresses, loopback left out.
	RemoteHosts int `json:"remote_hosts"`
}

// A Coverage is the account of what has no known owner, and why.
type Coverage struct {
	Owned     int `json:"owned"`
	Ownerless int `json:"ownerless"`
	// Hidden counts sessions that a process holds that we may not look into.
	Hidden int `json:"hidden"`
	// Reasons count the ownerless by reason; every reason has its key.
	Reasons map[string]int `json:"reasons"`
	// ProcessesHidden and NamespacesHidden count what could not be looked into.
	ProcessesHidden  int `json:"processes_hidden"`
	NamespacesHidden int `json:"namespaces_hidden"`
}

// Discovery holds the arrays of low-level discovery: stable facts only (no
// PID, no counter), sorted, so that 'discard unchanged' works.
type Discovery struct {
	Listeners []ListenerRow `json:"listeners"`
	Processes []ProcessRow  `json:"processes"`
}

// A ListenerRow is one listener: an SO_REUSEPORT group of the same process is one.
type ListenerRow struct {
	ID        string `json:"{#WHOSE.ID}"`
	Proto     string `json:"{#WHOSE.PROTO}"`
	Addr      string `json:"{#WHOSE.ADDR}"`
	Port      string `json:"{#WHOSE.PORT}"`
	NetNS     string `json:"{#WHOSE.NETNS}"`
	Process   string `json:"{#WHOSE.PROCESS}"`
	User      string `json:"{#WHOSE.USER}"`
	Unit      string `json:"{#WHOSE.UNIT}"`
	Container string `json:"{#WHOSE.CONTAINER}"`
	// Ephemeral is "1" for a UDP port of the host's ephemeral range, "0" else.
	Ephemeral string `json:"{#WHOSE.EPHEMERAL}"`
}

// A ProcessRow is all processes of one name, unit and user.
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
	Sockets     int `json:"sockets"`
	Established int `json:"established"`
	CloseWait   int `json:"close_wait"`
	SynRecv     int `json:"syn_recv"`
	TimeWait    int `json:"time_wait"`
	// Queue is how many connections wait to be accepted, QueueLimit how many
	// may, QueueUsed the part of it in percent of the fullest socket.
	Queue      uint64  `json:"queue"`
	QueueLimit uint64  `json:"queue_limit"`
	QueueUsed  float64 `json:"queue_used"`
	// RemoteHosts counts the distinct remote addresses.
	RemoteHosts int `json:"remote_hosts"`
}

// A Process holds the values of all processes of one row.
type Process struct {
	// Processes counts them.
	Processes   int `json:"processes"`
	Sessions    int `json:"sessions"`
	Listening   int `json:"listening"`
	Established int `json:"established"`
	CloseWait   int `json:"close_wait"`
	TimeWait    int `json:"time_wait"`
	SynSent     int `json:"syn_sent"`
	// Other counts TCP sessions in another state.
	Other int `json:"other"`
	UDP   int `json:"udp"`
	In    int `json:"in"`
	Out   int `json:"out"`
	// RemoteHosts counts the distinct remote addresses, loopback left out.
	RemoteHosts int `json:"remote_hosts"`
}
