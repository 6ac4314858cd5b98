package render

import (
	"net/netip"
	"strings"

	"github.com/seed-44df2ae6/whose"
)

// The arrows point from the side that began the session to the other.
const (
	arrowOut  = "→"
	arrowIn   = "←"
	arrowBoth = "↔"
)

func arrowOf(d whose.Direction) string {
	switch d {
	case whose.In:
		return arrowIn
	case whose.Out:
		return arrowOut
	}
	return arrowBoth
}

func arrowCell(c *cell, s *whose.Session) {
	if s.Direction != 0 {
		c.mark(arrowOf(s.Direction))
		c.style = faint
	}
}

func stateCell(c *cell, s *whose.Session) {
	c.ascii(s.State.String())
	c.style = styleOf(s.State)
}

// briefState shortens the longest name as ss does.
func briefState(text []byte) []byte {
	if string(text) == "ESTABLISHED" {
		return text[:len("ESTAB")]
	}
	return text
}

// localCell is the address and port on this side: "10.0.0.5:443", "[::]:443".
// The unspecified address is shown as what it is, so that families are told
// apart; of listeners it is the port that one looks for. One that is bound
// to a device takes only what comes by it, and shows it as in ss: "0.0.0.0%eth0:68".
func (t *table) localCell(c *cell, s *whose.Session) {
	if s.BoundDev != "" && s.IsListener() {
		zonedCell(c, s.Local.Addr(), s.BoundDev)
	} else {
		addrCell(c, s.Local.Addr(), s.Scope)
	}
	t.portCell(c, s.Local.Port(), s.Proto)
	if s.IsListener() {
		c.style = strong
	}
}

// remoteCell is the other side. Of a session without one it is "*", and for a
// listener at which connections wait, how many of how many may.
func (t *table) remoteCell(c *cell, s *whose.Session) {
	addr, port := s.Remote.Addr(), s.Remote.Port()
	if port == 0 && (!addr.IsValid() || addr.IsUnspecified()) {
		c.ascii("*")
		c.style = faint
		if s.State == whose.Listen && s.RecvQueue > 0 {
			queuedCell(c, s)
		}
		return
	}
	t.hostCell(c, addr, s.Scope)
	t.portCell(c, port, s.Proto)
}

// queuedCell says how many connections wait at a listener, of how many that may.
func queuedCell(c *cell, s *whose.Session) {
	c.ascii(" ")
	c.uint(uint64(s.RecvQueue))
	c.style = passing
	if !s.Unknown.Has(whose.FactSendQueue) && s.SendQueue > 0 {
		c.ascii("/")
		c.uint(uint64(s.SendQueue))
		if s.RecvQueue > s.SendQueue {
			c.style = alarm
		}
	}
	c.ascii(queuedWord)
}

// hostCell appends the name of a remote address, or the address where it has
// none, and reports which it was.
func (t *table) hostCell(c *cell, addr netip.Addr, scope string) (named bool) {
	name := t.opts.hostName(addr)
	if name == "" {
		addrCell(c, addr, scope)
		return false
	}
	c.safe(name)
	return true
}

func (o *Options) hostName(addr netip.Addr) string {
	if o.HostName == nil {
		return ""
	}
	return o.HostName(addr)
}

// addrCell appends an address as it stands before a port, with the zone if it
// is a link-local one.
func addrCell(c *cell, addr netip.Addr, scope string) {
	if addr.Is4() || !addr.IsLinkLocalUnicast() && !addr.IsLinkLocalMulticast() {
		scope = ""
	}
	zonedCell(c, addr, scope)
}

// zonedCell appends an address as it stands before a port, with the device if it
// is of one alone.
func zonedCell(c *cell, addr netip.Addr, device string) {
	if !addr.Is4() {
		c.ascii("[")
	}
	start := len(c.text)
	c.text = addr.AppendTo(c.text)
	c.width += len(c.text) - start
	if device != "" {
		c.ascii("%")
		c.safe(device)
	}
	if !addr.Is4() {
		c.ascii("]")
	}
}

func (t *table) portCell(c *cell, port uint16, proto whose.Proto) {
	t.opts.portCell(c, port, proto)
}

// portCell appends a port, by its name if it has one.
func (o *Options) portCell(c *cell, port uint16, proto whose.Proto) {
	c.ascii(":")
	if o.ServiceName != nil {
		if name := o.ServiceName(port, proto); name != "" {
			c.safe(name)
			return
		}
	}
	c.uint(uint64(port))
}

// netnsCell is the name of the namespace, or its number.
func netnsCell(c *cell, s *whose.Session) {
	switch {
	case s.NetNSName != "":
		c.safe(s.NetNSName)
	case s.NetNS != 0:
		c.uint(uint64(s.NetNS))
	}
}

// processCell names the owners, folded; or says why there are none; and, where
// the other end is on this host too, its owners: "app 1234 → postgres 812".
func (t *table) processCell(c *cell, s *whose.Session) {
	switch {
	case s.Reason == whose.ReasonAcceptQueue:
		c.style = faint
		t.queueCell(c, s.Owners)
	case len(s.Owners) > 0:
		t.ownersCell(c, s.Owners, t.maxPIDs)
	case s.Reason != whose.ReasonNone:
		c.style = faint
		c.ascii("(")
		c.ascii(reasonText(s))
		makerCell(c, s)
		c.ascii(")")
	case len(s.Peer) > 0:
		c.ascii("-")
	}
	if len(s.Peer) > 0 {
		c.style = plain
		c.ascii(" ")
		c.mark(arrowOf(s.Direction))
		c.ascii(" ")
		t.ownersCell(c, s.Peer, t.maxPIDs)
	}
}

// queueCell says whose accept queue a connection waits in; on a terminal one
// number is enough for that.
func (t *table) queueCell(c *cell, listener []whose.Owner) {
	if len(listener) == 0 {
		c.ascii("(accept queue)")
		return
	}
	c.ascii(queueOf)
	t.ownersCell(c, listener, min(t.maxPIDs, 1))
	c.ascii(")")
}

// reasonText is the reason in words; for sessions that are being wound up, and
// so belong to nobody by nature, the state says it best.
func reasonText(s *whose.Session) string {
	if s.Reason == whose.ReasonOrphan {
		switch s.State {
		case whose.TimeWait:
			return "time-wait"
		case whose.SynRecv, whose.NewSynRecv:
			return "handshake"
		}
	}
	return s.Reason.String()
}

// reasonWords is the reason as a cell has it.
func reasonWords(r whose.Reason) string {
	if r == whose.ReasonAcceptQueue {
		return "accept queue"
	}
	return r.String()
}

// makerCell names the container or the unit that made a session whose owners
// are hidden, where it is known: "(hidden: nginx.service)".
func makerCell(c *cell, s *whose.Session) {
	switch {
	case s.Container != "":
		c.ascii(": ")
		c.safe(s.Container)
	case s.Unit != "":
		c.ascii(": ")
		c.safe(s.Unit)
	}
}

// An ownerGroup is the owners of one name.
type ownerGroup struct {
	name string
	pids []uint32
}

// searchGroups is how many groups are searched for a name; owners of more
// names than that may show a name twice.
const searchGroups = 64

// ownersCell lists the owners by name: "nginx 812,813 +6, systemd 1". On a
// terminal some names and some numbers of each are shown, of several names one
// number, and the others counted; elsewhere, with maxPIDs 0, all are shown.
func (t *table) ownersCell(c *cell, owners []whose.Owner, maxPIDs int) {
	if len(owners) == 1 {
		nameCell(c, owners[0].Comm)
		c.ascii(" ")
		c.uint(uint64(owners[0].PID))
		return
	}
	left := t.groupOwners(owners)
	if len(t.groups) > 1 {
		maxPIDs = min(maxPIDs, 1)
	}
	for i := range t.groups {
		g := &t.groups[i]
		if i > 0 {
			c.ascii(", ")
		}
		nameCell(c, g.name)
		shown := g.pids
		if maxPIDs > 0 && len(shown) > maxPIDs {
			shown = shown[:maxPIDs]
		}
		for j, pid := range shown {
			if j == 0 {
				c.ascii(" ")
			} else {
				c.ascii(",")
			}
			c.uint(uint64(pid))
		}
		moreCell(c, len(g.pids)-len(shown))
	}
	if left > 0 {
		c.ascii(",")
		moreCell(c, left)
	}
}

func moreCell(c *cell, n int) {
	if n > 0 {
		c.ascii(" +")
		c.uint(uint64(n))
	}
}

// groupOwners puts the owners into t.groups by name, in the order in which
// names are met, and returns how many have a name for which there is no room.
func (t *table) groupOwners(owners []whose.Owner) (left int) {
	t.groups = t.groups[:0]
	for i := range owners {
		g := t.groupOf(owners[i].Comm)
		if g == nil {
			left++
			continue
		}
		g.pids = append(g.pids, owners[i].PID)
	}
	return left
}

// groupOf returns the group of a name, made if there is room for one more.
func (t *table) groupOf(name string) *ownerGroup {
	for i := max(0, len(t.groups)-searchGroups); i < len(t.groups); i++ {
		if t.groups[i].name == name {
			return &t.groups[i]
		}
	}
	n := len(t.groups)
	if t.maxNames > 0 && n >= t.maxNames {
		return nil
	}
	if n < cap(t.groups) {
		t.groups = t.groups[:n+1] // with the memory of its numbers
	} else {
		t.groups = append(t.groups, ownerGroup{})
	}
	g := &t.groups[n]
	g.name, g.pids = name, g.pids[:0]
	return g
}

// nameCell appends the name of a process, in quotes if it could be mistaken
// for a list of owners, a pair or a reason.
func nameCell(c *cell, name string) {
	switch {
	case name == "":
		c.ascii("?")
	case ambiguous(name):
		quotedCell(c, name)
	default:
		c.safe(name)
	}
}

// quotedCell appends a name in quotes. Quotes and backslashes of its own get a
// backslash, so that it ends where it seems to: a process named
// `a" 1, "b` is no owner called a.
func quotedCell(c *cell, name string) {
	c.ascii(`"`)
	for {
		i := strings.IndexAny(name, `"\`)
		if i < 0 {
			break
		}
		c.safe(name[:i])
		c.ascii(`\`)
		c.ascii(name[i : i+1])
		name = name[i+1:]
	}
	c.safe(name)
	c.ascii(`"`)
}

// ambiguous reports whether a name holds what stands between and around names:
// commas, quotes, brackets, arrows, and numbers after a space.
func ambiguous(name string) bool {
	if name[0] == ' ' || name[len(name)-1] == ' ' {
		return true
	}
	before := byte(0)
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == ',' || c == '"' || c == '(' || c == ')':
			return true
		case before == ' ' && (c == '+' || '0' <= c && c <= '9'):
			return true
		case c == arrowOut[0] && strings.HasPrefix(name[i:], arrowOut[:2]):
			return true // an arrow, of whatever direction
		}
		before = name[i]
	}
	return false
}
