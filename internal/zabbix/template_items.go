package zabbix

import "strings"

// The beginnings of names in a discovered row.
const (
	listenerName = "Listener {#WHOSE.PROTO} {#WHOSE.ADDR} {#WHOSE.PORT} [{#WHOSE.PROCESS}]: "
	processName  = "Process {#WHOSE.PROCESS} [{#WHOSE.USER}]: "
	hostName     = "Sessions: "
)

// rowID ends the key of an item of a discovered row.
const rowID = `["{#WHOSE.ID}"]`

// keyOf returns the full key of an item.
func keyOf(i *Item) string {
	if i.Of == OfHost {
		return i.Key
	}
	return i.Key + rowID
}

// nameOf returns the full name of an item.
func nameOf(i *Item) string { return rowName(i.Of) + i.Name }

// rowName returns the beginning of names in a scope, empty for the host.
func rowName(of Scope) string {
	switch of {
	case OfListener:
		return listenerName
	case OfProcess:
		return processName
	}
	return ""
}

// JSONPath returns the path of the item's value in the document. For a number of
// a row it is the sum of the row's own value and the one for missing rows. The
// sum is the value, or 0 if the document knows the row to be gone, or none if it
// cannot know.
func (i *Item) JSONPath() string {
	key := strings.Join(i.Path, ".")
	switch {
	case i.Of == OfHost:
		return "$." + key
	case i.isText():
		return `$.` + rowsOf(i.Of) + `["{#WHOSE.ID}"].` + key
	}
	return `$["` + rowsOf(i.Of) + `","absent"]["{#WHOSE.ID}","` + absentOf(i.Of) + `"].` + key + ".sum()"
}

func (i *Item) isText() bool { return i.Type == Char || i.Type == Text }

// rowsOf and absentOf are the keys in the document of the rows of a scope, and
// of the values of a missing row.
func rowsOf(of Scope) string {
	if of == OfListener {
		return "listeners"
	}
	return "processes"
}

func absentOf(of Scope) string {
	if of == OfListener {
		return "listener"
	}
	return "process"
}

// items returns the items of the host: the raw one and the table's.
func (t *template) items() yamlList {
	list := yamlList{t.masterItem()}
	for _, i := range Items() {
		if i.Of == OfHost {
			list = append(list, t.item(&i))
		}
	}
	return list
}

// schemaPattern is the beginning of every document. Error messages of a shell
// begin otherwise, and so do documents of a too new whose.
const schemaPattern = `^\{"schema":"` + Schema + `"`

func (t *template) masterItem() yamlMap {
	m := yamlMap{{"uuid", t.uuid("item", masterKey)}, {"name", "Get sessions"}}
	if t.opts.Trapper {
		m = append(m, yamlPair{"type", "TRAP"}, yamlPair{"key", masterKey}, yamlPair{"delay", "0"})
	} else {
		m = append(m, yamlPair{"key", masterKey}, yamlPair{"delay", intervalMacro})
	}
	m = append(m,
		yamlPair{"history", "0"}, yamlPair{"trends", "0"}, yamlPair{"value_type", "TEXT"},
		yamlPair{"description", "The collection: one JSON document of aggregates, of which all other items are made. It is not stored. Unsupported: the agent runs no whose, or one that speaks another schema than " + Schema + "."},
		yamlPair{"preprocessing", yamlList{yamlMap{
			{"type", "MATCHES_REGEX"},
			{"parameters", yamlList{schemaPattern}},
			{"error_handler", "CUSTOM_ERROR"},
			{"error_handler_params", "This is no document of whose: is it installed where the UserParameter says, and of this template's version?"},
		}}},
		yamlPair{"tags", tags("component", "raw")},
	)
	if t.seven() && !t.opts.Trapper {
		m = append(m, yamlPair{"timeout", "5s"})
	}
	return m
}

// item returns an item of the table, or its prototype.
func (t *template) item(i *Item) yamlMap {
	m := yamlMap{
		{"uuid", t.uuid("item", i.Key)},
		{"name", nameOf(i)},
		{"type", "DEPENDENT"},
		{"key", keyOf(i)},
		{"delay", "0"},
		{"history", "7d"},
	}
	if i.isText() {
		m = append(m, yamlPair{"trends", "0"})
	}
	m = append(m, yamlPair{"value_type", string(i.Type)}, yamlPair{"units", i.Units}, yamlPair{"description", i.About})
	if i.Off {
		m = append(m, yamlPair{"discover", "NO_DISCOVER"})
	}
	if i.ValueMap != "" {
		m = append(m, yamlPair{"valuemap", yamlMap{{"name", i.ValueMap}}})
	}
	about := tags("component", i.Component)
	switch i.Of {
	case OfListener:
		about = append(about, tags("port", "{#WHOSE.PORT}", "process", "{#WHOSE.PROCESS}", "unit", "{#WHOSE.UNIT}")...)
	case OfProcess:
		about = append(about, tags("process", "{#WHOSE.PROCESS}", "unit", "{#WHOSE.UNIT}", "user", "{#WHOSE.USER}")...)
	}
	return append(m,
		yamlPair{"preprocessing", steps(i)},
		yamlPair{"master_item", yamlMap{{"key", masterKey}}},
		yamlPair{"tags", about},
	)
}

// steps returns the preprocessing of an item. A value missing in the document is
// unknown, and nothing is stored.
func steps(i *Item) yamlList {
	path := yamlMap{{"type", "JSONPATH"}, {"parameters", yamlList{i.JSONPath()}}, {"error_handler", "DISCARD_VALUE"}}
	list := yamlList{path}
	for _, s := range i.Steps {
		var params yamlList
		for _, p := range s.Params {
			params = append(params, p)
		}
		list = append(list, yamlMap{{"type", s.Type}, {"parameters", params}})
	}
	if i.Heartbeat != "" {
		list = append(list, throttle(i.Heartbeat))
	}
	return list
}

func throttle(heartbeat string) yamlMap {
	return yamlMap{{"type", "DISCARD_UNCHANGED_HEARTBEAT"}, {"parameters", yamlList{heartbeat}}}
}
