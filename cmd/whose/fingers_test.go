package main

import (
	"strings"
	"testing"
)

// The flags of lsof become words of the filter, and those of ss stay.
func TestTranslate(t *testing.T) {
	isUser := func(name string) bool { return name == "root" || name == "www-data" || name == "lp" }
	for args, want := range map[string]string{
		// by reflex
		"-tulpn": "-tulpn", "-tunap": "-tunap", "-tan": "-tan", "-antp": "-antp", "-plnt": "-plnt", "-u": "-u", "-lu": "-lu", "-ulp": "-ulp",
		"-t -u -l": "-t -u -l", ":443 -l": ":443 -l", "": "", "-": "-",
		// -i
		"-i :443": "port 443", "-i:443": "port 443", "-nPi :443": "-n port 443", "-i :80,443": "port 80,443", "-i :http-alt": "port http-alt",
		"-i TCP:80": "-t port 80", "-iTCP:80": "-t port 80", "-iudp": "-u", "-i 4": "-4", "-i6TCP:22": "-6 -t port 22",
		"-i @10.0.0.1": "addr 10.0.0.1", "-i tcp@10.0.0.1:443": "-t addr 10.0.0.1:443", "-i @[::1]:22": "addr [::1]:22",
		"-i @10.0.0.1:1-2": "addr 10.0.0.1:1-2", "-i @10.0.0.1:1,2": "addr 10.0.0.1 port 1,2",
		"-i -P -n": "-n", "-nP -iTCP -sTCP:LISTEN": "-n -t state LISTEN", "-P -i :22 -n": "port 22 -n",
		"-i nginx": "-i nginx", "-ti": "-ti", "-tin": "-tin", "-i": "-i", "count -i :443 --by state": "count port 443 --by state",
		"watch -i UDP:53": "watch -u port 53",
		// -p
		"-p 812": "-p pid 812", "-p812": "pid 812", "-p 812,813": "-p pid 812,813", "-np 812": "-n pid 812", "-p ^1": "-p not pid 1", "-p nginx": "-p nginx",
		// -c
		"-c nginx": "process nginx*", "-c ngi*": "process ngi*", "-c /^ng/": "process ~ ^ng", "-nc nginx": "-n process nginx*", "-c 2": "-c 2", "-c": "-c", "-c -l": "-c -l",
		// -s
		"-sTCP:LISTEN": "state LISTEN", "-s TCP:^LISTEN,CLOSE_WAIT": "not state LISTEN,CLOSE_WAIT", "-s": "-s", "-s listen": "-s listen",
		// -u
		"-u root": "user root", "-u root,www-data": "user root,www-data", "-u ^root": "not user root", "-u 1000": "user 1000",
		"-u nginx": "-u nginx", "-u port 53": "-u port 53", "-tu root": "-tu root", "-u -l": "-u -l", "-cn nginx": "-cn nginx",
		// values of ours
		"-o json -i :1": "-o json port 1", "-N -i": "-N -i", "-ojson": "-ojson", "count -b pid -p 1": "count -b pid -p pid 1",
		"-- -i :443": "-- -i :443", "--template -i": "--template -i", "-l -- -p 1": "-l -- -p 1",
		// other commands
		"pin -i :443": "pin -i :443", "zabbix count -p 1": "zabbix count -p 1", "__complete -i :4": "__complete -i :4",
	} {
		got, _, err := translate(strings.Fields(args), isUser)
		if text := strings.Join(got, " "); err != nil || normal(text) != normal(want) {
			t.Errorf("whose %s is read as %q, %v; want %q", args, text, err, want)
		}
	}
	if _, said, _ := translate([]string{"-u", "root"}, isUser); !strings.Contains(said, "taken for the user") {
		t.Errorf("-u root says %q", said)
	}
	for _, args := range []string{"-t -i :443", "-ti :443", "-t -i:8080", "-iTCP:80 -t"} {
		if got, _, err := translate(strings.Fields(args), isUser); err == nil {
			t.Errorf("whose %s is read as %q: a script that ends the PIDs would end any number in a table", args, got)
		}
	}
}

// normal leaves out -p, which means nothing.
func normal(args string) string {
	var words []string
	for _, w := range strings.Fields(args) {
		if w != "-p" {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}
