package zabbix

import (
	"strconv"
	"strings"
)

// A rule is a discovery rule, with the differences between the two.
type rule struct {
	of              Scope
	key, name, path string
	about           string
	keep            string
	// filters are pairs of an LLD macro and the middle of its user macros.
	filters [][2]string
	// lost holds the settings of 7.0 for disabling a lost row's items.
	lost yamlMap
}

func (t *template) listenerRule() yamlMap {
	m := t.rule(&rule{
		of: OfListener, key: "whose.listeners.discovery", name: "Listener discovery", path: "$.discovery.listeners",
		about: "Listeners of the host. One that is gone keeps its items for {$WHOSE.LISTEN.KEEP}, so that a port that comes and goes keeps its history.",
		keep:  "{$WHOSE.LISTEN.KEEP}",
		filters: [][2]string{
			{"PROTO", "LISTEN.PROTO"}, {"ADDR", "LISTEN.ADDR"}, {"PORT", "LISTEN.PORT"}, {"PROCESS", "LISTEN.PROCESS"},
			{"USER", "LISTEN.USER"}, {"NETNS", "LISTEN.NETNS"}, {"EPHEMERAL", "LISTEN.EPHEMERAL"},
		},
		// Items of a lost listener go on, and so does its trigger.
		lost: yamlMap{{"enabled_lifetime_type", "DISABLE_NEVER"}},
	})
	return append(m, yamlPair{"overrides", udpOverride()})
}

func (t *template) processRule() yamlMap {
	return t.rule(&rule{
		of: OfProcess, key: "whose.processes.discovery", name: "Process discovery", path: "$.discovery.processes",
		about:   "Processes that have sessions, those of one name, unit, container and user together. One without sessions keeps its items for {$WHOSE.PROC.KEEP}.",
		keep:    "{$WHOSE.PROC.KEEP}",
		filters: [][2]string{{"PROCESS", "PROC.PROCESS"}, {"USER", "PROC.USER"}, {"UNIT", "PROC.UNIT"}, {"CONTAINER", "PROC.CONTAINER"}},
		lost:    yamlMap{{"enabled_lifetime_type", "DISABLE_AFTER"}, {"enabled_lifetime", "1h"}},
	})
}

func (t *template) rule(r *rule) yamlMap {
	m := yamlMap{
		{"uuid", t.uuid("rule", r.key)},
		{"name", r.name},
		{"type", "DEPENDENT"},
		{"key", r.key},
		{"delay", "0"},
		{"filter", yamlMap{{"evaltype", "AND"}, {"conditions", conditions(r.filters)}}},
		{"lifetime", r.keep},
	}
	if t.seven() {
		m = append(m, r.lost...)
	}
	var prototypes yamlList
	for _, i := range Items() {
		if i.Of == r.of {
			prototypes = append(prototypes, t.item(&i))
		}
	}
	return append(m,
		yamlPair{"description", r.about},
		yamlPair{"item_prototypes", prototypes},
		yamlPair{"trigger_prototypes", t.triggers(r.of)},
		yamlPair{"graph_prototypes", t.graphs(r.of)},
		yamlPair{"master_item", yamlMap{{"key", masterKey}}},
		yamlPair{"preprocessing", yamlList{
			yamlMap{{"type", "JSONPATH"}, {"parameters", yamlList{r.path}}, {"error_handler", "DISCARD_VALUE"}},
			throttle(rediscover),
		}},
	)
}

// conditions returns two filters for each macro: the required match and the
// forbidden one.
func conditions(filters [][2]string) yamlList {
	var list yamlList
	add := func(macro, value, operator string) {
		list = append(list, yamlMap{
			{"macro", macro}, {"value", value}, {"operator", operator}, {"formulaid", formulaID(len(list))},
		})
	}
	for _, f := range filters {
		add("{#WHOSE."+f[0]+"}", "{$WHOSE."+f[1]+".MATCHES}", "")
		add("{#WHOSE."+f[0]+"}", "{$WHOSE."+f[1]+".NOT_MATCHES}", "NOT_MATCHES_REGEX")
	}
	return list
}

// formulaID names the nth condition: A, B, …
func formulaID(n int) string { return string(rune('A' + n)) }

// udpOverride leaves out the values missing in UDP listeners: items by their
// names, and the triggers and graphs made of them.
func udpOverride() yamlList {
	var names []string
	for _, i := range listenerItems() {
		if i.TCPOnly {
			names = append(names, i.Name)
		}
	}
	var triggers []string
	for _, tr := range listenerTriggers() {
		if strings.Contains(tr.Expression, "queue_used") || strings.Contains(tr.Expression, "established") {
			triggers = append(triggers, tr.Name)
		}
	}
	no := func(object string, names []string) yamlMap {
		return yamlMap{
			{"operationobject", object}, {"operator", "REGEXP"},
			{"value", ": (" + strings.Join(names, "|") + ")$"}, {"discover", "NO_DISCOVER"},
		}
	}
	return yamlList{yamlMap{
		{"name", "UDP has no connections that a listener accepts"},
		{"step", strconv.Itoa(1)},
		{"filter", yamlMap{{"conditions", yamlList{
			yamlMap{{"macro", "{#WHOSE.PROTO}"}, {"value", "^udp"}, {"formulaid", "A"}},
		}}}},
		{"operations", yamlList{
			no("ITEM_PROTOTYPE", names),
			no("TRIGGER_PROTOTYPE", triggers),
			yamlMap{{"operationobject", "GRAPH_PROTOTYPE"}, {"operator", "REGEXP"}, {"value", ".*"}, {"discover", "NO_DISCOVER"}},
		}},
	}}
}
