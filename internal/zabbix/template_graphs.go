package zabbix

import "strconv"

// A graph is a classic graph or the prototype of one.
type graph struct {
	of      Scope
	name    string
	stacked bool
	lines   []line
}

// A line is one item of a graph.
type line struct {
	key, color string
	// filled draws a region instead of a line.
	filled bool
	// right uses the right axis.
	right bool
}

// Colours, the same for the same thing in every graph.
const (
	green  = "43A047"
	blue   = "1E88E5"
	orange = "FB8C00"
	red    = "E53935"
	grey   = "90A4AE"
	teal   = "00ACC1"
	yellow = "FDD835"
	brown  = "8D6E63"
)

// The names of the graphs on dashboards.
const (
	graphStates     = "Sessions: TCP by state"
	graphDirections = "Sessions: Incoming and outgoing"
	graphOwners     = "Sessions: Without a known owner"
	graphCollection = "Sessions: Collection"
	// Names of graphs are unique on a host, hence the ids.
	graphListener = "Listener {#WHOSE.PROTO} {#WHOSE.ADDR} {#WHOSE.PORT} [{#WHOSE.PROCESS}] {#WHOSE.ID}: Sessions"
	graphProcess  = "Process {#WHOSE.PROCESS} [{#WHOSE.USER}] {#WHOSE.ID}: Sessions"
)

func graphs() []graph {
	return []graph{
		{name: graphStates, stacked: true, lines: []line{
			{key: "whose.tcp[established]", color: green}, {key: "whose.tcp[listen]", color: blue},
			{key: "whose.tcp[time_wait]", color: grey}, {key: "whose.tcp[close_wait]", color: red},
			{key: "whose.tcp[syn_sent]", color: orange}, {key: "whose.tcp[syn_recv]", color: yellow},
		}},
		{name: graphDirections, lines: []line{
			{key: "whose.sessions.in", color: green, filled: true}, {key: "whose.sessions.out", color: blue},
			{key: "whose.remote_hosts", color: orange},
		}},
		{name: graphOwners, stacked: true, lines: []line{
			{key: "whose.hidden", color: red}, {key: "whose.ownerless[accept_queue]", color: orange},
			{key: "whose.ownerless[in_flight]", color: teal}, {key: "whose.ownerless[unheld]", color: brown},
		}},
		{name: graphCollection, lines: []line{
			{key: "whose.collection.duration", color: blue, filled: true}, {key: "whose.sessions", color: grey, right: true},
		}},
		{of: OfListener, name: graphListener, lines: []line{
			{key: "whose.listener.established", color: green, filled: true}, {key: "whose.listener.close_wait", color: red},
			{key: "whose.listener.queue_used", color: orange, right: true},
		}},
		{of: OfProcess, name: graphProcess, lines: []line{
			{key: "whose.process.sessions", color: grey, filled: true}, {key: "whose.process.in", color: green},
			{key: "whose.process.out", color: blue}, {key: "whose.process.close_wait", color: red},
			{key: "whose.process.remote_hosts", color: orange},
		}},
	}
}

// graphs returns the graphs of a scope.
func (t *template) graphs(of Scope) yamlList {
	var list yamlList
	for _, g := range graphs() {
		if g.of == of {
			list = append(list, t.graph(&g))
		}
	}
	return list
}

func (t *template) graph(g *graph) yamlMap {
	m := yamlMap{{"uuid", t.uuid("graph", g.name)}, {"name", g.name}}
	if g.stacked {
		m = append(m, yamlPair{"type", "STACKED"})
	}
	m = append(m, yamlPair{"show_work_period", "NO"}, yamlPair{"show_triggers", "NO"}, yamlPair{"ymin_type_1", "FIXED"})
	var lines yamlList
	for n, l := range g.lines {
		entry := yamlMap{{"sortorder", strconv.Itoa(n)}}
		if l.filled {
			entry = append(entry, yamlPair{"drawtype", "GRADIENT_LINE"})
		}
		entry = append(entry, yamlPair{"color", l.color})
		if l.right {
			entry = append(entry, yamlPair{"yaxisside", "RIGHT"})
		}
		lines = append(lines, append(entry, yamlPair{"item", yamlMap{
			{"host", t.name}, {"key", keyOf(&Item{Of: g.of, Key: l.key})},
		}}))
	}
	return append(m, yamlPair{"graph_items", lines})
}
