//go:build linux

package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
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

// An item prints one document, so rows are not compared, but each must name a
// process of the load.
func item(name string, args ...string) tool {
	return tool{name: name, args: args, keys: []string{"1k", "10k", "100k"}, owners: true, rows: someRows}
}

// zabbixTools are the item's command.
func (w whose) zabbixTools() []tool {
	return []tool{
		item(zabbixGet, w.path, "zabbix", "get", "--timeout", "1m", "--pin-dir", w.noPins),
		item(zabbixPinned, w.path, "zabbix", "get", "--timeout", "1m", "--pin-dir", w.pins),
		item("whose zabbix get --source netlink", w.path, "zabbix", "get", "--timeout", "1m", "--source", "netlink"),
	}
}

// scriptTools are other people's scripts for the item.
func scriptTools(p programs) []tool {
	var all []tool
	if python := p.found["python3"]; python != "" {
		all = append(all, item(originalPy, python, filepath.Join(p.scripts, "original.py")))
		if ss := p.found["ss"]; ss != "" {
			all = append(all, item(ssParser, python, filepath.Join(p.scripts, "ssparse.py"), ss))
		}
	}
	return all
}

// zabbixTargets are the figures for the item at 100,000 sockets, reached before.
func zabbixTargets() []target {
	seconds := func(p *page, of contender) (float64, bool) {
		ms, ok := milliseconds("100k", zabbixGet)(p, of)
		return ms / 1000, ok
	}
	return []target{
		{text: "100,000 sockets: `whose zabbix get`", limit: 1, unit: " s", value: seconds},
		{text: "100,000 sockets: peak memory of `whose zabbix get`", limit: 95, unit: " MiB", value: peakMiB("100k", zabbixGet)},
		{text: "100,000 sockets: the original script's method over `whose zabbix get`", limit: 5, least: true, unit: " ×",
			value: over("100k", originalPy, zabbixGet)},
		{text: "100,000 sockets: a parser of `ss -tunap` over `whose zabbix get`", limit: 5, least: true, unit: " ×",
			value: over("100k", ssParser, zabbixGet)},
	}
}
