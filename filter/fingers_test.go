package filter

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

// Words of ss, lsof, fuser and netstat are read as ours of the same meaning.
func TestParse_OtherTools(t *testing.T) {
	for text, want := range map[string]string{
		// ss
		"sport = :443":                         "lport 443",
		"sport eq :https":                      "lport 443",
		"dport = :https":                       "rport 443",
		"dport != :ssh":                        "rport != 22",
		"dport neq 22":                         "rport != 22",
		"sport gt :1024 and dport le 80":       "lport > 1024 and rport <= 80",
		"sport ge 1 sport geq 1 sport lt 9":    "lport >= 1 and lport >= 1 and lport < 9",
		"( dport = :https or sport = :https )": "rport 443 or lport 443",
		"src 10.0.0.1":                         "local 10.0.0.1",
		"dst 10.0.0.0/8":                       "remote 10.0.0.0/8",
		"src 10.0.0.1:https":                   "local 10.0.0.1:443",
		"dst = [::1]:ssh":                      "remote [::1]:22",
		"dst *:http":                           "remote *:80",
		"sport *:80":                           "lport 80",
		"state established":                    "state = ESTABLISHED",
		"state fin-wait-1":                     "state = FIN_WAIT1",
		"exclude listening":                    "state not in (LISTEN, UNCONN)",
		"exclude time-wait exclude listening":  "state != TIME_WAIT and state not in (LISTEN, UNCONN)",
		"state connected exclude closing":      "state connected and state != CLOSING",
		"state eq listen":                      "state listen",
		"dev = eth0":                           "dev eth0",
		// lsof
		"TCP:80":           "proto in (tcp, mptcp) and port 80",
		"tcp:https":        "proto in (tcp, mptcp) and port 443",
		"UDP@127.0.0.1:53": "proto in (udp, udplite) and addr 127.0.0.1:53",
		"tcp@localhost":    "proto in (tcp, mptcp) and addr localhost",
		// fuser, services
		"443/tcp":        "proto in (tcp, mptcp) and port 443",
		":443/tcp":       "proto in (tcp, mptcp) and port 443",
		"domain/udp":     "proto in (udp, udplite) and port 53",
		"8000-8099/TCP":  "proto in (tcp, mptcp) and port 8000-8099",
		"tcp/443":        "proto in (tcp, mptcp) and port 443",
		"443/tcp,53/udp": "(proto in (tcp, mptcp) and port 443) or (proto in (udp, udplite) and port 53)",
		// anybody
		":https":               "port 443",
		":https,:8443":         "port 443,8443",
		"port https":           "port 443",
		"port in (http,https)": "port 80,443",
		"port http-alt":        "port 8080",
		"localhost":            "addr 127.0.0.0/8,::1",
		"LOCALHOST:443":        "addr 127.0.0.0/8:443,[::1]:443",
		"local localhost":      "local 127.0.0.0/8,::1",
		"remote != localhost":  "remote not in 127.0.0.0/8,::1",
		"10.0.0.*":             "addr 10.0.0.0/24",
		"10.*":                 "addr 10.0.0.0/8",
		"10.1.*.*":             "addr 10.1.0.0/16",
		"10.0.0.*:443":         "addr 10.0.0.0/24:443",
		"dst 192.168.*":        "remote 192.168.0.0/16",
		"nginx:443":            "process nginx and port 443",
		"nginx:https":          "process nginx and port 443",
		"'nginx:443'":          `process = "nginx:443"`,
		`nginx\:443`:           `process = "nginx:443"`,
		"post*:5432":           "process post* and port 5432",
		"/usr/sbin/nginx:80":   "exe /usr/sbin/nginx and port 80",
		"nginx:80,apache2:80":  "(process nginx and port 80) or (process apache2 and port 80)",
		"not nginx:443":        "not (process nginx and port 443)",
		"abcd:80":              "process abcd and port 80",
		// these keep another meaning
		"kworker/0:1":   `process = "kworker/0:1"`,
		"dhclient:eth0": `process = "dhclient:eth0"`,
		"exclude":       "process = exclude",
		"exclude nginx": "process = exclude and process = nginx",
		"process ge":    "process = ge",
		"process eq x":  "process = eq and process = x",
		"*:443":         "addr *:443",
		"1*":            "process = 1*",
		"10.0.0.0/8":    "addr 10.0.0.0/8",
		"a/tcp-server":  "process = a/tcp-server",
	} {
		got, err := Parse(text)
		if err != nil {
			t.Errorf("Parse(%q): %v", text, err)
			continue
		}
		if ours := mustParse(t, want); !reflect.DeepEqual(got, ours) {
			t.Errorf("Parse(%q) = %s, want %s", text, got, ours)
		}
	}
	if all := mustParse(t, "state all"); DefaultStates(all) != setsOf(all, true).states {
		t.Errorf("%s leaves states out", all)
	}
}

// Words without a plain meaning are refused, with the words to use.
func TestParse_OtherTools_Refused(t *testing.T) {
	for text, want := range map[string]string{
		"net 10.0.0.0/8":    "write addr 10.0.0.0/8",
		"fwmark 7":          "write mark 7",
		"fwmark = 7":        "did you mean mark?",
		"command nginx":     "write process nginx",
		"service ssh":       "write unit ssh",
		"protocol udp":      "write proto udp",
		"src port 443":      "write local_port",
		"dst port 443":      "write remote_port",
		"dst host 10.1.1.1": "write the address behind remote_addr",
		":htps":             "did you mean https?",
		"port nonsense":     "write the number of the port",
		"nginx:99999":       "up to 65535",
		"70000/tcp":         "up to 65535",
		"10.0.0.1:80:90":    "is no address",
		"10.0.0.256":        "is no address",
		"443/tcp,nginx":     "write or between them",
		"10.*.0.1":          "is no address",
		"443":               "write :443 for a port or pid 443 for a process",
		"state gt listen":   "operator gt is not for state",
	} {
		_, err := Parse(text)
		var bad *SyntaxError
		if !errors.As(err, &bad) || !strings.Contains(bad.Msg, want) {
			t.Errorf("Parse(%q): %v, want %q", text, err, want)
		}
	}
}

// A host's own names of services come before the well-known ones.
func TestDialect_Port(t *testing.T) {
	d := Dialect{Port: func(name string) (uint16, bool) {
		n, ok := map[string]uint16{"whose-test": 4711, "https": 8443}[name]
		return n, ok
	}}
	for text, want := range map[string]string{
		":whose-test": "port 4711", "lport https": "lport 8443", "x:whose-test": "process x and port 4711",
		"10.0.0.1:whose-test": "addr 10.0.0.1:4711", "whose-test/udp": "udp,udplite port 4711", ":ssh": "port 22",
	} {
		got, err := d.Parse(text)
		if err != nil || !reflect.DeepEqual(got, mustParse(t, want)) {
			t.Errorf("%s: %v, %v, want %s", text, got, err, want)
		}
	}
}

// A word that is nearly one of the language is found, where it was taken for the
// name of a process.
func TestDialect_Nearly(t *testing.T) {
	for text, want := range map[string]string{
		"proces nginx": "proces process", "lissten": "lissten listen", "tcp and (estblished or udp)": "estblished established",
		"udpp": "udpp udp", "nginx": "", "process lissten": "", "'lissten'": "", "nginx and lisen*": "", "": "", "(": "",
		"sshd": "", "postgres": "", "curl": "", "java": "",
	} {
		word, meant := Dialect{}.Nearly(text)
		if got := strings.TrimSpace(word + " " + meant); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
