//go:build linux

package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The commands for the value of a Zabbix item.
const (
	zabbixGet    = "whose zabbix get"
	zabbixPinned = "whose zabbix get, pinned"
	originalPy   = "original.py"
	ssParser     = "ssparse.py (ss -tunap)"
)

// findPython returns the interpreter itself, since the one in PATH may be a
// script in search of it. Empty: there is none.
func findPython(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "python3", "-c", "import sys; print(sys.executable)").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// zabbixTools are the item's command beside other people's scripts for it. All
// print one document, so rows are not compared, but each must name a process of
// the load.
func zabbixTools(p programs, pins string) []tool {
	var all []tool
	item := func(name string, args ...string) {
		all = append(all, tool{name: name, args: args, keys: []string{"10k", "100k"}, owners: true, rows: someRows})
	}
	if p.whose != "" {
		item(zabbixGet, p.whose, "zabbix", "get", "--timeout", "0")
		item(zabbixPinned, p.whose, "zabbix", "get", "--timeout", "0", "--pin-dir", pins)
		item("whose zabbix get --source netlink", p.whose, "zabbix", "get", "--timeout", "0", "--source", "netlink")
	}
	if python := p.found["python3"]; python != "" {
		item(originalPy, python, filepath.Join(p.scripts, "original.py"))
		if ss := p.found["ss"]; ss != "" {
			item(ssParser, python, filepath.Join(p.scripts, "ssparse.py"), ss)
		}
	}
	return all
}

// zabbixTargets are the figures for the item at 100,000 sockets.
func zabbixTargets() []target {
	return []target{
		{text: "100,000 sockets: `whose zabbix get`", limit: 1, unit: " s", value: func(p *page) (float64, bool) {
			s, ok := p.get("100k", zabbixGet)
			return float64(s.wall) / float64(time.Second), ok && !s.over
		}},
		{text: "100,000 sockets: peak memory of `whose zabbix get`", limit: 100, unit: " MB", value: func(p *page) (float64, bool) {
			s, ok := p.get("100k", zabbixGet)
			return float64(s.peakKiB) * 1024 / 1e6, ok
		}},
		{text: "100,000 sockets: the original script's method over `whose zabbix get`", limit: 5, least: true, unit: " ×",
			value: quotient("100k", originalPy, "100k", zabbixGet)},
		{text: "100,000 sockets: a parser of `ss -tunap` over `whose zabbix get`", limit: 5, least: true, unit: " ×",
			value: quotient("100k", ssParser, "100k", zabbixGet)},
	}
}
