package render

import (
	"net/netip"
	"strings"

	"github.com/seed-44df2ae6/whose"
)

// The arrows point from the side which began the session to the other.
const (
	arrowOut  = "→"
	arrowIn   = "←"
	arrowBoth = "↔"
	asciiOut  = "->"
	asciiIn   = "<-"
	asciiBoth = "<->"
)

// The marks before a number of folded sessions.
const (
	timesMark  = "×"
	timesASCII = "x"
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

// exposedMark stands where connections have their arrow, for a listener that may be
// reached from beyond its network namespace.
const exposedMark = "+"

func (t *table) arrowCell(c *cell, s *whose.Session) {
	switch direction := t.directionOf(s); {
	case s.Direction != 0 || t.bothEnds():
		c.mark(arrowOf(direction))
		c.style = faint
	case s.Exposure > whose.ExposureLoopback:
		c.ascii(exposedMark)
		c.style = faint
	}
}

// directionOf is the direction of a row: of both ends of a session, none if neither
// is the one that began it.
func (t *table) directionOf(s *whose.Session) whose.Direction {
	if t.bothEnds() {
		return 0
	}
	return s.Direction
}

func (t *table) bothEnds() bool { return t.folds != nil && t.folds.both }

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

// briefProto shortens the longest names, and the title.
func briefProto(text []byte) []byte {
	switch string(text) {
	case "PROTO":
		return text[:len("PRO")]
	case "udplite":
		return text[:len("udpl")]
	}
	return text
}

// localCell is the address and port on this side: "10.0.0.5:443", "[::]:443". It
// shows the unspecified address in full, and so distinguishes the families; for
// listeners the port is the part of interest. A socket bound to a device takes
// only traffic of this device and appears as in ss: "0.0.0.0%eth0:68".
func (t *table) localCell(c *cell, s *whose.Session) {
	if s.BoundDev != "" && s.IsListener() {
		zonedCell(c, s.Local.Addr(), s.BoundDev)
	} else {
		addrCell(c, s.Local.Addr(), s.Scope)
	}
	t.portCell(c, s, s.Local.Port(), whose.Out)
	if s.IsListener() {
		c.style = strong
	}
}

// remoteCell is the other side, "*" for a session without one. For a listener
// with waiting connections it is their number and the limit, for a UDP socket the
// bytes that nobody has read yet.
func (t *table) remoteCell(c *cell, s *whose.Session) {
	if s.HasRemote() {
		t.hostCell(c, s.Remote.Addr(), s.Scope)
		t.portCell(c, s, s.Remote.Port(), whose.In)
	} else {
		c.ascii("*")
		c.style = faint
		if s.State == whose.Listen && s.RecvQueue > 0 {
			queuedCell(c, s)
		}
	}
	if n := unread(s); n > 0 {
		c.ascii(" ")
		c.size(uint64(n), false)
		c.ascii(unreadWord)
		c.style = alarm
	}
}

// queuedCell gives the number of connections waiting at a listener, and the
// limit.
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

// hostCell appends the name of a remote address, or the address if it has none.
// It reports whether it appended a name.
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

// addrCell appends an address in its form before a port, with the zone if it is
// a link-local one.
func addrCell(c *cell, addr netip.Addr, scope string) {
	if addr.Is4() || !addr.IsLinkLocalUnicast() && !addr.IsLinkLocalMulticast() {
		scope = ""
	}
	zonedCell(c, addr, scope)
}

// zonedCell appends an address in its form before a port, with the device if it
// belongs to one alone.
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

// portCell appends a port, or the range of the ports of a folded row if it is of
// the side that began sessions of this direction.
func (t *table) portCell(c *cell, s *whose.Session, port uint16, began whose.Direction) {
	if t.folds != nil && t.folds.to > t.folds.from && s.Direction == began {
		t.folds.rangeCell(c)
		return
	}
	t.opts.portCell(c, port, s.Proto)
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

// netnsCell is the name of a network namespace that is not the caller's own, or
// its number.
func (t *table) netnsCell(c *cell, s *whose.Session) {
	if s.NetNS != t.opts.OwnNetNS {
		c.style = faint
		spaceCell(c, s)
	}
}

// spaceCell is the name of the network namespace, or its number.
func spaceCell(c *cell, s *whose.Session) {
	switch {
	case s.NetNSName != "":
		c.safe(s.NetNSName)
	case s.NetNS != 0:
		c.uint(uint64(s.NetNS))
	}
}

// processCell names the owners, folded, or the reason why there are none. If the
// other end is on this host too, its owners follow: "app 1234 → postgres 812".
func (t *table) processCell(c *cell, s *whose.Session) {
	least := t.firstEndCell(c, s)
	if len(s.Peer) > 0 {
		c.style = plain
		between := c.width
		c.ascii(" ")
		c.mark(arrowOf(t.directionOf(s)))
		c.ascii(" ")
		between = c.width - between
		c.least = least + between + t.ownersCell(c, s.Peer, t.maxPIDs)
	}
	if t.folds != nil {
		before := c.width
		t.folds.timesCell(c)
		if c.least > 0 {
			c.least += c.width - before
		}
	}
}

// firstEndCell names who has this end, or why nobody does. It returns the least width
// that still says so, as all these functions do.
func (t *table) firstEndCell(c *cell, s *whose.Session) (least int) {
	switch {
	case s.Reason == whose.ReasonAcceptQueue:
		c.style = faint
		return t.queueCell(c, s.Owners)
	case len(s.Owners) > 0:
		return t.ownersCell(c, s.Owners, t.maxPIDs)
	case s.Reason != whose.ReasonNone:
		c.style = faint
		c.ascii("(")
		c.ascii(reasonText(s))
		makerCell(c, s)
		c.ascii(")")
		return leastReason(c.width)
	case len(s.Peer) > 0:
		c.ascii("-")
		return 1
	}
	return 0
}

// queueCell names the owner of a waiting connection's accept queue. On a
// terminal it shows one number only.
func (t *table) queueCell(c *cell, listener []whose.Owner) (least int) {
	if len(listener) == 0 {
		c.ascii("(accept queue)")
		return leastReason(c.width)
	}
	c.ascii(queueOf)
	t.ownersCell(c, listener, min(t.maxPIDs, 1))
	c.ascii(")")
	return leastReason(c.width)
}

// reasonText is the reason in words. Sessions winding up belong to nobody by
// nature; their state is the best reason.
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

// reasonWords is the reason in the words of a cell.
func reasonWords(r whose.Reason) string {
	if r == whose.ReasonAcceptQueue {
		return "accept queue"
	}
	return r.String()
}

// makerCell names the maker of a session with hidden owners, a container or a
// unit, if known: "(hidden: nginx.service)".
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

// An ownerGroup holds the owners of one name.
type ownerGroup struct {
	name string
	pids []uint32
}

// searchGroups is the number of groups searched for a name. Owners of more names
// may show a name twice.
const searchGroups = 64

// ownersCell lists the owners by name: "nginx 812,813 +6, systemd 1". On a
// terminal it shows some names and some numbers of each, one number each for
// several names, and counts the others. Elsewhere, with maxPIDs 0, it shows all.
func (t *table) ownersCell(c *cell, owners []whose.Owner, maxPIDs int) (least int) {
	start := c.width
	name := t.listOwners(c, owners, maxPIDs) - start
	return leastOwners(c.width-start, name, digits(owners[0].PID)+moreWidth(len(owners)-1))
}

// listOwners appends the owners and returns the width up to the end of the first name.
func (t *table) listOwners(c *cell, owners []whose.Owner, maxPIDs int) (name int) {
	if len(owners) == 1 {
		nameCell(c, owners[0].Comm)
		name = c.width
		c.ascii(" ")
		c.uint(uint64(owners[0].PID))
		return name
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
		if i == 0 {
			name = c.width
		}
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
	return name
}

func moreCell(c *cell, n int) {
	if n > 0 {
		c.ascii(" +")
		c.uint(uint64(n))
	}
}

// moreWidth is the width of what moreCell appends.
func moreWidth(n int) int {
	if n <= 0 {
		return 0
	}
	return len(" +") + digits(uint32(n))
}

// groupOwners puts the owners into t.groups by name, in the order of first
// appearance. It returns the number of named owners without room.
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

// groupOf returns the group of a name. It makes the group if there is room for
// one more.
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

// nameCell appends the name of a process, in quotes if it resembles a list of
// owners, a pair or a reason.
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
// backslash, so the name ends where it seems to end: a process named `a" 1, "b`
// is no owner called a.
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

// ambiguous reports whether a name holds the marks between and around names:
// commas, quotes, brackets, arrows, numbers after a space, or a plus before all.
func ambiguous(name string) bool {
	if name[0] == ' ' || name[0] == '+' || name[len(name)-1] == ' ' {
		return true
	}
	before := byte(0)
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == ',' || c == '"' || c == '(' || c == ')':
			return true
		case before == ' ' && (c == '+' || '0' <= c && c <= '9'):
			return true
		case before == '-' && c == '>', before == '<' && c == '-':
			return true
		case c == arrowOut[0] && strings.HasPrefix(name[i:], arrowOut[:2]):
			return true // an arrow of either direction
		}
		before = name[i]
	}
	return false
}
