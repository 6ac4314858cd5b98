package tally

import (
	"bytes"
	"cmp"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-44df2ae6/whose"
)

// A Figure is a sample of a metric that is not about sessions, from elsewhere in the
// agent.
type Figure struct {
	// Name is that of a row of [MetricTable].
	Name string
	// Values are those of its labels, in their order.
	Values []string
	Value  float64
}

// Write writes all metrics in the text format of Prometheus or, with open, of
// OpenMetrics. own are the figures of the rest of the agent.
func (m *Metrics) Write(w io.Writer, own []Figure, open bool) error {
	var b bytes.Buffer
	m.append(&b, own, open)
	_, err := w.Write(b.Bytes())
	return err
}

// append writes the metrics as of one moment.
func (m *Metrics) append(b *bytes.Buffer, own []Figure, open bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	own = append(slices.Clone(own), m.figures()...)
	cells, escapes := m.sorted(), newLabelEscapes()
	for _, metric := range MetricTable() {
		t := metricText{Buffer: b, metric: &metric, open: open, escapes: escapes}
		switch {
		case metric.bySession != nil:
			for _, c := range cells {
				values := m.values(c)
				metric.bySession(c, func(n uint64, label string) {
					more := values
					if len(metric.Labels) > len(values) {
						more = append(values[:len(values):len(values)], label)
					}
					t.sample("", more, "", strconv.FormatUint(n, 10))
				})
			}
		case metric.histogram != nil:
			for _, c := range cells {
				if h, bounds := metric.histogram(c); h.count > 0 {
					t.histogram(h, bounds, m.values(c))
				}
			}
		default:
			for i := range own {
				if f := &own[i]; f.Name == metric.Name {
					t.sample("", f.Values, "", strconv.FormatFloat(f.Value, 'g', -1, 64))
				}
			}
		}
	}
	if open {
		b.WriteString("# EOF\n")
	}
}

// figures are the own figures that the metrics themselves know.
func (m *Metrics) figures() []Figure {
	all := []Figure{
		{Name: workloads, Value: float64(len(m.names) - 1)},
		{Name: foldedTotal, Value: float64(m.folded)},
		{Name: tableEntries, Values: []string{"metrics"}, Value: float64(m.sessions.Len())},
	}
	for _, kind := range whose.EventKinds() {
		all = append(all, Figure{Name: eventsTotal, Values: []string{kind.String()}, Value: float64(m.events[kind])})
	}
	for why, n := range m.lost {
		all = append(all, Figure{Name: lostTotal, Values: []string{why}, Value: float64(n)})
	}
	slices.SortStableFunc(all, func(a, b Figure) int { return slices.Compare(a.Values, b.Values) })
	return all
}

// sorted returns the figures in the order of their labels.
func (m *Metrics) sorted() []*cell {
	all := make([]*cell, 0, len(m.cells))
	for _, at := range m.cells {
		all = append(all, &m.series[at])
	}
	slices.SortFunc(all, func(a, b *cell) int {
		return cmp.Or(strings.Compare(m.loads[a.load].name, m.loads[b.load].name),
			cmp.Compare(a.proto, b.proto), cmp.Compare(a.direction, b.direction))
	})
	return all
}

// values returns the values of the labels of a cell.
func (m *Metrics) values(c *cell) []string {
	return []string{m.loads[c.load].name, c.proto.String(), c.direction.String()}
}

// A metricText writes one metric.
type metricText struct {
	*bytes.Buffer
	metric *Metric
	open   bool
	begun  bool
	// escapes are those of a label's value.
	escapes *strings.Replacer
}

// begin writes the lines before the first sample. OpenMetrics calls a counter without
// its ending.
func (t *metricText) begin() {
	if t.begun {
		return
	}
	t.begun = true
	name := t.metric.Name
	if t.open && t.metric.Kind == MetricCounter {
		name = strings.TrimSuffix(name, "_total")
	}
	t.WriteString("# HELP " + name + " " + t.metric.Help + "\n# TYPE " + name + " " + string(t.metric.Kind) + "\n")
}

// sample writes one sample; le is the bound of a histogram. A label without a value is
// left out, as for Prometheus it is the same.
func (t *metricText) sample(ending string, values []string, le, value string) {
	t.begin()
	t.WriteString(t.metric.Name)
	t.WriteString(ending)
	sep := byte('{')
	label := func(name, value string) {
		if value == "" {
			return
		}
		t.WriteByte(sep)
		sep = ','
		t.WriteString(name)
		t.WriteString(`="`)
		_, _ = t.escapes.WriteString(t, printableName(value)) // a buffer takes all
		t.WriteByte('"')
	}
	for i, name := range t.metric.Labels {
		label(name, values[i])
	}
	label("le", le)
	if sep == ',' {
		t.WriteByte('}')
	}
	t.WriteByte(' ')
	t.WriteString(value)
	t.WriteByte('\n')
}

// newLabelEscapes makes the escapes of a label's value. Made at the start, they would cost
// each start of whose.
func newLabelEscapes() *strings.Replacer {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
}

func (t *metricText) histogram(h *histogram, bounds []float64, values []string) {
	n := uint64(0)
	for i, b := range bounds {
		n += h.counts[i]
		t.sample("_bucket", values, strconv.FormatFloat(b, 'g', -1, 64), strconv.FormatUint(n, 10))
	}
	t.sample("_bucket", values, "+Inf", strconv.FormatUint(h.count, 10))
	t.sample("_sum", values, "", strconv.FormatFloat(h.sum, 'g', -1, 64))
	t.sample("_count", values, "", strconv.FormatUint(h.count, 10))
}
