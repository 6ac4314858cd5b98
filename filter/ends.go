package filter

import (
	"net/netip"
	"strconv"
	"strings"
)

// This file reads addresses and ports as they are typed.

// A portReader returns the port of a service.
type portReader func(service string) (uint16, bool)

// port finds a service by the host's names, else by the well-known ones.
func (d Dialect) port(service string) (uint16, bool) {
	if d.Port != nil {
		if n, ok := d.Port(service); ok {
			return n, true
		}
	}
	return WellKnownPort(service)
}

// parseEnds reads an address or prefix, a port or range of ports, or both:
// "10.0.0.0/8", "[::1]:443", "1.2.3.4:8000-9000", "*:80", ":https", "10.0.0.*".
// Localhost is two prefixes.
func parseEnds(s string, port portReader) ([]operand, problem) {
	addr, ports, hasPorts := splitPorts(s)
	v := operand{ports: AnyPort}
	var prefixes []netip.Prefix
	switch {
	case addr != "" && addr != "*":
		var bad problem
		if prefixes, bad = parsePrefixes(addr); !bad.isZero() {
			return nil, bad
		}
	case !hasPorts:
		return nil, problemf("%s is no address", quoted(s))
	default:
		prefixes = []netip.Prefix{{}}
	}
	if hasPorts {
		span, bad := parsePorts(ports, port)
		if !bad.isZero() {
			return nil, bad
		}
		v.hasPorts, v.ports = true, PortRange{First: uint16(span.lo), Last: uint16(span.hi)}
	}
	ends := make([]operand, len(prefixes))
	for i, p := range prefixes {
		ends[i] = v
		ends[i].prefix = p
	}
	return ends, problem{}
}

// parsePorts reads a port, a range, or the name of a service.
func parsePorts(s string, port portReader) (operand, problem) {
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		return parseSpan(s, parsePort)
	}
	if n, ok := port(s); ok {
		return operand{lo: uint64(n), hi: uint64(n)}, problem{}
	}
	_, bad := parsePort(s)
	if !isService(s) {
		return operand{}, bad
	}
	bad.msg = "no service " + quoted(s) + " is known; write the number of the port"
	if bad.near = nearest(s, serviceNames()); bad.near != "" {
		bad.msg += ", or did you mean " + bad.near + "?"
	}
	return operand{}, bad
}

func parsePort(s string) (uint64, problem) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, problemf("%s is no port; write a number up to 65535 or a range such as 8000-9000", quoted(s))
	}
	return n, problem{}
}

// splitPorts parts address and port. Brackets may stand around an IPv6 address
// with or without its prefix length: "[fe80::]/10:22", "[fe80::/10]:22".
func splitPorts(s string) (addr, ports string, hasPorts bool) {
	if inner, rest, ok := strings.Cut(strings.TrimPrefix(s, "["), "]"); ok && s[0] == '[' {
		bits, ports, hasPorts := strings.Cut(rest, ":")
		return inner + bits, ports, hasPorts
	}
	if strings.Count(s, ":") > 1 {
		return s, "", false
	}
	return strings.Cut(s, ":")
}

// loopback returns the prefixes of localhost.
func loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// parsePrefixes reads an address, a prefix, one with "*" for its last parts, or
// localhost.
func parsePrefixes(s string) ([]netip.Prefix, problem) {
	if strings.EqualFold(s, "localhost") {
		return loopback(), problem{}
	}
	p, ok := starredPrefix(s)
	bad := problem{}
	if !ok {
		p, bad = parsePrefix(s)
	}
	return []netip.Prefix{p}, bad
}

// starredPrefix reads "10.0.0.*".
func starredPrefix(s string) (netip.Prefix, bool) {
	const parts = 4
	head := strings.TrimSuffix(s, "*")
	for strings.HasSuffix(head, ".*.") {
		head = strings.TrimSuffix(head, "*.")
	}
	known := strings.Count(head, ".")
	if head == s || !strings.HasSuffix(head, ".") || known >= parts || strings.Count(s, ".") >= parts {
		return netip.Prefix{}, false
	}
	a, err := netip.ParseAddr(head + strings.TrimSuffix(strings.Repeat("0.", parts-known), "."))
	return netip.PrefixFrom(a, 8*known), err == nil
}

func parsePrefix(s string) (netip.Prefix, problem) {
	host, bits, hasBits := strings.Cut(s, "/")
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}, problemf("%s is no address", quoted(s))
	}
	if a.Zone() != "" {
		return netip.Prefix{}, problemf("an address takes no zone; write %s and scope %s", a.WithZone(""), quoted(a.Zone()))
	}
	n := uint64(a.BitLen())
	if hasBits {
		if n, err = strconv.ParseUint(bits, 10, 8); err != nil || n > uint64(a.BitLen()) {
			return netip.Prefix{}, problemf("%s is no prefix length of %s; it is at most %d", quoted(bits), a, a.BitLen())
		}
	}
	const mappedBits = 96
	if a.Is4In6() && n >= mappedBits {
		a, n = a.Unmap(), n-mappedBits
	}
	return netip.PrefixFrom(a, int(n)).Masked(), problem{}
}
