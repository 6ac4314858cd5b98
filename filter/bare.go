package filter

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/seed-44df2ae6/whose"
)

// bare reads words with a meaning of their own, parted by commas
// where one of several is meant.
func (p *parser) bare() (Expr, error) {
	var all []Expr
	for {
		t := p.next()
		if !t.isValue() {
			return nil, p.unexpected(t)
		}
		x, bad := p.bareWord(t)
		if !bad.isZero() {
			return nil, p.failProblem(t, bad)
		}
		if len(all) > 0 && kindOf(x) != kindOf(all[0]) {
			return nil, p.fail(t, "%s is a condition on %s, and the list began with one on %s; write or between them",
				quoted(t.text), kindOf(x), kindOf(all[0]))
		}
		all = append(all, x)
		if p.peek().kind != tokComma {
			return oneOf(all), nil
		}
		p.next()
	}
}

// kindOf names the subject of a word alone.
func kindOf(x Expr) string {
	and, ok := x.(*And)
	if !ok {
		return x.(*Cond).name
	}
	var names []string
	for _, t := range and.Terms {
		names = append(names, t.(*Cond).name)
	}
	return strings.Join(names, " and ")
}

// oneOf joins several words of a kind: one of them has to hold.
func oneOf(all []Expr) Expr {
	first, ok := all[0].(*Cond)
	switch {
	case len(all) == 1:
		return all[0]
	case !ok:
		return &Or{Terms: all}
	}
	for _, x := range all[1:] {
		first.values = append(first.values, x.(*Cond).values...)
	}
	return first
}

// bareWord returns the condition of a word alone. What was quoted is
// always the name of a process.
func (p *parser) bareWord(t token) (Expr, problem) {
	literal, pattern, glob, bad := unescape(t.text)
	if bad != "" {
		return nil, problem{msg: bad}
	}
	special := t.kind == tokWord && !strings.Contains(t.text, `\`)
	if special {
		if x, why := p.dialect.bareSpecial(literal); x != nil || !why.isZero() {
			return x, why
		}
	}
	if why := p.forgottenField(t, literal); !why.isZero() {
		return nil, why
	}
	var port *Cond
	if name, at, ok := p.dialect.nameWithPort(pattern); ok && special {
		v, why := parsePorts(at, p.dialect.port)
		if !why.isZero() {
			return nil, why
		}
		port = &Cond{name: "port", op: Eq, values: []operand{v}}
		literal, pattern = strings.TrimSuffix(literal, ":"+at), name
	}
	v, why := textOperand(literal, pattern, glob)
	if !why.isZero() {
		return nil, why
	}
	c := &Cond{name: "comm", op: Eq, values: []operand{v}}
	switch {
	case t.kind == tokWord && strings.HasPrefix(literal, "/"):
		c.name = "exe"
	case special && !glob:
		p.names = append(p.names, t)
	}
	if port != nil {
		return &And{Terms: []Expr{c, port}}, problem{}
	}
	return c, problem{}
}

// nameWithPort parts "nginx:443" and "nginx:https". Behind another word the colon
// is part of a name.
func (d Dialect) nameWithPort(word string) (name, port string, ok bool) {
	name, port, ok = strings.Cut(word, ":")
	if !ok || name == "" || port == "" || strings.Contains(port, ":") || strings.Contains(name, "/") && name[0] != '/' {
		return "", "", false
	}
	if _, known := d.port(port); known || strings.Trim(port, "0123456789-") == "" && port[0] != '-' {
		return name, port, true
	}
	return "", "", false
}

// bareSpecial returns the condition of a word other than a process's name: a
// port, an address, a protocol, state or family. Nil without a problem: it is
// none of these.
func (d Dialect) bareSpecial(word string) (Expr, problem) {
	if f, _ := bareName(word); f != nil && !isDigits(word) {
		vs, bad := parseName(f, word)
		return &Cond{name: f.Name, op: Eq, values: vs}, bad
	}
	if proto, at := withProto(word); proto != nil {
		end, bad := d.bareEnd(at)
		if !bad.isZero() {
			return nil, bad
		}
		return &And{Terms: []Expr{proto, end}}, problem{}
	}
	if strings.HasPrefix(word, ":") && strings.Count(word, ":") == 1 {
		return d.bareEnd(word)
	}
	end, bad := d.bareEnd(word)
	if bad.isZero() {
		return end, problem{}
	}
	digits := strings.Trim(word, "0123456789-") == ""
	host, _, zoned := strings.Cut(word, "%")
	_, notAddr := netip.ParseAddr(host)
	addr, _, _ := splitPorts(word)
	switch {
	case zoned && notAddr == nil:
		return nil, bad
	case digits && word[0] != '-':
		return nil, bareNumber(word)
	case strings.EqualFold(word, "out"):
		return nil, problem{msg: "out alone is no condition; write direction out", near: "direction out"}
	case isHost(addr) && addr != word:
		return nil, bad // the port is wrong
	case strings.Trim(word, "0123456789.*") == "" && strings.Count(word, ".") > 1: // a star in the middle
		return nil, bad
	case strings.Trim(word, "0123456789./:-") == "" && strings.ContainsAny(word, "0123456789"),
		strings.Trim(word, "0123456789abcdefABCDEF.:/[]-%") == "" && strings.ContainsAny(word, ":["):
		if _, _, ok := d.nameWithPort(word); ok && !isHost(addr) && strings.Trim(addr, "0123456789./") != "" {
			return nil, problem{}
		}
		bad.msg += "; quote it if a process is called so"
		return nil, bad
	}
	return nil, problem{}
}

// isHost reports whether a word is an address, a prefix or localhost.
func isHost(word string) bool {
	_, bad := parsePrefixes(word)
	return word == "*" || bad.isZero()
}

// bareEnd returns the condition of a port, an address, or both, on either end.
func (d Dialect) bareEnd(word string) (Expr, problem) {
	if ports, ok := strings.CutPrefix(word, ":"); ok && !strings.Contains(ports, ":") {
		v, bad := parsePorts(ports, d.port)
		return &Cond{name: "port", op: Eq, values: []operand{v}}, bad
	}
	vs, bad := parseEnds(word, d.port)
	return &Cond{name: "addr", op: Eq, values: vs}, bad
}

// transports are the protocols before or after a port. TCP stands for MPTCP and UDP
// for UDP-Lite too, as the flags -t and -u do.
var transports = [...]struct {
	name   string
	values []string
}{
	{"tcp", []string{"tcp", "mptcp"}}, {"udp", []string{"udp", "udplite"}},
	{"mptcp", []string{"mptcp"}}, {"udplite", []string{"udplite"}},
}

// withProto parts a protocol from a port or an end: "443/tcp" as fuser and services
// have it, "tcp:443" and "TCP@10.0.0.1:443" as lsof has it. Nil for another word.
func withProto(word string) (proto *Cond, end string) {
	at := strings.LastIndexByte(word, '/')
	if at > 0 && at < len(word)-1 {
		if proto = transport(word[at+1:]); proto != nil {
			return proto, ":" + strings.TrimPrefix(word[:at], ":")
		}
	}
	if at = strings.IndexAny(word, ":@/"); at <= 0 || at == len(word)-1 {
		return nil, ""
	}
	if proto = transport(word[:at]); proto == nil {
		return nil, ""
	}
	if word[at] == '@' {
		return proto, word[at+1:]
	}
	return proto, ":" + word[at+1:]
}

// transport returns the condition on a protocol by its name, nil for none.
func transport(name string) *Cond {
	for _, t := range transports {
		if !strings.EqualFold(name, t.name) {
			continue
		}
		c := &Cond{name: "proto", op: Eq}
		for _, v := range t.values {
			c.values = append(c.values, operand{text: v})
		}
		return c
	}
	return nil
}

// bareNumber returns the problem of a number alone.
func bareNumber(word string) problem {
	near := ":" + word
	return problem{near: near,
		msg: "a number alone may mean many things; write " + near + " for a port or pid " + word + " for a process"}
}

// foreignField returns our field for another tool's word, "" for none.
func foreignField(word string) string {
	switch strings.ToLower(word) {
	case "net", "ip", "address":
		return "addr"
	case "fwmark":
		return "mark"
	case "protocol":
		return "proto"
	case "interface", "iface":
		return "dev"
	case "command", "cmd", "program":
		return "process"
	case "service", "cgroup":
		return "unit"
	}
	return ""
}

// forgottenField returns the problem of a word that would be a process's name
// but is nearly that of a field, or another tool's word for one, with a value of
// that field after it: "prot tcp", "pidd 812", "net 10.0.0.1".
func (p *parser) forgottenField(t token, word string) problem {
	after := p.peek()
	if t.kind != tokWord || after.kind != tokWord {
		return problem{}
	}
	if ours := foreignField(word); ours != "" && p.dialect.fits(ours, after.text) {
		return problem{near: ours, msg: "unknown field " + quoted(word) + "; write " + ours + " " + after.text}
	}
	f, _ := bareName(after.text)
	if f == nil && strings.Trim(after.text, "0123456789-") != "" {
		return problem{}
	}
	near := nearest(word, fieldNames())
	if subj, ok := subjectByName(near); !ok || f != nil && f.Name != subj.name {
		return problem{}
	}
	return problem{near: near, msg: "unknown field " + quoted(word) + "; did you mean " + near + "?"}
}

// fits reports whether a word is likely to be a value of the field: an address, a
// protocol or a number for fields of these, any for names, unless it begins a
// condition itself.
func (d Dialect) fits(field, word string) bool {
	subj, _ := subjectByName(field)
	switch subj.kind() {
	case whose.KindAddr:
		_, bad := parseEnds(word, d.port)
		return bad.isZero()
	case whose.KindName:
		return namesMeant(subj.fields[0], word) != nil
	case whose.KindNumber:
		_, bad := parseNumber(word)
		return bad.isZero()
	}
	_, begins := subjectByName(word)
	f, _ := bareName(word)
	return !begins && f == nil
}

// twoWords returns the problem of a field in two words, as tcpdump has it: "src
// port 443", "dst host 10.0.0.1".
func twoWords(subj *subject, value string) problem {
	side := strings.TrimSuffix(subj.name, "_addr")
	switch {
	case strings.EqualFold(value, "port") && side != subj.name:
		return problem{near: side + "_port", msg: "write " + side + "_port for the port of that side"}
	case slices.Contains([]string{"host", "net"}, strings.ToLower(value)):
		return problem{msg: "write the address behind " + subj.name}
	}
	return problem{}
}

// Nearly returns the first word of a valid filter that was taken for the name of a
// process and is nearly a field, a state, a protocol or a family, with that; empty
// strings for none. It is for a filter that nothing meets.
func (d Dialect) Nearly(text string) (word, meant string) {
	p, err := d.parser(text)
	if err != nil || p.peek().kind == tokEnd {
		return "", ""
	}
	if _, err := p.parse(); err != nil {
		return "", ""
	}
	known := fieldNames()
	for _, name := range bareFields {
		known = append(known, spellings(whose.FieldByName(name))...)
	}
	for _, t := range p.names {
		if near := nearest(t.text, known); near != "" && !isDigits(near) {
			return t.text, strings.ToLower(near)
		}
	}
	return "", ""
}
