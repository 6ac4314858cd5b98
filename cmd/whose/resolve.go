package main

import (
	"bufio"
	"context"
	"io"
	"iter"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// Resolving is bounded in every direction: what is not known when the time is
// up stays a number.
const (
	resolveTime    = 2 * time.Second
	resolveWorkers = 32
	// resolveMost addresses are asked for in one pass.
	resolveMost = 4096
	// servicesFile and servicesMost: the file of service names, and how many
	// of its bytes are read.
	servicesFile = "/etc/services"
	servicesMost = 4 << 20
	// nameMost is the length of the longest name of a host (RFC 1035).
	nameMost = 255
)

// A resolver knows names of hosts and services. It keeps what it learned, so
// that --watch asks once. It is not safe for concurrent use; the work inside
// is done in parallel.
type resolver struct {
	within   time.Duration
	lookup   func(context.Context, string) ([]string, error)
	hosts    map[netip.Addr]string
	services map[service]string
}

type service struct {
	proto whose.Proto
	port  uint16
}

func newResolver(within time.Duration) *resolver {
	// The pure Go resolver obeys the deadline; libc's does not.
	dns := &net.Resolver{PreferGo: true}
	r := &resolver{within: within, lookup: dns.LookupAddr, hosts: make(map[netip.Addr]string)}
	r.services = readServices(servicesFile)
	return r
}

// learn asks for the names of the sessions' remote addresses. It returns when
// all are known or the time is up, whichever is first.
func (r *resolver) learn(ctx context.Context, sessions iter.Seq[whose.Session]) {
	wanted := r.unknown(sessions)
	if len(wanted) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, r.within)
	defer cancel()
	type answer struct {
		addr  netip.Addr
		name  string
		known bool
	}
	work := make(chan netip.Addr)
	answers := make(chan answer, len(wanted))
	var workers sync.WaitGroup
	for range min(resolveWorkers, len(wanted)) {
		workers.Go(func() {
			for a := range work {
				name, known := r.ask(ctx, a)
				answers <- answer{a, name, known}
			}
		})
	}
	for _, a := range wanted {
		select {
		case work <- a:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(work)
	workers.Wait()
	close(answers)
	for a := range answers {
		if a.known {
			r.hosts[a.addr] = a.name
		}
	}
}

// unknown returns the remote addresses that have not been asked for, each once.
func (r *resolver) unknown(sessions iter.Seq[whose.Session]) []netip.Addr {
	var wanted []netip.Addr
	seen := make(map[netip.Addr]bool)
	for s := range sessions {
		a := s.Remote.Addr()
		if !a.IsValid() || a.IsUnspecified() || seen[a] {
			continue
		}
		if _, known := r.hosts[a]; known {
			continue
		}
		seen[a] = true
		if wanted = append(wanted, a); len(wanted) == resolveMost {
			break
		}
	}
	return wanted
}

// ask returns the first name of an address, "" if it has none, and whether
// there was time to know.
func (r *resolver) ask(ctx context.Context, a netip.Addr) (name string, known bool) {
	name, err := r.nameOf(ctx, a)
	return name, err == nil || ctx.Err() == nil
}

// nameOf returns the first name of an address, "" if it has none; the error is
// that of the look-up. What is answered is written by whoever runs that network,
// so it is made safe here already, and a name that reads as an address is none:
// it would be taken for the one that it stands for.
func (r *resolver) nameOf(ctx context.Context, a netip.Addr) (string, error) {
	names, err := r.lookup(ctx, a.String())
	if len(names) == 0 {
		return "", err
	}
	name := strings.TrimSuffix(names[0], ".") // good ones come with an error too, if there are bad ones
	if _, bad := netip.ParseAddr(name); len(name) > nameMost || bad == nil {
		return "", nil
	}
	return printable(name), nil
}

// refuseNames is the error of --resolve with a format that has no place for names.
func refuseNames(format, formats string) error {
	return whose.WithHint(usagef("--resolve: format %s shows no names", format), "names are shown by %s", formats)
}

// host returns the name of an address, "" where none is known.
func (r *resolver) host(a netip.Addr) string { return r.hosts[a] }

// service returns the name of a port, "" where it has none.
func (r *resolver) service(p whose.Proto, port uint16) string {
	switch p {
	case whose.MPTCP:
		p = whose.TCP
	case whose.UDPLite:
		p = whose.UDP
	}
	return r.services[service{p, port}]
}

// readServices reads a file like /etc/services; a host without one has no
// names of services, which is no error.
func readServices(path string) map[service]string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	return parseServices(io.LimitReader(f, servicesMost))
}

// parseServices reads lines of "name port/proto alias… # comment". The first
// name of a port stands; a line that is not like that is passed over.
func parseServices(r io.Reader) map[service]string {
	names := make(map[service]string)
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
			names[s] = printable(words[0])
		}
	}
	return names
}
