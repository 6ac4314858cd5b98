package collect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"
	"strconv"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/source"
)

// maxTerms bounds the conditions on the two ends pushed to a source.
const maxTerms = 16

// A plan is a question, cut into a part for the source and a rest.
type plan struct {
	opts *Options
	// fs is the procfs root in question.
	fs    *proc.FS
	needs whose.Needs
	query source.Query
	// states, protos and families are those of the answer. The query may ask
	// for more: listeners and the other ends of sessions matter too.
	states   whose.Set[whose.State]
	protos   whose.Set[whose.Proto]
	families whose.Set[whose.Family]
	// others are the states of sessions that are counted and not shown.
	others whose.Set[whose.State]
	// match evaluates the rest not applied by the source, nil for none.
	match *filter.Matcher
	// doubt evaluates what the filter asks of a session whose owners are hidden,
	// nil if it does not ask for owners.
	doubt *filter.Matcher
	// process narrows the processes to look into, nil for all.
	process func(pid uint32, comm string) bool
	// netns narrows the namespaces, nil for all.
	netns func(inode uint32, name string) bool
	order []whose.Order
}

// newPlan makes the plan of a question asked now. Its errors are the caller's
// mistakes, and those of the name services that were asked for a user.
func newPlan(ctx context.Context, opts *Options, fs *proc.FS, now time.Time) (*plan, error) {
	p := &plan{opts: opts, fs: fs}
	if err := p.setOrder(opts.Sort); err != nil {
		return nil, err
	}
	users, err := fs.UserIDs(ctx, filter.Users(opts.Filter))
	if err != nil {
		return nil, err
	}
	env := filter.Env{SelfNetNS: fs.SelfNetNS(), Now: now, Users: users}
	split := filter.Split(opts.Filter, env)
	p.query = source.Query{Any: split.Any, PIDs: split.PIDs}
	p.process = split.Process
	if split.Rest != nil {
		p.match = filter.Compile(split.Rest, env)
	}
	if filter.Needs(opts.Filter).Owners() {
		p.doubt = filter.Compile(filter.WithoutOwners(opts.Filter), env)
	}
	if p.namesPeers() {
		split.NetNS = nil // the other end may be in another namespace
	}
	p.setNetNS(opts.NetNS, split.NetNS, env)
	p.setNeeds()
	p.setKinds(&split)
	p.setEnds()
	return p, nil
}

// setNeeds adds up the needs of the shown fields, the filter and the order.
func (p *plan) setNeeds() {
	p.needs = cmp.Or(p.opts.Needs, whose.NeedDefault) | filter.Needs(p.opts.Filter)
	for _, f := range p.order {
		p.needs |= f.Field.Needs
	}
	if p.netns != nil {
		p.needs |= whose.NeedNetNSName
	}
	if len(p.query.PIDs) > 0 && !p.namesPeers() {
		// The other end may be anybody's. To name it, every process would have
		// to be looked into, and the question was about one.
		p.needs &^= whose.NeedPeer
	}
	named := p.process
	if p.showsPeers() {
		p.query.PIDs, p.process = nil, nil
	}
	if len(p.query.PIDs) > 0 || p.process != nil || p.needs.Owners() {
		p.needs |= whose.NeedOwners
	}
	if named != nil && len(p.query.PIDs) == 0 && inInner("pid") {
		p.process, named = nil, nil // only the sockets that nobody here holds show that others do
	}
	if len(p.query.PIDs) == 0 && named != nil && (excludesFirst(p.fs, named) || !hidesFirst(p.fs)) {
		p.query.Process, p.query.Peers = named, p.showsPeers()
	}
	p.query.Needs = p.needs
}

// excludesFirst reports whether the first process is surely none of those asked for,
// if some are.
func excludesFirst(fs *proc.FS, process func(pid uint32, comm string) bool) bool {
	if process == nil {
		return false
	}
	comm, err := fs.Comm(1)
	return err == nil && !process(1, comm) // its name is no secret
}

// hidesFirst reports whether the first process refuses a look even to a caller who
// may trace every process.
func hidesFirst(fs *proc.FS) bool {
	return mayTrace() && errors.Is(fs.MayLook(1), iofs.ErrPermission)
}

// showsPeers reports whether the question asks for the other ends of sessions.
func (p *plan) showsPeers() bool { return p.needs.Has(whose.NeedPeer) }

// namesPeers reports whether the question names peers. Without a choice of
// fields they are only part of everything shown.
func (p *plan) namesPeers() bool {
	return (p.opts.Needs | filter.Needs(p.opts.Filter)).Has(whose.NeedPeer)
}

// setKinds brings together the kinds of sessions from flags and filter, and
// adds the kinds that the answer follows from.
func (p *plan) setKinds(q *filter.Plan) {
	states := filter.DefaultStates(p.opts.Filter)
	p.states = cmp.Or(p.opts.States, states) & q.States
	if p.opts.CountOthers && p.opts.States == 0 {
		p.others = countedOthers &^ states
	}
	p.protos = cmp.Or(p.opts.Protos, whose.AllProtos) & q.Protos
	p.families = cmp.Or(p.opts.Families, whose.AllFamilies) & q.Families
	p.query.States, p.query.Protos, p.query.Families = p.states, p.protos, p.families
	if p.query.AsksNothing() {
		return
	}
	p.query.States |= p.others
	if p.needsListeners() {
		p.query.States |= whose.SetOf(whose.Listen, whose.Unconn)
	}
	streams := whose.SetOf(whose.TCP, whose.MPTCP)
	if p.query.Protos&streams != 0 && p.needs&(whose.NeedPeer|whose.NeedDirection|whose.NeedOwners) != 0 {
		p.query.Protos |= streams // an MPTCP listener accepts plain TCP, and talks to it
	}
	if p.showsPeers() {
		p.query.Families = whose.AllFamilies // IPv4 may talk to an IPv6 socket under its mapped address
	}
}

// needsListeners reports whether listeners have to be read for other sessions,
// even if not asked for: for the direction, and for the owners of an accept
// queue.
func (p *plan) needsListeners() bool {
	return p.needs&(whose.NeedDirection|whose.NeedOwners) != 0 && !onlyListeners(p.states)
}

func onlyListeners(states whose.Set[whose.State]) bool {
	return states&^whose.SetOf(whose.Listen, whose.Unconn) == 0
}

// setEnds completes the conditions on the ends. The other end of a session
// meets them the other way round; listeners need not meet them.
func (p *plan) setEnds() {
	if len(p.query.Any) == 0 {
		return
	}
	if p.showsPeers() {
		for _, e := range slices.Clone(p.query.Any) {
			p.query.Any = append(p.query.Any, e.Swapped())
		}
	}
	if len(p.query.Any) > maxTerms {
		p.query.Any = nil
	}
	p.query.Listeners = p.needsListeners()
}

// setNetNS turns the choice of namespaces into one test.
func (p *plan) setNetNS(choice string, fromFilter func(uint32, string) bool, env filter.Env) {
	chosen := netnsChoice(choice, env.SelfNetNS)
	switch {
	case chosen == nil:
		p.netns = fromFilter
	case fromFilter == nil:
		p.netns = chosen
	default:
		p.netns = func(inode uint32, name string) bool { return chosen(inode, name) && fromFilter(inode, name) }
	}
}

func netnsChoice(choice string, self uint32) func(uint32, string) bool {
	switch choice {
	case "", "all":
		return nil
	case "self":
		return func(inode uint32, _ string) bool { return inode == self }
	}
	number, err := strconv.ParseUint(choice, 10, 32)
	return func(inode uint32, name string) bool {
		return name == choice || err == nil && inode == uint32(number)
	}
}

// setOrder looks up the fields to sort by.
func (p *plan) setOrder(names []string) error {
	for _, name := range names {
		o, ok := whose.ParseOrder(name)
		if !ok {
			return fmt.Errorf("sort by %q: %w", name, ErrNoField)
		}
		p.order = append(p.order, o)
	}
	return nil
}

// wants reports whether the answer shows sockets of this kind, or counts them.
// Others were read only for the sake of these.
func (p *plan) wants(s *source.Socket) bool {
	return (p.states | p.others).Has(s.State) && p.protos.Has(s.Proto) && p.families.Has(s.Family)
}

// countedOthers are the states of Options.CountOthers. The rest is left out since
// no counter of the kernel has it: a source would have to walk tables that it may
// know to be empty. SYN_RECV has a listener beside it, and CLOSE is no session yet.
const countedOthers = whose.AllStates &^ (1<<whose.SynRecv | 1<<whose.NewSynRecv | 1<<whose.Close)

// admits returns a test for the processes that may be named as owners, nil for
// every process. A question about certain PIDs names only those, whatever else
// the source could see.
func (p *plan) admits() func(pid uint32) bool {
	if len(p.query.PIDs) == 0 {
		return nil
	}
	pids := make(map[uint32]bool, len(p.query.PIDs))
	for _, pid := range p.query.PIDs {
		pids[pid] = true
	}
	return func(pid uint32) bool { return pids[pid] }
}
