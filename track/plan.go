package track

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/track/internal/ledger"
)

// The sources, as in [Options].Source and [Source].Name.
const (
	// SourceAuto takes the best that works.
	SourceAuto = "auto"
	// SourceBPF: BPF programs report everything at once.
	SourceBPF = "bpf"
	// SourceNetlink: the kernel reports closed sockets; snapshots find the rest.
	SourceNetlink = "netlink"
	// SourceSnapshot: the differences between snapshots.
	SourceSnapshot = "snapshot"
)

// SourceNames returns the values of [Options].Source.
func SourceNames() []string { return []string{SourceAuto, SourceBPF, SourceNetlink, SourceSnapshot} }

// The defaults of [Options].
const (
	defaultUDPIdle     = 30 * time.Second
	defaultInterval    = time.Second
	defaultReconcile   = 10 * time.Second
	defaultMaxSessions = 1_000_000
	defaultMaxFlows    = 1 << 16
	defaultMaxEvents   = 1 << 16
	defaultBufferSize  = 8 << 20
)

// defaultNeeds are the facts of events without [Options].Needs.
const defaultNeeds = whose.NeedOwners | whose.NeedCmdline | whose.NeedExe | whose.NeedUser |
	whose.NeedNetNSName | whose.NeedDirection | whose.NeedPeer | whose.NeedSocketGroup

// A plan is made of [Options].
type plan struct {
	opts  Options
	needs whose.Needs
	env   filter.Env
	want  ledger.Want
	// query is the part of the filter that a source may apply.
	query source.Query
	fs    *proc.FS
	clock Clock
}

// newPlan completes the options. Its errors are the caller's mistakes, and those
// of the name services that were asked for a user.
func newPlan(ctx context.Context, opts *Options, fs *proc.FS) (*plan, error) {
	p := &plan{fs: fs}
	if opts != nil {
		p.opts = *opts
	}
	p.setDefaults()
	p.needs = p.opts.Needs
	if p.needs == 0 {
		p.needs = defaultNeeds
	}
	p.needs |= filter.Needs(p.opts.Filter) | whose.NeedDirection
	users, err := fs.UserIDs(ctx, filter.Users(p.opts.Filter))
	if err != nil {
		return nil, fmt.Errorf("follow sessions: %w", err)
	}
	p.env = filter.Env{SelfNetNS: fs.SelfNetNS(), Now: p.clock.Now(), Clock: p.clock.Now, Users: users}
	p.setWant()
	return p, nil
}

func (p *plan) setDefaults() {
	o := &p.opts
	p.clock = o.Clock
	if p.clock == nil {
		p.clock = hostClock{}
	}
	o.Protos = cmp.Or(o.Protos, whose.AllProtos)
	o.Families = cmp.Or(o.Families, whose.AllFamilies)
	o.Events = cmp.Or(o.Events, whose.SetOf(whose.EventKinds()...))
	setDefault(&o.UDPIdle, defaultUDPIdle)
	setDefault(&o.MaxSessions, defaultMaxSessions)
	setDefault(&o.MaxFlows, defaultMaxFlows)
	setDefault(&o.MaxEvents, defaultMaxEvents)
	setDefault(&o.BufferSize, defaultBufferSize)
}

func setDefault[T int | time.Duration](v *T, to T) {
	if *v <= 0 {
		*v = to
	}
}

// setWant turns filter, protocols, families and namespaces into the engine's
// checks of each session, and into the part for a source.
func (p *plan) setWant() {
	split := filter.Split(p.opts.Filter, p.env)
	p.want = ledger.Want{
		Protos: p.opts.Protos, Families: p.opts.Families, Kinds: p.opts.Events, Needs: p.needs,
		NetNS: netnsChoice(p.opts.NetNS, p.env.SelfNetNS),
	}
	if p.opts.Filter != nil {
		p.want.Match = filter.Compile(p.opts.Filter, p.env)
		p.want.Late = filter.Needs(p.opts.Filter)&(whose.NeedTCPInfo|whose.NeedPeer|whose.NeedLife|whose.NeedEvent) != 0
	}
	if p.opts.NetNS != "" && p.opts.NetNS != "all" && p.opts.NetNS != "self" {
		p.needs |= whose.NeedNetNSName
		p.want.Needs = p.needs
	}
	// A process may get a session later than it was opened, and states change.
	// The kernel must not leave out sessions for either.
	p.query = source.Query{
		Any: split.Any, Needs: p.needs, States: whose.AllStates,
		Protos: p.opts.Protos & split.Protos, Families: p.opts.Families & split.Families,
	}
	if p.needs.Has(whose.NeedPeer) {
		p.addPeers()
	}
	if p.opts.NetNS == "self" {
		p.query.NetNS = []uint32{p.env.SelfNetNS}
	} else if inode, err := strconv.ParseUint(p.opts.NetNS, 10, 32); err == nil && inode >= firstNetNS {
		p.query.NetNS = []uint32{uint32(inode)}
	}
}

// firstNetNS is the least inode number that the kernel gives to a namespace
// (PROC_DYNAMIC_FIRST). A smaller number may still be somebody's name for one.
const firstNetNS = 0xf0000000

// addPeers makes the source report peers too. Peers meet conditions on the ends
// the other way round, may be of the other family under a mapped address, and
// MPTCP talks to TCP.
func (p *plan) addPeers() {
	q := &p.query
	for _, e := range slices.Clone(q.Any) {
		q.Any = append(q.Any, e.Swapped())
	}
	q.Families = whose.AllFamilies
	if streams := whose.SetOf(whose.TCP, whose.MPTCP); q.Protos&streams != 0 {
		q.Protos |= streams
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

// snapshotOptions returns the options of the collector. They select by no
// states, owners or ends: a session may later get owners that the filter names,
// and no session of the table must seem to be missing.
func (p *plan) snapshotOptions(first bool) *collect.Options {
	o := &collect.Options{
		Protos: p.opts.Protos, Families: p.opts.Families, NetNS: p.opts.NetNS,
		States: ledger.LivingStates, Needs: whose.NeedOwners | whose.NeedDirection | whose.NeedCookie | whose.NeedSocketGroup,
		Proc: p.opts.Proc, PinDir: p.opts.PinDir,
	}
	o.Needs |= p.needs & whose.NeedNetNSName
	if p.needs.Has(whose.NeedPeer) {
		o.Families = whose.AllFamilies
		if streams := whose.SetOf(whose.TCP, whose.MPTCP); o.Protos&streams != 0 {
			o.Protos |= streams
		}
	}
	if first {
		o.States |= whose.SetOf(whose.SynSent)
		o.Needs |= p.needs &^ (whose.NeedPeer | whose.NeedTCPInfo | whose.NeedLife | whose.NeedEvent)
		if p.opts.Traffic {
			o.Needs |= whose.NeedTCPInfo
		}
	}
	return o
}

// measureOptions are those of a snapshot for the figures of TCP alone. Of a namespace
// that only a socket or a thread holds, programs know without owners; another source
// finds it by a walk over the descriptors.
func (p *plan) measureOptions(programs bool) *collect.Options {
	o := &collect.Options{
		Protos: p.opts.Protos & whose.SetOf(whose.TCP, whose.MPTCP), Families: p.opts.Families, NetNS: p.opts.NetNS,
		States: ledger.LivingStates &^ whose.SetOf(whose.Listen, whose.Unconn),
		Needs:  whose.NeedSessions | whose.NeedCookie | whose.NeedTCPInfo,
		Proc:   p.opts.Proc, PinDir: p.opts.PinDir,
	}
	if programs {
		o.Source = collect.BPF
	} else {
		o.Needs |= whose.NeedOwners
	}
	return o
}

// firstOptions are those of the first snapshot of a tracker that may use BPF.
func (p *plan) firstOptions() *collect.Options {
	o := p.snapshotOptions(true)
	if name := p.opts.Source; name == "" || name == SourceAuto || name == SourceBPF {
		o.Source = collect.BPF
	}
	return o
}

// An opener is one way to follow sessions. Its source is nil for snapshots
// alone.
type opener struct {
	name string
	open func(context.Context, *plan) (kernelSource, error)
}

// openSource opens the source asked for, or the best that works, and gives the
// reason for no better one.
func (p *plan) openSource(ctx context.Context) (kernelSource, Source, error) {
	name := p.opts.Source
	auto := name == "" || name == SourceAuto
	var refused []error
	for _, o := range openers() {
		if !auto && o.name != name {
			continue
		}
		kernel, err := o.open(ctx, p)
		if err == nil {
			return kernel, p.describeSource(o.name, kernel, refused), nil
		}
		if ctx.Err() != nil {
			return nil, Source{}, ctx.Err()
		}
		refused = append(refused, fmt.Errorf("source %s: %w", o.name, err))
	}
	if len(refused) == 0 {
		return nil, Source{}, fmt.Errorf("source %q: %w", name, collect.ErrNoSource)
	}
	return nil, Source{}, errors.Join(refused...)
}

// describeSource describes the source, with the reason for no better one.
func (p *plan) describeSource(name string, kernel kernelSource, refused []error) Source {
	s := Source{Name: name}
	if k, ok := kernel.(interface{ Missing() []error }); ok {
		for _, err := range k.Missing() {
			s.Gaps.Add(source.GapOf(whose.GapSessions, 0, err))
		}
	}
	if len(refused) > 0 {
		s.Why, s.Hint = refused[0].Error(), whose.Hint(refused[0])
	}
	if name == SourceBPF {
		return s
	}
	s.Interval = p.interval(name)
	s.Gaps.Add(whose.Gap{
		Kind: whose.GapSessions, Cause: whose.CauseUnsupported,
		Detail: fmt.Sprintf("those that open and close within %v", s.Interval), Hint: s.Hint,
	})
	return s
}

// interval returns the time between two snapshots.
func (p *plan) interval(name string) time.Duration {
	switch {
	case p.opts.Interval > 0:
		return p.opts.Interval
	case name == SourceBPF:
		return defaultReconcile
	}
	return defaultInterval
}
