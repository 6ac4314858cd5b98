package zabbix

// A Macro is one row of the table of macros.
type Macro struct {
	Name, Value string
	// About is its purpose.
	About string
}

// intervalMacro is the macro of the master item's interval.
const intervalMacro = "{$WHOSE.INTERVAL}"

// Macros is the table of macros of the template.
func Macros() []Macro {
	var all []Macro
	for _, part := range [][]Macro{collectionMacros(), filterMacros(), triggerMacros()} {
		all = append(all, part...)
	}
	return all
}

func collectionMacros() []Macro {
	return []Macro{
		{intervalMacro, "1m", "How often to collect."},
		{"{$WHOSE.LISTEN.KEEP}", "7d", "How long a listener that is gone keeps its items and history."},
		{"{$WHOSE.PROC.KEEP}", "1d", "How long a process without sessions keeps its items and history."},
	}
}

// nothing matches no likely name on a host.
const nothing = "CHANGE_IF_NEEDED"

func filterMacros() []Macro {
	pair := func(what, not, rows, fact string) []Macro {
		return []Macro{
			{"{$WHOSE." + what + ".MATCHES}", ".*", "Discover only " + rows + " whose " + fact + " matches this regular expression."},
			{"{$WHOSE." + what + ".NOT_MATCHES}", not, "Leave out " + rows + " whose " + fact + " matches this regular expression."},
		}
	}
	var all []Macro
	for _, part := range [][]Macro{
		pair("LISTEN.PROTO", nothing, "listeners", "protocol (tcp, udp, udplite)"),
		pair("LISTEN.ADDR", nothing, "listeners", "address"),
		pair("LISTEN.PORT", nothing, "listeners", "port"),
		pair("LISTEN.PROCESS", nothing, "listeners", "process"),
		pair("LISTEN.USER", nothing, "listeners", "user"),
		pair("LISTEN.NETNS", nothing, "listeners", "network namespace (empty: the host's own)"),
		pair("LISTEN.EPHEMERAL", "^1$", "listeners", "mark for ephemeral UDP ports (1 or 0; the UserParameter has to ask for them by --ephemeral)"),
		pair("PROC.PROCESS", nothing, "processes", "name"),
		pair("PROC.USER", nothing, "processes", "user"),
		pair("PROC.UNIT", nothing, "processes", "systemd unit"),
		pair("PROC.CONTAINER", nothing, "processes", "container (empty: none)"),
	} {
		all = append(all, part...)
	}
	return all
}

func triggerMacros() []Macro {
	return []Macro{
		{"{$WHOSE.NODATA}", "5m", "Without data for so long, the trigger 'No data' fires."},
		{"{$WHOSE.DURATION.MAX}", "1.5", "Seconds that a collection may take."},
		{"{$WHOSE.HIDDEN.MAX}", "0", "Sessions whose owner may be hidden."},
		{"{$WHOSE.PERIOD}", "10m", "How long something has to last before triggers on sessions, CLOSE_WAIT and remote hosts fire."},
		{"{$WHOSE.LISTEN.WATCH}", "0", `1: a listener that is gone is a problem. Context: the port, as in {$WHOSE.LISTEN.WATCH:"443"} or {$WHOSE.LISTEN.WATCH:regex:"^(22|443)$"}.`},
		{"{$WHOSE.LISTEN.NEW}", "1", "1: a listener that was not there before is told. Context: the port."},
		{"{$WHOSE.LISTEN.NEW.PERIOD}", "1h", "How long a listener is called new."},
		{"{$WHOSE.QUEUE.MAX.WARN}", "50", "Percent of the accept queue in use that is a warning. Context: the port."},
		{"{$WHOSE.QUEUE.MAX.HIGH}", "95", "Percent of the accept queue in use at which it is called full. Context: the port."},
		{"{$WHOSE.SESSIONS.MAX}", "10000", "Established connections that a listener may have. Context: the port."},
		{"{$WHOSE.PROC.SESSIONS.MAX}", "20000", "Sessions that the processes of a row may have. Context: the process."},
		{"{$WHOSE.CLOSE_WAIT.MAX}", "20", "Connections in CLOSE_WAIT that a process may have, growing or not. Context: the process."},
		{"{$WHOSE.HOSTS.MIN}", "100", "Remote hosts that are never unusual. Context: the process."},
		{"{$WHOSE.HOSTS.FACTOR}", "3", "How many times the usual number is unusual. Context: the process."},
		{"{$WHOSE.HOSTS.BASE}", "4h", "The time whose average is usual."},
	}
}
