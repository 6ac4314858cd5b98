package filter

import "slices"

// wellKnown are services by the names under which IANA has registered them, and by
// those that are in use. They are for hosts without a file of services.
var wellKnown = [...]struct {
	name string
	port uint16
}{
	{"ftp-data", 20}, {"ftp", 21}, {"ssh", 22}, {"telnet", 23}, {"smtp", 25}, {"whois", 43},
	{"domain", 53}, {"dns", 53}, {"bootps", 67}, {"bootpc", 68}, {"dhcp", 67}, {"tftp", 69},
	{"finger", 79}, {"http", 80}, {"www", 80}, {"kerberos", 88}, {"pop3", 110}, {"sunrpc", 111},
	{"rpcbind", 111}, {"ident", 113}, {"nntp", 119}, {"ntp", 123}, {"imap", 143}, {"imap2", 143},
	{"snmp", 161}, {"snmp-trap", 162}, {"bgp", 179}, {"irc", 194}, {"ldap", 389}, {"https", 443},
	{"microsoft-ds", 445}, {"smb", 445}, {"submissions", 465}, {"isakmp", 500}, {"syslog", 514},
	{"submission", 587}, {"ipp", 631}, {"ldaps", 636}, {"domain-s", 853}, {"rsync", 873},
	{"imaps", 993}, {"pop3s", 995}, {"openvpn", 1194}, {"ms-sql-s", 1433}, {"mqtt", 1883},
	{"nfs", 2049}, {"etcd-client", 2379}, {"etcd-server", 2380}, {"mysql", 3306},
	{"ms-wbt-server", 3389}, {"rdp", 3389}, {"sip", 5060}, {"xmpp-client", 5222}, {"mdns", 5353},
	{"postgresql", 5432}, {"postgres", 5432}, {"amqps", 5671}, {"amqp", 5672}, {"redis", 6379},
	{"http-alt", 8080}, {"mongodb", 27017}, {"memcached", 11211}, {"wireguard", 51820},
	{"zabbix-agent", 10050}, {"zabbix-trapper", 10051}, {"netbios-ns", 137}, {"netbios-ssn", 139},
}

// WellKnownPort returns the port of a well-known service: 443 for "https". ok is
// false for another name.
func WellKnownPort(service string) (port uint16, ok bool) {
	for i := range wellKnown {
		if wellKnown[i].name == service {
			return wellKnown[i].port, true
		}
	}
	return 0, false
}

func serviceNames() []string {
	var names []string
	for i := range wellKnown {
		names = append(names, wellKnown[i].name)
	}
	slices.Sort(names)
	return names
}

// isService reports whether a word has the form of a service's name (RFC 6335):
// letters, digits and hyphens, and a letter among them.
func isService(s string) bool {
	letter := false
	for i := 0; i < len(s); i++ {
		switch b := s[i]; {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z':
			letter = true
		case b >= '0' && b <= '9', b == '-', b == '_':
		default:
			return false
		}
	}
	return letter
}
