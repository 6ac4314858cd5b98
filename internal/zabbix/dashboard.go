package zabbix

import (
	"fmt"
	"strconv"
)

// A dashboard's grid is 24 columns wide in 6.0 and 72 in 7.0. Widgets are laid
// out on 24 and widened.
const gridFactor = 3

// A widget is one widget of a page.
type widget struct {
	// six and seven are the types in 6.0 and 7.0. A version with an empty name
	// leaves the widget out.
	six, seven string
	name       string
	x, y, w, h int
	headless   bool
	fields     yamlList
}

// A tile shows one number.
type tile struct {
	key, title string
	// warn colours the tile from this value on, if the version can. Empty: never.
	warn string
	// good colours the tile from this value on.
	good string
	// word: the value is long, a word or with units, and needs smaller letters.
	word bool
}

func tiles() []tile {
	return []tile{
		{key: "whose.sessions", title: "Sessions"},
		{key: "whose.tcp[established]", title: "Established"},
		{key: "whose.listeners", title: "Listeners"},
		{key: "whose.processes", title: "Processes"},
		{key: "whose.remote_hosts", title: "Remote hosts"},
		{key: "whose.hidden", title: "Hidden owners", warn: "1"},
		{key: "whose.collection.complete", title: "Collection", warn: "0", good: "1", word: true},
		{key: "whose.collection.duration", title: "Duration", word: true},
	}
}

// dashboards returns the dashboard of the template: an overview for a wall, one
// page of all listeners and one of all processes.
func (t *template) dashboards() yamlList {
	overview := t.tileRow()
	if t.seven() {
		overview = append(overview, t.overviewSeven()...)
	} else {
		overview = append(overview, t.overviewSix()...)
	}
	page := func(name string, widgets []widget) yamlMap {
		return yamlMap{{"name", name}, {"widgets", t.widgets(widgets)}}
	}
	prototypes := func(graph, reference string) []widget {
		fields := yamlList{integer("columns", 3), integer("rows", 3), t.reference("GRAPH_PROTOTYPE", "graphid", "name", graph)}
		if t.seven() {
			fields = append(fields, text("reference", reference))
		}
		return []widget{{six: "GRAPH_PROTOTYPE", seven: "graphprototype", w: 24, h: 15, fields: fields}}
	}
	return yamlList{yamlMap{
		{"uuid", t.uuid("dashboard", "sessions")},
		{"name", "Sessions and their processes"},
		{"display_period", "60"},
		{"pages", yamlList{
			page("Overview", overview),
			page("Listeners", prototypes(graphListener, "WHOSC")),
			page("Processes", prototypes(graphProcess, "WHOSD")),
		}},
	}}
}

func (t *template) tileRow() []widget {
	var row []widget
	for n, tile := range tiles() {
		fields := yamlList{t.reference("ITEM", "itemid", "key", tile.key)}
		for i, show := range []int{1, 2, 4} { // description, value, change
			fields = append(fields, integer(t.indexed("show", i), show))
		}
		size := 38
		if tile.word {
			size = 22
		}
		fields = append(fields, text("description", tile.title),
			integer("desc_v_pos", 0), integer("value_v_pos", 1), integer("desc_size", 18), integer("value_size", size),
			integer("decimal_places", 0), integer("decimal_size", size), integer("units_size", size))
		if t.seven() {
			fields = append(fields, thresholds(tile)...)
		} else {
			fields = append(fields, integer("adv_conf", 1))
		}
		row = append(row, widget{six: "ITEM", seven: "item", name: tile.title, x: n * 3, w: 3, h: 2, headless: true, fields: fields})
	}
	return row
}

func thresholds(t tile) yamlList {
	var fields yamlList
	for _, level := range [][2]string{{t.warn, "FFCDD2"}, {t.good, "C8E6C9"}} {
		if level[0] == "" {
			continue
		}
		n := len(fields) / 2
		fields = append(fields,
			text(fmt.Sprintf("thresholds.%d.color", n), level[1]), text(fmt.Sprintf("thresholds.%d.threshold", n), level[0]))
	}
	return fields
}

// overviewSix fills the overview for 6.0 with classic graphs.
func (t *template) overviewSix() []widget {
	classic := func(x, y, w int, graph string) widget {
		return widget{six: "GRAPH_CLASSIC", x: x, y: y, w: w, h: 6, fields: yamlList{t.reference("GRAPH", "graphid", "name", graph)}}
	}
	return []widget{
		classic(0, 2, 12, graphStates), classic(12, 2, 12, graphDirections),
		classic(0, 8, 12, graphOwners), classic(12, 8, 12, graphCollection),
	}
}

// overviewSeven fills the overview with widgets of 7.0: all listeners at a
// glance, and the processes in one graph.
func (t *template) overviewSeven() []widget {
	return []widget{
		{seven: "svggraph", name: "TCP sessions by state", y: 2, w: 12, h: 6, fields: t.stateSets()},
		{seven: "svggraph", name: "Sessions by process", x: 12, y: 2, w: 12, h: 6, fields: patternSet("Process *: Sessions")},
		{seven: "honeycomb", name: "Established connections by listener", y: 8, w: 9, h: 6,
			fields: honeycomb("Listener *: Established", `^Listener \S+ \S+ (\S+) \[(.*)\]: \w+$`, `\1 \2`)},
		{seven: "honeycomb", name: "Sessions by process", x: 9, y: 8, w: 7, h: 6,
			fields: honeycomb("Process *: Sessions", `^Process (.*) \[.*\]: \w+$`, `\1`)},
		{seven: "problems", name: "Problems", x: 16, y: 8, w: 8, h: 6, fields: yamlList{integer("show", 3), integer("show_tags", 0)}},
	}
}

// stateSets are the sets of a stacked graph of all TCP states.
func (t *template) stateSets() yamlList {
	fields := yamlList{text("reference", "WHOSA")}
	for n, l := range graphs()[0].lines {
		set := "ds." + strconv.Itoa(n) + "."
		fields = append(fields,
			integer(set+"dataset_type", 0),
			t.reference("ITEM", set+"itemids", "key", l.key),
			text(set+"color.0", l.color),
			integer(set+"stacked", 1), integer(set+"fill", 6), integer(set+"width", 1), integer(set+"transparency", 6),
		)
	}
	return append(fields, text("lefty_min", "0"), integer("legend_columns", 3), integer("legend_lines", 2))
}

// patternSet is one set of all items with a matching name, each in its shade.
func patternSet(pattern string) yamlList {
	return yamlList{
		text("reference", "WHOSB"),
		text("ds.0.items.0", pattern), text("ds.0.color", green),
		integer("ds.0.fill", 1), integer("ds.0.width", 2),
		text("lefty_min", "0"), integer("legend_columns", 3), integer("legend_lines", 3),
	}
}

// honeycomb shows a cell for each item with a matching name. A regular
// expression makes its label from the name: the whole name does not fit.
func honeycomb(pattern, expression, label string) yamlList {
	return yamlList{
		text("items.0", pattern),
		text("primary_label", `{{ITEM.NAME}.regsub("`+expression+`","`+label+`")}`),
		integer("secondary_label_decimal_places", 0),
		text("bg_color", "E3F2FD"),
	}
}

// widgets lays widgets out for the version. 7.0 wants a reference of five
// letters for widgets able to speak to each other.
func (t *template) widgets(widgets []widget) yamlList {
	var list yamlList
	for _, w := range widgets {
		kind, factor := w.six, 1
		if t.seven() {
			kind, factor = w.seven, gridFactor
		}
		m := yamlMap{{"type", kind}, {"name", w.name}, {"x", number(w.x * factor)}, {"y", number(w.y)},
			{"width", strconv.Itoa(w.w * factor)}, {"height", strconv.Itoa(w.h)}}
		if w.headless {
			m = append(m, yamlPair{"hide_header", "YES"})
		}
		list = append(list, append(m, yamlPair{"fields", w.fields}))
	}
	return list
}

// number returns a number, empty for the default 0.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// indexed names the nth value of a field with many: 7.0 numbers them.
func (t *template) indexed(name string, n int) string {
	if t.seven() {
		return name + "." + strconv.Itoa(n)
	}
	return name
}

// reference is a reference to an item or graph of the template, as a field.
func (t *template) reference(kind, field, by, name string) yamlMap {
	return yamlMap{{"type", kind}, {"name", t.indexed(field, 0)}, {"value", yamlMap{{"host", t.name}, {by, name}}}}
}

func integer(name string, value int) yamlMap {
	return yamlMap{{"type", "INTEGER"}, {"name", name}, {"value", strconv.Itoa(value)}}
}

func text(name, value string) yamlMap {
	return yamlMap{{"type", "STRING"}, {"name", name}, {"value", value}}
}
