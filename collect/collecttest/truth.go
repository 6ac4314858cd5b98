package collecttest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/seed-44df2ae6/whose"
)

// A Truth is one session as known to the process that made it.
type Truth struct {
	// Label names it, for messages.
	Label string
	// Session is the expected session of an answer. The inode is 0 if there is
	// none, and then cookie and address identify it.
	whose.Session
	// Open are fields unknown to the process, and not compared.
	Open []string
	// Instead are the directions given by the sources that cannot know it, by
	// source; 0 for none.
	Instead map[string]whose.Direction
}

// as returns the session that a source is to give, false if it does not list
// it.
func (t *Truth) as(source string) (s whose.Session, listed bool) {
	s = t.Session
	listed = Blank(source, &s)
	if d, otherwise := t.Instead[source]; otherwise {
		s.Direction = d
	}
	return s, listed
}

// row renders every compared fact of a session, one each, by the table of
// fields. Cases of their own compare names of users and namespaces.
func row(s *whose.Session, open []string) []string {
	var row []string
	for _, f := range whose.Fields() {
		if f.Of != whose.OfSession || f.Name == "user" || f.Name == "netns_name" || slices.Contains(open, f.Name) {
			continue
		}
		if v := f.Value(s.Row()); !v.IsZero() {
			row = append(row, f.Name+"="+string(v.Append(nil)))
		}
	}
	for _, o := range s.Owners {
		if !slices.Contains(open, "owners") {
			row = append(row, fmt.Sprintf("owner=%d %q %s", o.PID, o.Comm, fdsText(o.FDs)))
		}
	}
	if slices.Contains(open, "peer") {
		return row
	}
	for _, o := range s.Peer {
		row = append(row, fmt.Sprintf("peer=%d", o.PID))
	}
	return row
}

// fdsText writes descriptors, and of many only how many they are and the ends.
func fdsText(fds []int32) string {
	if len(fds) > 200 {
		return fmt.Sprintf("%d descriptors from %d to %d", len(fds), fds[0], fds[len(fds)-1])
	}
	return fmt.Sprint(fds)
}

// A key identifies a session: by inode if there is one. The paths of an MPTCP
// session share it, so the ends of a connection are part of its key.
type key struct {
	inode         uint64
	netns         uint32
	local, remote netip.AddrPort
	datagram      bool
}

func keyOf(s *whose.Session) key {
	switch {
	case s.Inode != 0 && isTCP(s) && s.Remote.Port() != 0:
		return key{inode: s.Inode, local: s.Local, remote: s.Remote}
	case s.Inode != 0:
		return key{inode: s.Inode}
	}
	return key{netns: s.NetNS, local: s.Local, remote: s.Remote, datagram: !isTCP(s)}
}

// keyByAddress returns the key of a session with unknown inode in the answer,
// found by its addresses.
func keyByAddress(answer map[key][]*whose.Session, k key) key {
	for have, sessions := range answer {
		bare := *sessions[0]
		bare.Inode = 0
		if keyOf(&bare) == k {
			return have
		}
	}
	return k
}

// compare holds an answer of a source against the truth about some network
// namespaces and returns the mistakes, none if all is right. It ignores
// sessions of other namespaces.
func compare(source string, truths []Truth, sessions []whose.Session, namespaces []uint32) []string {
	var wrong []string
	answer := make(map[key][]*whose.Session)
	for i := range sessions {
		if s := &sessions[i]; slices.Contains(namespaces, s.NetNS) {
			answer[keyOf(s)] = append(answer[keyOf(s)], s)
		}
	}
	for i := range truths {
		want, listed := truths[i].as(source)
		k := keyOf(&want)
		if slices.Contains(truths[i].Open, "inode") {
			k = keyByAddress(answer, k)
		}
		got := answer[k]
		delete(answer, k)
		switch {
		case !listed && len(got) > 0:
			wrong = append(wrong, fmt.Sprintf("%s: listed, although %s is said not to list it", truths[i].Label, source))
		case !listed:
		case len(got) == 0:
			wrong = append(wrong, fmt.Sprintf("%s: not listed: %s", truths[i].Label, strings.Join(row(&want, truths[i].Open), " ")))
		case len(got) > 1:
			wrong = append(wrong, fmt.Sprintf("%s: listed %d times", truths[i].Label, len(got)))
		default:
			open := truths[i].Open
			if want.Cookie == 0 {
				open = append(slices.Clone(open), "cookie")
			}
			wrong = append(wrong, difference(truths[i].Label, row(&want, open), row(got[0], open))...)
		}
	}
	for _, left := range answer {
		wrong = append(wrong, "spurious: "+strings.Join(row(left[0], nil), " "))
	}
	return wrong
}

// difference names the wrong facts of a row.
func difference(label string, want, got []string) []string {
	missing := slices.DeleteFunc(slices.Clone(want), func(f string) bool { return slices.Contains(got, f) })
	extra := slices.DeleteFunc(slices.Clone(got), func(f string) bool { return slices.Contains(want, f) })
	if len(missing) == 0 && len(extra) == 0 && len(want) == len(got) {
		return nil
	}
	return []string{fmt.Sprintf("%s: want %v, got %v", label, missing, extra)}
}

// account checks that a coverage adds up with its sessions.
func account(source string, sessions []whose.Session, c *whose.Coverage, ownersAsked bool) []string {
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if name, _, _ := strings.Cut(source, " "); c.Source != name {
		say("coverage: source %q, want %q", c.Source, source)
	}
	if c.Sessions != len(sessions) {
		say("coverage: %d sessions, but there are %d", c.Sessions, len(sessions))
	}
	if c.Duration <= 0 {
		say("coverage: it took %v", c.Duration)
	}
	if c.Namespaces == 0 {
		say("coverage: no network namespace was looked into")
	}
	if c.OwnersAsked != ownersAsked {
		say("coverage: owners asked %v, want %v", c.OwnersAsked, ownersAsked)
	}
	if !ownersAsked {
		return wrong
	}
	if c.Processes == 0 {
		say("coverage: no process was looked into")
	}
	var ownerless [whose.NumReasons]int
	owned := 0
	for i := range sessions {
		s := &sessions[i]
		if s.Reason == whose.ReasonNone {
			owned++
		} else {
			ownerless[s.Reason]++
		}
		// A connection in an accept queue has owners unless its listener lost them just now.
		named := len(s.Owners) > 0
		if s.Reason != whose.ReasonAcceptQueue && named != (s.Reason == whose.ReasonNone) {
			say("%s %v: %d owners and the reason %q", s.Proto, s.Local, len(s.Owners), s.Reason)
		}
	}
	if c.Owned != owned {
		say("coverage: %d owned, but there are %d", c.Owned, owned)
	}
	for r, n := range ownerless {
		if r != int(whose.ReasonNone) && c.Ownerless[r] != n {
			say("coverage: %d of the reason %s, but there are %d", c.Ownerless[r], whose.Reason(r), n)
		}
	}
	return wrong
}
