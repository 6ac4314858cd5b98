package render

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/seed-44df2ae6/whose"
)

// eventNames are names of hosts and services, some of them hostile or long.
func eventNames(opts EventOptions) EventOptions {
	opts.HostName = func(a netip.Addr) string {
		switch a.String() {
		case "93.184.215.14":
			return "ec2-93-184-215-14.eu-central-1.compute.amazonaws.com"
		case "10.0.0.9":
			return "evil\x1b[2J\n.example.net"
		case "2001:db8::7":
			return "www.example.com"
		case "127.0.0.1":
			return "localhost"
		}
		return nameOfHost(a)
	}
	opts.ServiceName = func(port uint16, _ whose.Proto) string {
		return map[uint16]string{22: "ssh", 443: "https", 5432: "postgresql", 53: "domain"}[port]
	}
	return opts
}

func TestEvents_GoldenNames(t *testing.T) {
	var screens []txtar.File
	for _, width := range []int{0, 160, 100, 80} {
		opts := eventNames(EventOptions{Width: width})
		screens = append(screens, screen(fmt.Sprintf("%d columns", width), happened(t, Text, opts, dayAtWork()[2:18])))
	}
	names := eventNames(EventOptions{})
	for _, width := range []int{120, 60} {
		opts := Options{Width: width, HostName: names.HostName, ServiceName: names.ServiceName}
		screens = append(screens, screen(fmt.Sprintf("summary, %d columns", width), summarized(t, Text, busyDay(), opts)))
	}
	golden(t, "events_names", screens)
}

// With names too no line is wider than the terminal.
func TestEvents_NamesFit(t *testing.T) {
	for width := 60; width < 230; width += 5 {
		for line := range strings.Lines(happened(t, Text, eventNames(EventOptions{Width: width}), append(dayAtWork(), hostileEvents()...))) {
			if w := textWidth([]byte(strings.TrimSuffix(line, "\n"))); w > width {
				t.Errorf("a line of %d columns on a terminal of %d: %s", w, width, line)
			}
		}
	}
}
