package zabbix

import "strings"

// A Scope is the subject of an item.
type Scope uint8

// The scopes. The zero value is the whole host.
const (
	// OfHost: the host, one value in the document.
	OfHost Scope = iota
	// OfListener: each discovered listener.
	OfListener
	// OfProcess: each discovered row of processes.
	OfProcess
)

// A ValueType is a type of values by its name in templates.
type ValueType string

// The types of values. The zero value is a whole number.
const (
	Unsigned ValueType = ""
	Float    ValueType = "FLOAT"
	Char     ValueType = "CHAR"
	Text     ValueType = "TEXT"
)

// A Step is one step of preprocessing after the JSONPath, by its names in
// templates.
type Step struct {
	Type   string
	Params []string
}

// An Item is one row of the table of items: a value of the document, with its
// settings in Zabbix. Templates, the tables of the README and the values for
// zabbix_sender are loops over [Items].
type Item struct {
	// Of is the subject.
	Of Scope
	// Key is the key in Zabbix. For a listener or a process the id of its row
	// follows: whose.listener.sockets["ID"].
	Key string
	// Name is the name for a person. For a listener or a process the name of its
	// row comes first.
	Name string
	// Path are the keys of the value in the document, or in the object of its row.
	Path []string
	// Type is the type of values.
	Type ValueType
	// Units of the values in the spelling of Zabbix. Empty for a plain number.
	Units string
	// ValueMap names the value map, empty for none.
	ValueMap string
	// Steps follow the JSONPath.
	Steps []Step
	// Heartbeat lets Zabbix drop unchanged values, except one in this time. Empty:
	// none is dropped. It is not for items in windows of a trigger.
	Heartbeat string
	// TCPOnly: UDP listeners have no such value.
	TCPOnly bool
	// Off keeps the prototype in the template, for users to switch on. The cost of
	// discovery for the server rises faster than the number of items below one
	// master item, so few are on.
	Off bool
	// Component is the value of the tag "component".
	Component string
	// About says what it is and how to use it.
	About string
}

// The heartbeats of rarely changing values.
const (
	hourly = "1h"
	// After this time unchanged rows are read again: the server notices rows long
	// gone and mends its misses.
	rediscover = "15m"
	daily      = "1d"
)

// Value maps by name.
const (
	mapYesNo    = "whose yes or no"
	mapComplete = "whose completeness"
)

// Items is the table of items: all values of the document read by a template.
func Items() []Item {
	var all []Item
	for _, part := range [][]Item{totalItems(), stateItems(), coverageItems(), collectionItems(), listenerItems(), processItems()} {
		all = append(all, part...)
	}
	return all
}

func totalItems() []Item {
	return []Item{
		{Key: "whose.sessions", Name: "Sessions", Path: []string{"totals", "sessions"}, Component: "sessions",
			About: "All TCP and UDP sockets of the host, in all network namespaces that could be seen, in every state."},
		{Key: "whose.sessions.in", Name: "Sessions: Incoming", Path: []string{"totals", "in"}, Component: "sessions",
			About: "TCP sessions that a listener of this host accepted."},
		{Key: "whose.sessions.out", Name: "Sessions: Outgoing", Path: []string{"totals", "out"}, Component: "sessions",
			About: "TCP sessions that this host began."},
		{Key: "whose.remote_hosts", Name: "Sessions: Remote hosts", Path: []string{"totals", "remote_hosts"}, Component: "sessions",
			About: "Distinct remote addresses of all sessions, loopback left out."},
		{Key: "whose.listeners", Name: "Listeners", Path: []string{"totals", "listeners"}, Component: "sessions",
			About: "Listeners of the host before any filter of the template: TCP listeners and bound UDP sockets, those of one process on one address and port counted once."},
		{Key: "whose.processes", Name: "Processes with sessions", Path: []string{"totals", "processes"}, Component: "sessions",
			About: "Rows of processes that have sessions, before any filter of the template; processes of one name, unit and user are one row."},
	}
}

// tcpStates are the states with an item, by their key in the document.
func tcpStates() [][2]string {
	return [][2]string{
		{"established", "Connections in use."},
		{"listen", "Sockets that accept connections."},
		{"time_wait", "Connections closed by this side that the kernel keeps for a minute. Many are normal on a client or proxy that connects anew for each request; keep-alive makes them fewer."},
		{"close_wait", "Connections that the other side closed and the local process has not. They should be gone in moments: a number that only rises is a process that forgets to close. The process has an item of its own."},
		{"syn_sent", "Connections that this host is trying to make. Many: what they are for does not answer, or a firewall drops them."},
		{"syn_recv", "Connections whose handshake is not complete. Many: clients that do not answer, or a SYN flood."},
		{"fin_wait1", "Closed here, the other side has not confirmed it. Many: the other side is gone or does not read."},
		{"fin_wait2", "Closed here and confirmed, the other side has not closed its half."},
		{"last_ack", "Closed by both sides, the last confirmation is missing."},
		{"closing", "Closed by both sides at the same moment."},
		{"close", "Not connected."},
	}
}

func stateItems() []Item {
	var items []Item
	for _, s := range tcpStates() {
		items = append(items, Item{
			Key: "whose.tcp[" + s[0] + "]", Name: "TCP: " + strings.ToUpper(s[0]), Path: []string{"totals", "tcp", s[0]},
			Component: "tcp", About: s[1],
		})
	}
	return append(items,
		Item{Key: "whose.udp[unconn]", Name: "UDP: Bound", Path: []string{"totals", "udp", "unconn"}, Component: "udp",
			About: "UDP sockets that are bound and not connected, which receive from anybody."},
		Item{Key: "whose.udp[established]", Name: "UDP: Connected", Path: []string{"totals", "udp", "established"}, Component: "udp",
			About: "UDP sockets that are connected to one remote address."},
		Item{Key: "whose.udp.ephemeral", Name: "UDP: On ephemeral ports", Path: []string{"totals", "udp_ephemeral"}, Component: "udp",
			About: "Bound UDP sockets on ports that the kernel chose, such as those of resolvers. They are counted here and have no discovery row of their own."},
	)
}

func coverageItems() []Item {
	items := []Item{
		{Key: "whose.owned", Name: "Owners: Known", Path: []string{"coverage", "owned"}, Component: "owners",
			About: "Sessions whose owning process is known."},
		{Key: "whose.hidden", Name: "Owners: Hidden", Path: []string{"coverage", "hidden"}, Component: "owners",
			About: "Sessions held by a process that whose was not permitted to look into. With a pin for the agent's group there are none; many mean that the permission is missing or was lost."},
		{Key: "whose.hidden.processes", Name: "Owners: Processes not looked into", Path: []string{"coverage", "processes_hidden"}, Component: "owners", Heartbeat: hourly,
			About: "Processes whose descriptors could not be read."},
		{Key: "whose.hidden.namespaces", Name: "Owners: Namespaces not looked into", Path: []string{"coverage", "namespaces_hidden"}, Component: "owners", Heartbeat: hourly,
			About: "Network namespaces that could not be entered: sessions in them are not counted at all."},
	}
	for _, r := range [][3]string{
		{"orphan", "Orphaned", "Closed by their process and still being wound up by the kernel: TIME_WAIT, SYN_RECV and the like."},
		{"accept_queue", "In accept queues", "Complete connections that their listener has not accepted yet."},
		{"kernel", "Of the kernel", "Sockets that the kernel made for itself, such as those of WireGuard, NFS or VXLAN."},
		{"in_flight", "In flight", "Sockets in transit over a UNIX socket, or held by io_uring only."},
		{"unheld", "Held by nobody found", "No process has them, and the source cannot tell whether they are the kernel's own or in flight."},
		{"raced", "Gone meanwhile", "Sessions that went while whose looked for their owner."},
	} {
		items = append(items, Item{
			Key: "whose.ownerless[" + r[0] + "]", Name: "Owners: " + r[1], Path: []string{"coverage", "reasons", r[0]},
			Component: "owners", Heartbeat: hourly, About: "Sessions that no process holds. " + r[2],
		})
	}
	return items
}

func collectionItems() []Item {
	flag := []Step{{Type: "BOOL_TO_DECIMAL", Params: []string{""}}}
	return []Item{
		{Key: "whose.collection.duration", Name: "Collection: Duration", Path: []string{"duration"}, Type: Float, Units: "s", Component: "collection",
			About: "How long the collection took. It ends by its own deadline, 2.5 s unless the agent's configuration says otherwise, below the item's timeout."},
		{Key: "whose.collection.complete", Name: "Collection: Completeness", Path: []string{"complete"}, ValueMap: mapComplete, Steps: flag, Component: "collection",
			About: "Whether anything is missing that would have been told: by the deadline, by permission, by size. What, is in the gaps."},
		{Key: "whose.collection.partial", Name: "Collection: Gaps", Path: []string{"partial"}, Type: Text, Component: "collection", Heartbeat: hourly,
			Steps: []Step{{"JAVASCRIPT", []string{`return JSON.parse(value).map(function (gap) { return gap.why; }).join("; ");`}}},
			About: "What is missing, hidden owners too, and why. Empty: nothing is."},
		{Key: "whose.collection.truncated", Name: "Collection: Rows left out", Path: []string{"truncated"}, Component: "collection",
			About: "Listeners and processes that were left out so that the document stays below what agents cut. The largest are kept; the totals count all."},
		{Key: "whose.collection.source", Name: "Collection: Source", Path: []string{"source"}, Type: Char, Component: "collection", Heartbeat: daily,
			About: "How the kernel was asked: bpf, netlink or procfs."},
		{Key: "whose.collection.pinned", Name: "Collection: Through a pin", Path: []string{"pinned"}, ValueMap: mapYesNo, Steps: flag, Component: "collection", Heartbeat: daily,
			About: "Whether pinned iterators answered (whose pin). They show all owners without privilege."},
		{Key: "whose.version", Name: "Collection: Version of whose", Path: []string{"version"}, Type: Char, Component: "collection", Heartbeat: daily,
			About: "The version of whose on the host."},
	}
}

func listenerItems() []Item {
	item := func(key, name, about string) Item {
		return Item{Of: OfListener, Key: "whose.listener." + key, Name: name, Path: []string{key}, Component: "listener", About: about}
	}
	holders := item("holders", "Holders", "Who has it open now. A master and its workers, or systemd and the service that it handed the socket to, are named together.")
	holders.Type, holders.Heartbeat = Char, hourly
	sockets := item("sockets", "Sockets", "Sockets of the listener, more than one in an SO_REUSEPORT group. 0: it is gone.")
	established := item("established", "Established", "Connections in use that came in through it.")
	closeWait := item("close_wait", "CLOSE_WAIT", "Connections that the client closed and the process has not.")
	hosts := item("remote_hosts", "Remote hosts", "Distinct addresses that connections came from.")
	queue := item("queue", "Accept queue", "Connections that wait for the process to accept them.")
	limit := item("queue_limit", "Accept queue limit", "How many may wait, beyond which the kernel drops connections: the smaller of the process's backlog and net.core.somaxconn. No value where the source is procfs, which cannot tell.")
	used := item("queue_used", "Accept queue used", "The part of the accept queue that is in use, of the fullest socket.")
	synRecv := item("syn_recv", "SYN_RECV", "Handshakes that are not complete.")
	timeWait := item("time_wait", "TIME_WAIT", "Connections that this side closed and the kernel keeps for a minute.")
	used.Type, used.Units = Float, "%"
	closeWait.Heartbeat, limit.Heartbeat, hosts.Heartbeat = hourly, hourly, hourly
	queue.Heartbeat, synRecv.Heartbeat, timeWait.Heartbeat = hourly, hourly, hourly
	for _, i := range []*Item{&established, &closeWait, &hosts, &queue, &limit, &used, &synRecv, &timeWait} {
		i.TCPOnly = true
	}
	for _, i := range []*Item{&holders, &hosts, &queue, &limit, &synRecv, &timeWait} {
		i.Off = true
	}
	return []Item{sockets, holders, established, queue, limit, used, closeWait, synRecv, timeWait, hosts}
}

func processItems() []Item {
	item := func(key, name, heartbeat, about string) Item {
		return Item{Of: OfProcess, Key: "whose.process." + key, Name: name, Path: []string{key}, Heartbeat: heartbeat, Component: "process", About: about}
	}
	off := func(key, name, about string) Item {
		i := item(key, name, hourly, about)
		i.Off = true
		return i
	}
	return []Item{
		item("sessions", "Sessions", "", "All its sockets, TCP and UDP, in every state."),
		item("in", "Incoming", hourly, "TCP sessions that it accepted."),
		item("out", "Outgoing", hourly, "TCP sessions that it began."),
		item("close_wait", "CLOSE_WAIT", "", "Connections that the other side closed and it has not. A number that only rises is a leak of descriptors."),
		item("remote_hosts", "Remote hosts", "", "Distinct addresses that it talks to, loopback left out."),
		off("processes", "Processes", "Processes of this name, unit and user that have sessions."),
		off("established", "Established", "Connections in use."),
		off("time_wait", "TIME_WAIT", "Connections that came in by its listeners, were closed by it and are kept by the kernel for a minute. They are not counted in its sessions."),
		off("syn_sent", "SYN_SENT", "Connections that it is trying to make. Many: what it needs does not answer."),
		off("listening", "Listening", "Its sockets that wait for others."),
		off("udp", "UDP", "Its UDP sockets."),
	}
}
