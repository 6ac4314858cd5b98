package main

// The texts shared by --help, the man page and docs/cli.md, without those of
// single commands.

// filterWords is the filter language in a few lines.
var filterWords = []row{
	{":443", "port 443 on either side"},
	{"nginx", "a process by its name"},
	{"pid 812", "a process by its number"},
	{"10.0.0.0/8", "an address or prefix on either side"},
	{"tcp, listen, ipv6", "a protocol, state or family"},
	{"FIELD VALUE", "any field (see whose fields), also with = != < > in ~"},
	{"and or not ( )", "several of them; words side by side mean and"},
}

// mainFlags are the flags in --help. The topic flags has all of them.
var mainFlags = []row{
	{"-l, -e, -a", "listeners, established sessions, every state"},
	{"-t, -u, -4, -6", "TCP, UDP, IPv4, IPv6"},
	{"-o FORMAT", "wide, json, jsonl, csv, tsv"},
	{"--fields +NAME,…", "more columns: whose fields lists them"},
	{"--watch TIME", "show it again and again"},
}

// moreHelp points to the rest.
const moreHelp = "More: whose help flags, whose help filter, whose COMMAND --help."

// exitShort is the line of exit statuses in --help.
const exitShort = "0 found, 1 nothing matched, 2 usage, 3 could not collect, " +
	"4 something was not seen and --strict was given."

// exitStatuses are the long form.
var exitStatuses = []row{
	{"0", "At least one session matched, or one event came; any other command did its work."},
	{"1", "No session matched, or no event came until --for was over; of whose kill also: the answer was no."},
	{"2", "The command line is wrong: a flag, the filter, a field, a format or a template, " +
		"a user or network namespace that this host does not know. " +
		"The place is shown, with the nearest name that is right."},
	{"3", "The sessions could not be collected, the time ran out before one was found, " +
		"or the output could not be written; of whose kill also: something was not ended, and is named with the reason."},
	{"4", "With --strict: something could not be seen or attributed. What was seen has been written."},
	{"130", "Stopped by Ctrl-C, as the shell counts it, after the summary of whose watch --summary; 141 if the reader of the output went away."},
}

// environment lists the variables in use.
var environment = []row{
	{"COLUMNS", "The width to fit the table to, in place of the terminal's."},
	{"NO_COLOR", "If set and not empty, no colours unless --color always."},
	{"LC_ALL, LC_CTYPE, LANG", "Where the first one that is set names no UTF-8, tables, lines and messages are ASCII."},
	{"TERM", "Empty or dumb, no colours and no redrawing."},
	{"GOGC, GOMEMLIMIT", "If set, the pace of the garbage collector is left to them."},
}

// files lists the files in use.
var files = []row{
	{"/sys/fs/bpf/whose", "Where whose pin puts the iterators and where every command looks for them. " +
		"Permission to read them is permission to list every session of the host."},
	{"/etc/services", "The names of services, with --resolve."},
}

// wordNotes explain how words on the command line become a filter.
const wordNotes = `The words after the flags are one filter expression, whether they are quoted
together or not. Quote what the shell would take for itself: parentheses, quotes, < > | & ! and *.

A condition is a field, an operator and a value. The operators are = and !=, < <= > >= for
numbers, sizes and times with their units (50ms, 100KiB), in for one of several, a range or a
prefix, and ~ and !~ for regular expressions. Without an operator = is meant. Conditions are
joined by and, or, not and parentheses; side by side they mean and. The fields are listed below.

A word that is also the name of a command, as the first word, is the command.
To find a process of that name write "process count", or put -- in front of it.`

// optionNotes are too long to stand beside a flag.
var optionNotes = []row{
	{"States", "By itself whose shows LISTEN, ESTABLISHED and UNCONN, and says at a terminal how many sessions there are " +
		"in other states. A filter that names a process, a PID, a user, an address, a port or the like asks for every state " +
		"(docs/filter.md has the rule), and so does one with a state in it. -l and -e together show both; -a shows all whatever else is given."},
	{"Protocols", "-t takes MPTCP for TCP, and -u takes UDP-Lite for UDP; the field proto tells them apart. " +
		"Neither of them means both, as do -4 and -6. An IPv6 socket that carries IPv4 is of the family IPv6 " +
		"and is shown with its IPv4 addresses."},
	{"Flags of lsof", "-i :443, -i TCP@10.0.0.1:80, -c nginx, -p 812, -u root and -sTCP:LISTEN are read as words of the filter, " +
		"where their value can be nothing else. -t with -i is refused: lsof prints PIDs alone by it, as --pids does here."},
	{"Network namespaces", "All that you may see, those without a process too. The name is that of ip netns, " +
		"of the pod, container or service in it or of a process that is in it. The host's is host, seen from another. -N takes any of them."},
	{"Containers", "container NAME and container ID find the processes in one: the names are in files of Docker, Podman, containerd, " +
		"CRI-O and the kubelet that root may read. --fields +container_name,image,pod_name,pod_namespace shows them."},
	{"NETNS", "The table has this column if a row is of another network namespace than that of whose itself, which is " +
		"also the one of -N self. The own is blank. --fields +netns,netns_name shows the number and the name of each."},
	{"Local sessions", "In the table at a terminal both ends of a session of this host are one row, that of the side that began it, " +
		"and rows that differ in the port of that side alone are one, with the range of these ports and their number: " +
		"app 178 → postgres 151  ×5. Ends that differ in state, network namespace, device or mark, that wait in an accept queue " +
		"or have hidden owners stay apart, and the filter comes first: an end that matches alone is shown. " +
		"--unfold shows each end. To a pipe or a file, as for grep or wc -l, with -o wide and with --fields each end is a row, and no format for programs ever folds."},
	{"Width", "Table and wide fit the terminal, or COLUMNS. USER goes first; states, protocols, names and at last addresses " +
		"are shortened; NETNS is the last column to go. Numbers of processes and ports are never cut: nginx 812 +7 " +
		"is process 812 and seven more. To a pipe or a file nothing is shortened.",
	},
	{"Other ends", "Where the other end of a session is on this host, its owners are named too. Not where certain " +
		"processes are asked for by number (pid 812): the other end may be anybody's, and to find its owners every " +
		"process would have to be looked into. --fields +peer_pid asks for them all the same, and a name " +
		"(process nginx) always shows them."},
	{"Order", "Listeners first, then by process, pid, protocol and local port, unless --sort is given."},
	{"--fields", "NAME,NAME shows these and no others. With a + before the first name they are shown " +
		"beside what the format shows by itself: --fields +rtt,unit is the usual table with two columns more."},
	{"--template", "Executed for each session. whose help template tells of the names and functions."},
	{"-o json", "One object with the sessions and the coverage: what could not be seen, and why. " +
		"-o jsonl writes one session a line and nothing else, -o pytcpprocess one object for each owner."},
	{"--resolve", "Asks the resolver of this host for the names of all remote addresses at once and shows those " +
		"that are known when the time is up. The DNS of the other side chooses the names. Tables only, and whose watch, " +
		"where a line waits a tenth of a second at most for the name of an address that is new."},
	{"--watch", "Redraws the table until Ctrl-C, as many sessions as there are lines; with -o jsonl writes " +
		"every pass. A number without unit means seconds, here and with the other times."},
	{"--one-owner", "Stops looking when every session has an owner, which is faster without bpf. " +
		"A session may then have more owners than are named."},
}

// templateNotes introduce --template.
const templateNotes = `--template TEXT writes each session by a template of Go (pkg.go.dev/text/template). Its
data are the fields by their names in JSON, a field without a value being "". Only the
fields that it names are collected. Text is made safe for a terminal, unless it goes through raw.`

// templateExamples are examples of --template.
var templateExamples = []row{
	{"{{endpoint .local_addr .local_port}} {{owners .owners}}", "an end and who has it"},
	{"{{range .owners}}{{.pid}} {{.comm}}{{\"\\n\"}}{{end}}", "a line for each owner"},
	{"{{.state}} {{json .owners}}", "the state, and the owners as JSON"},
}

// privileges describe the privileges needed by whose.
const privileges = `Without privilege, whose shows every session of the network namespaces that it can
reach and the owners of your own processes, and says how many processes it could not look into.
With a pinned iterator that you may read (see whose pin) it shows every session of every
namespace with all its owners. As root, or with CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE and
CAP_SYS_ADMIN, it needs no pin for that. whose doctor says what works here and what is missing.

A pin is of no use to whose watch: root, or CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_ADMIN
let it follow by BPF. Without them it follows by netlink and by snapshots, and names the gaps in a
line on stderr.`

// seeAlso names related manual pages.
const seeAlso = "ss(8), lsof(8), proc_net(5), sock_diag(7), bpf(2), ip-netns(8)"
