package hostname

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/seed-44df2ae6/whose"
)

// maxServices is the number of bytes read of a file.
const maxServices = 4 << 20

// Services are the names of ports. The zero value knows none. It is safe for
// concurrent use.
type Services struct {
	names map[service]string
	// ports has the ports by names and their aliases.
	ports map[string]uint16
}

type service struct {
	proto whose.Proto
	port  uint16
}

// ReadServices reads a file like /etc/services. A missing file is no error: the
// host has no names of services.
func ReadServices(path string) Services {
	f, err := os.Open(path)
	if err != nil {
		return Services{}
	}
	defer f.Close()
	return parseServices(io.LimitReader(f, maxServices))
}

// Name returns the name of a port, "" for none.
func (s Services) Name(port uint16, p whose.Proto) string {
	switch p {
	case whose.MPTCP:
		p = whose.TCP
	case whose.UDPLite:
		p = whose.UDP
	}
	return s.names[service{p, port}]
}

// Port returns the port of a service by its name or an alias; ok is false for an
// unknown one.
func (s Services) Port(name string) (port uint16, ok bool) {
	port, ok = s.ports[name]
	return port, ok
}

// parseServices reads lines of "name port/proto alias… # comment". The first
// name of a port stands. Lines of another form are skipped.
func parseServices(r io.Reader) Services {
	names, ports := make(map[service]string), make(map[string]uint16)
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		port, proto, _ := strings.Cut(words[1], "/")
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			continue
		}
		s := service{port: uint16(n)}
		switch proto {
		case "tcp":
			s.proto = whose.TCP
		case "udp":
			s.proto = whose.UDP
		default:
			continue
		}
		if _, taken := names[s]; !taken {
			names[s] = words[0]
		}
		for i, name := range words {
			if _, taken := ports[name]; !taken && i != 1 {
				ports[name] = s.port
			}
		}
	}
	return Services{names, ports}
}
