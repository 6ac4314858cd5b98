package store

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/history"
)

// The fields of a session in a roll-up.
var (
	rollSessionFields = []string{"proto", "family", "state", "direction", "reason", "end", "by", "errno", "stood_before", "host"}
	rollPlaceFields   = []string{"uid", "user", "netns", "netns_name", "socket_unit", "socket_container"}
	rollSumFields     = []string{"bytes_sent", "bytes_received", "datagrams_sent", "datagrams_received", "retrans"}
	// rollOwnerFields are the fields of owners, and how to leave them out.
	rollOwnerFields = map[string]func(*progKey){
		"comm": func(p *progKey) { p.comm = "" }, "exe": func(p *progKey) { p.exe = "" },
		"owner_user": func(p *progKey) { p.user = "" }, "unit": func(p *progKey) { p.unit = "" },
		"container": func(p *progKey) { p.container = "" }, "container_name": func(p *progKey) { p.containerName = "" },
		"pod": func(p *progKey) { p.pod = "" }, "image": func(p *progKey) { p.image = "" },
		"pod_name": func(p *progKey) { p.podName = "" }, "pod_namespace": func(p *progKey) { p.podNamespace = "" },
	}
)

// A grouper makes groups of the rows of pages for one count.
type grouper struct {
	*question
	take func(*whose.Session, int)
	per  int64
	// steps: the steps begin at whole minutes.
	steps bool
	// lacks names the wanted fields that no roll-up has, "" for none.
	lacks string
	// The wishes of the count.
	addr, port, owners, place, outcome bool
	drop                               []func(*progKey) // the facts of owners that it does not
	remotes                            []filter.Endpoints

	progs  numbered[progKey]
	crews  numbered[string] // of progs
	spots  numbered[place]
	kinds  numbered[groupKey]
	addrs  numbered[netip.Addr]
	groups groupTable
	sums   []rollSums // of the groups

	match *filter.Matcher
	lists map[uint32][]whose.Owner // by crew

	rollup             *rollPart // of which the numbers below are
	rollProgs          map[uint32]uint32
	rollPlaces         map[uint32]uint32
	keyGroups          []uint32 // of the page's keys: numbers plus one, 0 for none
	keyCrews, pageAddr []uint32
	view               pageView
	head               []byte
	pageSums           []rollSums // of the keys of an address, those touched
	touched            []uint32
	tcp                whose.TCPInfo
	life               whose.Lifetime
}

// A groupKey holds the facts of a group but for its remote address and its time.
type groupKey struct {
	shape uint64
	port  uint16
	far   bool
	owned bool
	crew  uint32 // plus one
	place uint32 // plus one
	host  string
}

// A groupID is a group: a kind, an address plus one, and a step of time.
type groupID struct {
	kind, addr uint32
	step       int32
	ended      bool
}

// mostGroups bounds the groups in memory. Then they are handed on, in parts.
const mostGroups = 1 << 18

func newGrouper(a *question, by *history.Grouping, take func(*whose.Session, int)) *grouper {
	g := &grouper{question: a, take: take, per: by.Per.Microseconds(), lists: make(map[uint32][]whose.Owner)}
	g.steps = by.Per%time.Minute == 0 && (by.Per == 0 || a.From.UnixNano()%int64(time.Minute) == 0)
	g.match = filter.Compile(a.Filter, a.Env)
	asked := make(map[string]bool)
	for _, f := range by.Fields {
		g.ask(f.Name, asked, slices.Contains(rollSumFields, f.Name))
	}
	for _, name := range filterFields(a.Filter) {
		g.ask(name, asked, false)
	}
	for name, drop := range rollOwnerFields {
		if !asked[name] {
			g.drop = append(g.drop, drop)
		}
	}
	g.place = g.place || a.NetNS != nil
	for _, e := range a.plan.Any {
		g.remotes = append(g.remotes, filter.Endpoints{Remote: e.Remote, LocalPorts: filter.AnyPort, RemotePorts: filter.AnyPort})
	}
	return g
}

// ask notes that the count asks for a field.
func (g *grouper) ask(name string, asked map[string]bool, sum bool) {
	asked[name] = true
	switch {
	case sum:
	case name == "remote_addr":
		g.addr = true
	case name == "remote_port" && g.certain("direction", "out"), name == "local_port" && (g.certain("direction", "in") || g.certain("state", "LISTEN")):
		g.port = true
	case name == "end" || name == "by" || name == "errno":
		g.outcome = true
	case rollOwnerFields[name] != nil:
		g.owners = true
	case slices.Contains(rollPlaceFields, name):
		g.place = true
	case slices.Contains(rollSessionFields, name):
	default:
		g.lacks = name
	}
}

// certain reports whether the filter admits one value of a field only.
func (g *grouper) certain(field, value string) bool {
	for _, term := range terms(g.Filter) {
		if c, ok := term.(*filter.Cond); ok && c.Field() == field && c.Op() == filter.Eq {
			if values := c.Values(); len(values) == 1 && strings.EqualFold(values[0], value) {
				return true
			}
		}
	}
	return false
}

// filterFields returns the fields of an expression.
func filterFields(e filter.Expr) []string {
	var all []string
	switch e := e.(type) {
	case *filter.And:
		for _, t := range e.Terms {
			all = append(all, filterFields(t)...)
		}
	case *filter.Or:
		for _, t := range e.Terms {
			all = append(all, filterFields(t)...)
		}
	case *filter.Not:
		all = filterFields(e.X)
	case *filter.Cond:
		all = append(all, e.Field())
		if e.Field() == "container" { // by its name as well as by its id
			all = append(all, "container_name")
		}
	}
	return all
}

// foldedText names what a folded row is without.
func (g *grouper) foldedText() string {
	if g.addr {
		return "their remote addresses"
	}
	return "their facts"
}

// lost returns which folded rows lack what the count asks for.
func (g *grouper) lost() uint8 {
	var lost uint8
	if g.addr {
		lost |= foldedRemote
	}
	if g.addr || g.port || g.owners || g.place {
		lost |= foldedAll
	}
	return lost
}

// meets reports whether a page may have a session of the question's time.
func (g *grouper) meets(p *rollPage) bool { return p.last >= g.from && p.reach <= g.to }

// whole reports whether the bounds of the question cut no minute of a page.
func (g *grouper) whole(p *rollPage) bool {
	from := g.from%minute == 0 || p.first >= g.from || p.last < g.from
	to := (g.to+1)%minute == 0 || p.last <= g.to && p.late <= g.to || p.reach > g.to
	return from && to && (g.steps || !g.meets(p))
}

// exact reports whether a page answers as its sessions do.
func (g *grouper) exact(p *rollPage) bool {
	return g.lacks == "" && p.folded&g.lost() == 0 && g.whole(p)
}

// page takes the rows of a page. folded counts the sessions without facts that the
// count asks for.
func (g *grouper) page(r *rollPart, p *rollPage, v *pageView) (folded int64, err error) {
	if err := g.prepare(r, p, v); err != nil {
		return 0, err
	}
	first, last, lost := minuteOf(g.from), minuteOf(g.to), g.lost()
	whole, one := g.inside(p), g.oneStep(p)
	if g.headOnly(p) {
		return g.totals(v, one), nil
	}
	g.pageSums = append(g.pageSums[:0], make([]rollSums, len(v.keys))...)
	g.touched = g.touched[:0]
	addr := uint32(0)
	spill := func() {
		for _, key := range g.touched {
			g.add(groupID{kind: g.keyGroups[key] - 1, addr: addr, step: one.step, ended: one.ended}, &g.pageSums[key])
			g.pageSums[key] = rollSums{}
		}
		g.touched = g.touched[:0]
	}
	err = v.each(func(row *pageRow) {
		key := row.key
		kind := g.keyGroups[key]
		if kind == 0 || !whole && (row.minute < first || row.minute-row.lag > last) {
			return
		}
		if v.keys[key].folded&lost != 0 {
			folded += int64(row.n)
		}
		at := g.pageAddr[row.addr]
		if at == math.MaxUint32 {
			return
		}
		if g.per > 0 && (!one.known || kindOf(v.keys[key].shape) == gone) {
			id := groupID{kind: kind - 1, addr: at}
			g.step(&id, row, kindOf(v.keys[key].shape), last)
			g.add(id, &row.rollSums)
			return
		}
		if at != addr {
			spill()
			addr = at
		}
		if g.pageSums[key].n == 0 {
			g.touched = append(g.touched, key)
		}
		g.pageSums[key].add(&row.rollSums)
	})
	spill()
	if err == nil && len(g.groups.ids) >= mostGroups {
		err = g.flush()
	}
	return folded, err
}

// A pageStep is the step of all rows of a page whose ends were seen, where it is one.
type pageStep struct {
	step         int32
	ended, known bool
}

// inside reports whether all sessions of a page are of the question's time.
func (g *grouper) inside(p *rollPage) bool {
	return p.first >= g.from && p.last <= g.to && p.late <= g.to
}

// totals takes the sums of the keys of a page, which is in one step.
func (g *grouper) totals(v *pageView, one pageStep) (folded int64) {
	lost := g.lost()
	for i := range v.keys {
		if g.keyGroups[i] == 0 {
			continue
		}
		id := groupID{kind: g.keyGroups[i] - 1, step: one.step, ended: one.ended}
		if k := &v.keys[i]; kindOf(k.shape) == gone && g.per > 0 {
			id.ended, id.step = false, int32(max(g.to-g.from, 0)/g.per)
		}
		if v.keys[i].folded&lost != 0 {
			folded += int64(v.sums[i].n)
		}
		g.add(id, &v.sums[i])
	}
	return folded
}

func (g *grouper) oneStep(p *rollPage) pageStep {
	if g.per == 0 {
		return pageStep{known: true}
	}
	first, last := minuteOf(p.first)*minute, minuteOf(p.last)*minute
	step := max(first-g.from, 0) / g.per
	return pageStep{int32(step), true, g.inside(p) && max(last-g.from, 0)/g.per == step}
}

func kindOf(shape uint64) kind { return kind(shape & 15) }

// step finds the step of a row: that of its end or, for sessions that went on, the
// last. Of those whose end was not seen nobody knows it.
func (g *grouper) step(id *groupID, row *pageRow, k kind, last int64) {
	at := g.to
	if id.ended = k != gone && row.minute <= last; id.ended {
		at = row.minute * minute
	}
	id.step = int32(max(at-g.from, 0) / g.per)
}

func (g *grouper) add(id groupID, sums *rollSums) {
	at, isNew := g.groups.find(id)
	if isNew {
		g.sums = append(g.sums, rollSums{})
	}
	g.sums[at].add(sums)
}

// prepare finds the kinds of a page's keys, and its addresses.
func (g *grouper) prepare(r *rollPart, p *rollPage, v *pageView) error {
	if g.rollup != r {
		g.rollup, g.rollProgs, g.rollPlaces = r, make(map[uint32]uint32), make(map[uint32]uint32)
	}
	g.keyCrews = append(g.keyCrews[:0], make([]uint32, len(v.crews))...)
	g.keyGroups = g.keyGroups[:0]
	for i := range v.keys {
		g.keyGroups = append(g.keyGroups, g.kind(r, v, &v.keys[i]))
	}
	if g.pageAddr = g.pageAddr[:0]; g.headOnly(p) {
		return r.ref.err
	}
	for _, a := range v.addrs {
		g.pageAddr = append(g.pageAddr, g.remote(a))
	}
	return r.ref.err
}

// remote returns the number plus one of an address, 0 where the count does not ask for
// it, and the greatest number for one that does not meet the filter.
func (g *grouper) remote(a netip.Addr) uint32 {
	if len(g.remotes) > 0 && !slices.ContainsFunc(g.remotes, func(e filter.Endpoints) bool {
		return e.Holds(netip.AddrPort{}, netip.AddrPortFrom(a, 0))
	}) {
		return math.MaxUint32
	}
	if !g.addr {
		return 0
	}
	return g.addrs.number(a) + 1
}

// kind returns the number plus one of the kind of a key, 0 for one that the question
// does not want.
func (g *grouper) kind(r *rollPart, v *pageView, k *rollKey) uint32 {
	var e entry
	e.setShape(k.shape)
	if !g.question.kinds(&e) {
		return 0
	}
	key := groupKey{owned: k.crew > 0, far: k.far, host: r.host}
	if g.place {
		at, ok := g.rollPlaces[k.place]
		if !ok {
			at = g.spots.number(*r.ref.place(uint64(k.place)))
			g.rollPlaces[k.place] = at
		}
		if !g.inPlace(&g.spots.all[at]) {
			return 0
		}
		key.place = at + 1
	}
	if g.port {
		key.port = k.port
	}
	if g.owners && k.crew > 0 {
		key.crew = g.crew(r, v, k.crew-1) + 1
	}
	if !g.outcome {
		e.end, e.by, e.errno = 0, 0, 0
	}
	key.shape = shapeOf(&e)
	return g.kinds.number(key) + 1
}

// crew returns the number of a crew of a page, with the facts of programs that the
// count asks for.
func (g *grouper) crew(r *rollPart, v *pageView, at uint32) uint32 {
	if g.keyCrews[at] > 0 {
		return g.keyCrews[at] - 1
	}
	progs := make([]uint32, 0, len(v.crews[at]))
	for _, number := range v.crews[at] {
		prog, ok := g.rollProgs[number]
		if !ok {
			key := *r.ref.prog(uint64(number))
			key.uid = 0
			for _, drop := range g.drop {
				drop(&key)
			}
			prog = g.progs.number(key)
			g.rollProgs[number] = prog
		}
		progs = append(progs, prog)
	}
	crew := g.crews.number(crewText(progs))
	g.keyCrews[at] = crew + 1
	if g.lists[crew] == nil {
		progs = slices.Compact(progs)
		list := make([]whose.Owner, len(progs))
		for i, prog := range progs {
			list[i].Process = g.progs.all[prog].process()
		}
		g.lists[crew] = list
	}
	return crew
}

// process makes a process of the facts of a program.
func (p *progKey) process() *whose.Process {
	return &whose.Process{
		Comm: p.comm, Exe: p.exe, Cmdline: p.cmdline, UID: p.uid, User: p.user, Unit: p.unit, Container: p.container, Pod: p.pod,
		ContainerName: p.containerName, Image: p.image, PodName: p.podName, PodNamespace: p.podNamespace,
	}
}

var noOwner = []whose.Owner{{Process: new(whose.Process)}}

// flush hands the groups on that meet the filter.
func (g *grouper) flush() error {
	for i, id := range g.groups.ids {
		s := g.session(&id, &g.sums[i])
		if g.match.Match(s) {
			if g.sums[i].n > math.MaxInt {
				return fmt.Errorf("%w: too many sessions", errMalformed)
			}
			g.take(s, int(g.sums[i].n))
			for more := g.sums[i].retrans; more > math.MaxUint32; { // a session holds no more
				more -= math.MaxUint32
				s.Life.Sent, s.Life.Received = whose.Traffic{}, whose.Traffic{}
				s.TCP.Retrans = uint32(min(more, math.MaxUint32))
				g.take(s, 0)
			}
		}
	}
	g.groups.clear()
	g.sums = g.sums[:0]
	return nil
}

// session makes the session that stands for a group, in memory that is used again.
func (g *grouper) session(id *groupID, sums *rollSums) *whose.Session {
	k := &g.kinds.all[id.kind]
	var e entry
	e.setShape(k.shape)
	if k.place > 0 {
		e.place = g.spots.all[k.place-1]
	}
	switch {
	case k.crew > 0:
		e.owners = g.lists[k.crew-1]
	case k.owned:
		e.owners = noOwner
	}
	far := uint16(btou(k.far))
	var addr netip.Addr
	if id.addr > 0 {
		addr = g.addrs.all[id.addr-1]
	}
	if localSide(&e, far) {
		e.local, e.remote = netip.AddrPortFrom(netip.Addr{}, k.port), netip.AddrPortFrom(addr, far)
	} else {
		if g.port {
			far = k.port
		}
		e.remote = netip.AddrPortFrom(addr, far)
	}
	s := &g.one
	e.session(s)
	s.State = e.stood()
	g.life = whose.Lifetime{
		End: e.end, By: e.by, Errno: e.errno, StoodBefore: e.flags&knownOpen == 0 && e.kind != failed,
		Counted: e.flags&counted != 0, Sent: sums.sent, Received: sums.received, Host: k.host,
	}
	if id.ended {
		g.life.Closed = g.at(g.from + int64(id.step)*g.per)
	}
	s.Life = &g.life
	if e.flags&hasTCP != 0 {
		g.tcp = whose.TCPInfo{Retrans: uint32(min(sums.retrans, math.MaxUint32)), BytesSent: sums.sent.Bytes, BytesReceived: sums.received.Bytes}
		s.TCP = &g.tcp
	}
	return s
}

// A groupTable numbers groups. It is a hash table with open addresses: the loop over
// the rows looks into it for each address.
type groupTable struct {
	ids    []groupID
	places []int32 // numbers plus one
}

// find returns the number of a group, perhaps a new one.
func (t *groupTable) find(id groupID) (at int32, isNew bool) {
	if 2*len(t.ids) >= len(t.places) {
		t.grow()
	}
	mask := uint64(len(t.places) - 1)
	for i := id.hash() & mask; ; i = (i + 1) & mask {
		switch at := t.places[i]; {
		case at == 0:
			t.ids = append(t.ids, id)
			t.places[i] = int32(len(t.ids))
			return int32(len(t.ids) - 1), true
		case t.ids[at-1] == id:
			return at - 1, false
		}
	}
}

func (id *groupID) hash() uint64 {
	return mix(uint64(id.kind)<<32 ^ uint64(id.addr) ^ uint64(uint32(id.step))<<44 ^ btou(id.ended)<<63)
}

func (t *groupTable) grow() {
	t.places = make([]int32, max(1024, 2*len(t.places)))
	mask := uint64(len(t.places) - 1)
	for n := range t.ids {
		i := t.ids[n].hash() & mask
		for t.places[i] != 0 {
			i = (i + 1) & mask
		}
		t.places[i] = int32(n + 1)
	}
}

func (t *groupTable) clear() {
	clear(t.places)
	t.ids = t.ids[:0]
}
