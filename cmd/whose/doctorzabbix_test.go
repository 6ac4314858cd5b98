package main

import (
	"strings"
	"testing"
)

// TestZabbixAdvice shows the next step in each situation of an agent.
func TestZabbixAdvice(t *testing.T) {
	hidden := zabbixItem{Works: true, Complete: true, Took: 10_000, Timeout: 2_500_000, HiddenProcesses: 300}
	pinned := doctorPin{BPFFS: true, Version: 2, Pins: []doctorPinFile{{Version: 2}}}
	readable := doctorPin{BPFFS: true, Version: 2, Pins: []doctorPinFile{{Version: 2, Readable: true}}}
	behind := doctorPin{BPFFS: true, Version: 2, Blocked: []string{"/sys/fs/bpf"}, Pins: []doctorPinFile{{Version: 2}}}
	agent := zabbixCheck{UID: 110, User: "zabbix", Groups: []string{"zabbix"}, Item: hidden}
	with := func(change func(*zabbixCheck)) *zabbixCheck {
		c := agent
		change(&c)
		return &c
	}
	for name, c := range map[string]struct {
		check *zabbixCheck
		next  string
		why   string
	}{
		"root":       {with(func(c *zabbixCheck) { c.UID = 0 }), "sudo -u zabbix whose doctor --zabbix", "root sees"},
		"fails":      {with(func(c *zabbixCheck) { c.Item = zabbixItem{} }), "whose doctor", "nothing could be collected"},
		"no bpffs":   {&agent, "sudo whose pin --group zabbix --traverse --mount", "no bpffs"},
		"unsafe":     {with(func(c *zabbixCheck) { c.Pin = doctorPin{BPFFS: true, Unsafe: "it belongs to user 7"} }), "whose doctor", "belongs to user 7"},
		"no pin":     {with(func(c *zabbixCheck) { c.Pin = doctorPin{BPFFS: true} }), "sudo whose pin --group zabbix --traverse", "nothing is pinned"},
		"old pin":    {with(func(c *zabbixCheck) { c.Pin = pinned; c.Pin.Version = 3; c.PinGroup = "whose" }), "sudo whose pin --group zabbix --traverse", "another version"},
		"root's pin": {with(func(c *zabbixCheck) { c.Pin = pinned }), "sudo whose pin --group zabbix --traverse", "only root"},
		"no member":  {with(func(c *zabbixCheck) { c.Pin, c.PinGroup = pinned, "whose" }), "sudo usermod --append --groups whose zabbix", "not in it"},
		"not yet":    {with(func(c *zabbixCheck) { c.Pin, c.PinGroup, c.Member = pinned, "whose", true }), "sudo systemctl restart zabbix-agent2", "began before"},
		"blocked": {with(func(c *zabbixCheck) {
			c.Pin, c.PinGroup, c.Member, c.InGroup = behind, "zabbix", true, true
		}), "sudo whose pin --group zabbix --traverse", "cannot be passed: /sys/fs/bpf"},
		"still": {with(func(c *zabbixCheck) {
			c.Pin, c.PinGroup, c.Member, c.InGroup = readable, "zabbix", true, true
		}), "whose doctor", "hidden all the same"},
		"slow": {with(func(c *zabbixCheck) { c.Item.HiddenProcesses, c.Item.Took = 0, 2_400_000 }), "whose zabbix get --timeout 7.5s", "longer"},
		"well": {with(func(c *zabbixCheck) { c.Item.HiddenProcesses = 0 }), "", "nothing needs to be done"},
	} {
		next, why := c.check.advice()
		if next != c.next || !strings.Contains(why, c.why) {
			t.Errorf("%s: %q, %q; want %q, %q", name, next, why, c.next, c.why)
		}
	}
}
