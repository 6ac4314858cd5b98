package zabbix

import (
	"slices"
	"strings"
)

// A Trigger is one row of the table of triggers.
type Trigger struct {
	// Of is its subject. Its items are of the same scope, or of the host.
	Of Scope
	// ID is its name in After of other triggers.
	ID string
	// Name is the name for a person, after the name of its subject.
	Name string
	// Expression is the condition, with keys for items: last(/whose.sessions)>1.
	// The key of a listener or process ends in [ID].
	Expression string
	// Recovery is the condition for its end, if other than the end of Expression.
	Recovery string
	// Data is shown beside the problem.
	Data string
	// Severity as Zabbix names it: INFO, WARNING, AVERAGE, HIGH.
	Severity string
	// Scope is the value of the tag "scope".
	Scope string
	// After names the triggers silencing it.
	After []string
	// Manual lets a person close the problem.
	Manual bool
	// About describes the event; Do advises a person.
	About, Do string
}

// Triggers is the table of triggers.
func Triggers() []Trigger {
	var all []Trigger
	for _, part := range [][]Trigger{hostTriggers(), listenerTriggers(), processTriggers()} {
		all = append(all, part...)
	}
	return all
}

func hostTriggers() []Trigger {
	return []Trigger{
		{ID: "nodata", Name: "No data for {$WHOSE.NODATA}", Severity: "AVERAGE", Scope: "availability", Manual: true,
			Expression: "nodata(/whose.sessions,{$WHOSE.NODATA})=1",
			About:      "No count of sessions arrived: the agent does not answer, its configuration lacks the UserParameter, whose is not installed where that says, or it could collect nothing.",
			Do:         "Ask the agent: zabbix_get -s HOST -k whose.get. It prints one JSON document, and a reason in it where nothing could be collected. On the host, as the agent's user: whose doctor --zabbix."},
		{ID: "hidden", Name: "Owners are hidden", Severity: "WARNING", Scope: "security", Manual: true, After: []string{"nodata"},
			Expression: "min(/whose.hidden,#3)>{$WHOSE.HIDDEN.MAX}", Data: "Hidden: {ITEM.LASTVALUE1}",
			About: "More than {$WHOSE.HIDDEN.MAX} sessions are held by processes that whose may not look into: the permission is missing or was lost. Totals are right; listeners and processes are not told by their owner.",
			Do:    "Pin the iterators again: systemctl restart whose-pin.service. Where whose is not meant to see all owners, raise {$WHOSE.HIDDEN.MAX}."},
		{ID: "incomplete", Name: "Collection is not complete", Severity: "WARNING", Scope: "availability", Manual: true, After: []string{"nodata"},
			Expression: "max(/whose.collection.complete,#3)=0 and length(last(/whose.collection.partial))>=0", Data: "{ITEM.LASTVALUE2}",
			About: "The last three collections missed something that they would have told. Values of listeners and processes are kept as they were where the time ran out.",
			Do:    "Read the item 'Collection: Gaps'. Where the time ran out: pin the iterators, which makes the collection many times faster, or raise --timeout in the agent's configuration together with the item's timeout."},
		{ID: "slow", Name: "Collection is slow", Severity: "WARNING", Scope: "performance", Manual: true, After: []string{"nodata", "incomplete"},
			Expression: "min(/whose.collection.duration,#3)>{$WHOSE.DURATION.MAX}", Data: "Duration: {ITEM.LASTVALUE1}",
			About: "The last three collections took longer than {$WHOSE.DURATION.MAX} s and come near the deadline.",
			Do:    "See whether the host is short of CPU. Pin the iterators where 'Collection: Through a pin' says No."},
		{ID: "truncated", Name: "Listeners or processes are left out for size", Severity: "INFO", Scope: "notice", Manual: true, After: []string{"nodata"},
			Expression: "min(/whose.collection.truncated,#3)>0", Data: "Left out: {ITEM.LASTVALUE1}",
			About: "The host has more listeners and processes than a document holds that every agent passes whole. The largest are kept, the totals count all; those left out read as 0.",
			Do:    "Nothing is wrong with the host. Ask for what you need with the item whose.count[FILTER]."},
	}
}

func listenerTriggers() []Trigger {
	return []Trigger{
		{Of: OfListener, ID: "gone", Name: "Is gone", Severity: "HIGH", Scope: "availability", After: []string{"hidden"},
			Expression: `max(/whose.listener.sockets[ID],#3)=0 and {$WHOSE.LISTEN.WATCH:"{#WHOSE.PORT}"}=1 and last(/whose.hidden)<={$WHOSE.HIDDEN.MAX} and last(/whose.collection.truncated)=0`,
			About:      `No socket listens there any more, three collections in a row. Only for ports with {$WHOSE.LISTEN.WATCH:"PORT"} set to 1.`,
			Do:         "Start the service again; its log says why it ended. If it ended on purpose, set the macro back to 0."},
		{Of: OfListener, ID: "new", Name: "Is new", Severity: "INFO", Scope: "security", Manual: true, After: []string{"hidden"},
			Expression: `count(/whose.listener.sockets[ID],#1:now-{$WHOSE.LISTEN.NEW.PERIOD})=0 and last(/whose.listener.sockets[ID])>0 and {$WHOSE.LISTEN.NEW:"{#WHOSE.PORT}"}=1 and count(/whose.sessions,#1:now-{$WHOSE.LISTEN.NEW.PERIOD}-{$WHOSE.LISTEN.NEW.PERIOD})>0 and last(/whose.hidden)<={$WHOSE.HIDDEN.MAX}`,
			About:      "It was not there {$WHOSE.LISTEN.NEW.PERIOD} ago, nor in the time for which gone listeners are kept. Closes by itself after that period. Quiet while the template is new on the host, for twice the period.",
			Do:         "See whether somebody meant to open it. On the host: whose :{#WHOSE.PORT}."},
		{Of: OfListener, ID: "queue.full", Name: "Accept queue is full", Severity: "AVERAGE", Scope: "performance",
			Expression: `min(/whose.listener.queue_used[ID],#2)>={$WHOSE.QUEUE.MAX.HIGH:"{#WHOSE.PORT}"}`, Data: "Used: {ITEM.LASTVALUE1}",
			About: "Connections wait to be accepted, and there is no room for more: the kernel drops new ones, clients see timeouts.",
			Do:    "The process does not accept: it hangs, or has no free worker or descriptor. Look at it first; raise its backlog and net.core.somaxconn only where bursts are normal."},
		{Of: OfListener, ID: "queue", Name: "Accept queue is filling", Severity: "WARNING", Scope: "performance", After: []string{"queue.full"},
			Expression: `min(/whose.listener.queue_used[ID],#3)>{$WHOSE.QUEUE.MAX.WARN:"{#WHOSE.PORT}"}`, Data: "Used: {ITEM.LASTVALUE1}",
			About: `More than {$WHOSE.QUEUE.MAX.WARN:"{#WHOSE.PORT}"} % of the accept queue is in use in three collections: connections come faster than the process accepts them.`,
			Do:    "Give it more workers, or find what they wait for."},
		{Of: OfListener, ID: "sessions", Name: "Too many sessions", Severity: "WARNING", Scope: "capacity",
			Expression: `min(/whose.listener.established[ID],{$WHOSE.PERIOD})>{$WHOSE.SESSIONS.MAX:"{#WHOSE.PORT}"}`, Data: "Established: {ITEM.LASTVALUE1}",
			About: `More than {$WHOSE.SESSIONS.MAX:"{#WHOSE.PORT}"} connections for {$WHOSE.PERIOD}.`,
			Do:    "See who they are (whose count --by remote_addr), and whether the service is meant to hold so many. Limits by port are contexts of the macro."},
	}
}

func processTriggers() []Trigger {
	return []Trigger{
		{Of: OfProcess, ID: "close_wait", Name: "CLOSE_WAIT is growing", Severity: "WARNING", Scope: "performance", Manual: true,
			Expression: `min(/whose.process.close_wait[ID],{$WHOSE.PERIOD})>{$WHOSE.CLOSE_WAIT.MAX:"{#WHOSE.PROCESS}"} and min(/whose.process.close_wait[ID],{$WHOSE.PERIOD})>max(/whose.process.close_wait[ID],{$WHOSE.PERIOD}:now-{$WHOSE.PERIOD}-{$WHOSE.PERIOD})`,
			Recovery:   `last(/whose.process.close_wait[ID])<={$WHOSE.CLOSE_WAIT.MAX:"{#WHOSE.PROCESS}"}`, Data: "CLOSE_WAIT: {ITEM.LASTVALUE1}",
			About: "Connections that the other side closed and the process has not stay above what they were earlier. It leaks descriptors and will run out of them.",
			Do:    "On the host: whose 'process NAME and state close-wait' says to whom they were. Restart the service to win time, and report the leak to whoever makes it."},
		{Of: OfProcess, ID: "sessions", Name: "Too many sessions", Severity: "WARNING", Scope: "capacity",
			Expression: `min(/whose.process.sessions[ID],{$WHOSE.PERIOD})>{$WHOSE.PROC.SESSIONS.MAX:"{#WHOSE.PROCESS}"}`, Data: "Sessions: {ITEM.LASTVALUE1}",
			About: `More than {$WHOSE.PROC.SESSIONS.MAX:"{#WHOSE.PROCESS}"} sessions for {$WHOSE.PERIOD}.`,
			Do:    "See what they are (whose count --by state,remote_addr), and whether it is meant to hold so many. Limits by process are contexts of the macro."},
		{Of: OfProcess, ID: "hosts", Name: "Talks to unusually many hosts", Severity: "WARNING", Scope: "security", Manual: true,
			Expression: `min(/whose.process.remote_hosts[ID],{$WHOSE.PERIOD})>{$WHOSE.HOSTS.MIN:"{#WHOSE.PROCESS}"} and min(/whose.process.remote_hosts[ID],{$WHOSE.PERIOD})>{$WHOSE.HOSTS.FACTOR:"{#WHOSE.PROCESS}"}*avg(/whose.process.remote_hosts[ID],{$WHOSE.HOSTS.BASE}:now-{$WHOSE.PERIOD})`,
			Recovery:   `max(/whose.process.remote_hosts[ID],{$WHOSE.PERIOD})<={$WHOSE.HOSTS.MIN:"{#WHOSE.PROCESS}"} or max(/whose.process.remote_hosts[ID],{$WHOSE.PERIOD})<={$WHOSE.HOSTS.FACTOR:"{#WHOSE.PROCESS}"}*avg(/whose.process.remote_hosts[ID],{$WHOSE.HOSTS.BASE}:now-{$WHOSE.PERIOD})`,
			Data:       "Remote hosts: {ITEM.LASTVALUE1}",
			About:      "For {$WHOSE.PERIOD} it has talked to more hosts than usual by a factor: a scan, a crawler, a worm, or a client that lost its proxy or pool.",
			Do:         "On the host: whose count 'process NAME' --by remote_addr. Where it is normal, raise {$WHOSE.HOSTS.MIN} with the process as context."},
	}
}

// triggers returns the triggers of a scope.
func (t *template) triggers(of Scope) yamlList {
	var list yamlList
	all := Triggers()
	for i := range all {
		if all[i].Of == of {
			list = append(list, t.trigger(&all[i], all))
		}
	}
	return list
}

func (t *template) trigger(tr *Trigger, all []Trigger) yamlMap {
	m := yamlMap{
		{"uuid", t.uuid("trigger", triggerName(tr))},
		{"expression", t.expression(tr.Expression)},
	}
	if tr.Recovery != "" {
		m = append(m, yamlPair{"recovery_mode", "RECOVERY_EXPRESSION"}, yamlPair{"recovery_expression", t.expression(tr.Recovery)})
	}
	m = append(m,
		yamlPair{"name", triggerName(tr)},
		yamlPair{"opdata", tr.Data},
		yamlPair{"priority", tr.Severity},
		yamlPair{"description", tr.About + "\n\n" + tr.Do},
	)
	if tr.Manual {
		m = append(m, yamlPair{"manual_close", "YES"})
	}
	return append(m, yamlPair{"dependencies", t.dependencies(tr, all)}, yamlPair{"tags", tags("scope", tr.Scope)})
}

// dependencies returns the triggers silencing tr: those in After, of its own
// scope or of the host.
func (t *template) dependencies(tr *Trigger, all []Trigger) yamlList {
	var list yamlList
	for i := range all {
		on := &all[i]
		if !slices.Contains(tr.After, on.ID) || on.Of != tr.Of && on.Of != OfHost {
			continue
		}
		d := yamlMap{{"name", triggerName(on)}, {"expression", t.expression(on.Expression)}}
		if on.Recovery != "" {
			d = append(d, yamlPair{"recovery_expression", t.expression(on.Recovery)})
		}
		list = append(list, d)
	}
	return list
}

// triggerName returns the full name of a trigger.
func triggerName(tr *Trigger) string {
	if tr.Of == OfHost {
		return hostName + tr.Name
	}
	return rowName(tr.Of) + tr.Name
}

// expression puts the template's name and the ids of rows into a condition.
func (t *template) expression(condition string) string {
	return strings.NewReplacer("(/", "(/"+t.name+"/", "[ID]", rowID).Replace(condition)
}
