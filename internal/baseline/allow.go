package baseline

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
)

// maxAllowed bounds the lines of an allow list.
const maxAllowed = 10_000

// An Allow is an allow list: sessions that may be there although the baseline has none
// of them. Each line is a filter, the reason for it, and the day from which it counts
// no more:
//
//	process nginx port 8443   # status page, T-812, until 2027-01-31
//
// Empty lines and lines that begin with # say nothing. A nil list admits nothing.
type Allow struct {
	lines []allowed
}

type allowed struct {
	// Line is its number in the file.
	line    int
	text    string
	matcher *filter.Matcher
	needs   whose.Needs
	expired bool
	used    bool
}

// ReadAllow reads an allow list. now decides which lines have expired, in its zone; env
// is that of the filters. An error names the line.
func ReadAllow(r io.Reader, dialect filter.Dialect, env filter.Env, now time.Time) (*Allow, error) {
	a := new(Allow)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, filter.MaxLength+4096)
	for no := 1; lines.Scan(); no++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if len(a.lines) == maxAllowed {
			return nil, fmt.Errorf("line %d: want at most %d lines", no, maxAllowed)
		}
		l, err := parseAllowed(text, dialect, env, now)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", no, err)
		}
		l.line = no
		a.lines = append(a.lines, l)
	}
	return a, lines.Err()
}

// parseAllowed reads a line. The reason begins at the last " # ", since a filter may
// have that in a quoted value.
func parseAllowed(text string, dialect filter.Dialect, env filter.Env, now time.Time) (allowed, error) {
	at := strings.LastIndex(text, "# ")
	if at <= 0 {
		return allowed{}, whose.WithHint(fmt.Errorf("no reason"), "%s", allowHint)
	}
	reason, until, ok := cutLast(strings.TrimSpace(text[at+1:]), "until ")
	if !ok || strings.Trim(reason, " ,;") == "" {
		return allowed{}, whose.WithHint(fmt.Errorf("want a reason, and until when it holds"), "%s", allowHint)
	}
	end, err := time.ParseInLocation(time.DateOnly, until, now.Location())
	if err != nil {
		return allowed{}, whose.WithHint(fmt.Errorf("until: want a day as 2027-01-31, got %q", until), "%s", allowHint)
	}
	expr, err := dialect.Parse(text[:at])
	if err == nil && expr == nil {
		err = fmt.Errorf("want a filter before the reason")
	}
	if err != nil {
		return allowed{}, err
	}
	needs := filter.Needs(expr)
	if needs.Has(whose.NeedEvent) || needs.Has(whose.NeedLife) {
		return allowed{}, fmt.Errorf("a baseline knows nothing of how sessions end")
	}
	return allowed{text: strings.TrimSpace(text[:at]), matcher: filter.Compile(expr, env), needs: needs, expired: !now.Before(end)}, nil
}

const allowHint = "as in: process nginx port 8443  # status page, until 2027-01-31"

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], strings.TrimSpace(s[i+len(sep):]), true
	}
	return s, "", false
}

// Needs are the facts that the filters ask for, beside those of the entries.
func (a *Allow) Needs() whose.Needs {
	var needs whose.Needs
	if a != nil {
		for _, l := range a.lines {
			needs |= l.needs
		}
	}
	return needs
}

// admits reports whether a session is on the list, and marks the lines that it meets.
func (a *Allow) admits(s *whose.Session) bool {
	if a == nil {
		return false
	}
	yes := false
	for i := range a.lines {
		l := &a.lines[i]
		if l.matcher.Match(s) {
			l.used = true
			yes = yes || !l.expired
		}
	}
	return yes
}

// Stale returns what is to be done about the list: lines that met nothing, and lines
// that have expired and met something.
func (a *Allow) Stale() []string {
	if a == nil {
		return nil
	}
	var all []string
	for _, l := range a.lines {
		switch {
		case !l.used:
			all = append(all, fmt.Sprintf("line %d matches nothing any more: %s", l.line, l.text))
		case l.expired:
			all = append(all, fmt.Sprintf("line %d has expired: %s", l.line, l.text))
		}
	}
	return all
}

// session makes a session of an entry that is gone, with all that the entry knows.
func (e Entry) session() *whose.Session {
	s := &whose.Session{Proto: e.Proto, User: e.User, Family: whose.IPv4, Unknown: whose.FactUID | whose.FactRecvQueue | whose.FactSendQueue | whose.FactV6Only}
	p := &whose.Process{}
	switch {
	case strings.HasPrefix(e.Workload, "/"):
		p.Exe, p.Script, _ = strings.Cut(e.Workload, " ")
		p.Comm = p.Exe[strings.LastIndexByte(p.Exe, '/')+1:]
	case strings.Contains(e.Workload, "."):
		p.Unit = e.Workload
	}
	if p.Comm == "" {
		p.Comm = e.Workload
	}
	if e.Workload != "" {
		s.Owners = []whose.Owner{{Process: p}}
	}
	if e.Kind == Listen {
		s.State, s.Exposure = whose.Listen, e.Exposure
		if e.Proto == whose.UDP || e.Proto == whose.UDPLite {
			s.State = whose.Unconn
		}
		s.Local = netip.AddrPortFrom(netip.IPv4Unspecified(), e.Port)
		return s
	}
	s.State, s.Direction = whose.Established, whose.Out
	addr, err := netip.ParseAddr(e.Remote)
	if err != nil {
		addr = netip.IPv4Unspecified()
		if prefix, err := netip.ParsePrefix(e.Remote); err == nil {
			addr = prefix.Addr()
		}
	}
	s.Remote = netip.AddrPortFrom(addr, e.Port)
	return s
}
