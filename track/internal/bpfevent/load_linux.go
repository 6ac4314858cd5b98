package bpfevent

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/bpf"
)

// A program is one program of the object.
type program struct {
	name   string
	attach ebpf.AttachType
	// wanted reports whether a configuration needs it.
	wanted func(*Config) bool
	// what is the knowledge that a kernel without it lacks, and since the first
	// kernel with it. Empty: nothing works without it.
	what, since string
	// with are other programs; without any of them it is useless.
	with []string
	// again: it is one of two copies. One takes the runs that the kernel skips
	// for the other, so the misses of neither are losses.
	again bool
}

// Places to attach programs, without such a number in package ebpf: zero is
// BPF_CGROUP_INET_INGRESS.
const (
	tracepoint = ebpf.AttachTraceRawTp
	runOnly    = ^ebpf.AttachType(0)
)

func always(*Config) bool { return true }

func wantsConnects(c *Config) bool { return c.wantsTCP() && c.wants(TCPOpen, TCPClose, TCPFail) }
func wantsFails(c *Config) bool    { return c.wantsTCP() && c.wants(TCPFail) }
func wantsAccepts(c *Config) bool  { return c.wantsTCP() && c.wants(TCPAccept, TCPClose) }
func wantsFlows(c *Config) bool    { return c.wantsUDP() && c.wants(UDPOpen, UDPClose) }
func wantsCalls(c *Config) bool    { return wantsFlows(c) && !c.Packets }
func wantsPackets(c *Config) bool  { return wantsFlows(c) && c.Packets }
func wantsBinds(c *Config) bool    { return c.wantsUDP() && c.wants(UDPBind) || wantsPackets(c) }
func wantsExits(c *Config) bool    { return c.wants(ProcessExit) }
func wantsExecs(c *Config) bool    { return c.wants(ProcessExec) }

// counters count UDP: by calls or by packets.
var counters = []string{eventsProgUdpSent, eventsProgPacketOut}

// programs are all programs. Those that only take notes come first, so that the
// others find the notes.
var programs = []program{
	{name: eventsProgFindReader, attach: runOnly, wanted: always},
	{name: eventsProgFlush, attach: runOnly, wanted: (*Config).wantsTCP},
	{name: eventsProgProcessExec, attach: tracepoint, wanted: wantsExecs},
	{name: eventsProgProcessExit, attach: tracepoint, wanted: wantsExits},
	{name: eventsProgTcpConnect4, attach: ebpf.AttachCGroupInet4Connect, wanted: wantsConnects},
	{name: eventsProgTcpConnect6, attach: ebpf.AttachCGroupInet6Connect, wanted: wantsConnects},
	{name: eventsProgRoute4, attach: tracepoint, wanted: wantsFails, what: "errors of connects without a route by IPv4"},
	{name: eventsProgRoute6, attach: tracepoint, wanted: wantsFails, what: "errors of connects without a route by IPv6"},
	{name: eventsProgTcpPeer4, attach: ebpf.AttachCgroupInet4GetPeername, wanted: wantsAccepts},
	{name: eventsProgTcpPeer6, attach: ebpf.AttachCgroupInet6GetPeername, wanted: wantsAccepts},
	{name: eventsProgTcpState, attach: tracepoint, wanted: (*Config).wantsTCP, again: true},
	{name: eventsProgTcpStateAgain, attach: tracepoint, wanted: (*Config).wantsTCP, again: true},
	{name: eventsProgUdpConnect4, attach: ebpf.AttachCGroupInet4Connect, wanted: wantsPackets},
	{name: eventsProgUdpConnect6, attach: ebpf.AttachCGroupInet6Connect, wanted: wantsPackets},
	{name: eventsProgUdpSendmsg4, attach: ebpf.AttachCGroupUDP4Sendmsg, wanted: wantsFlows, with: counters},
	{name: eventsProgUdpSendmsg6, attach: ebpf.AttachCGroupUDP6Sendmsg, wanted: wantsFlows, with: counters},
	{name: eventsProgUdpRecvmsg4, attach: ebpf.AttachCGroupUDP4Recvmsg, wanted: wantsFlows, with: counters},
	{name: eventsProgUdpRecvmsg6, attach: ebpf.AttachCGroupUDP6Recvmsg, wanted: wantsFlows, with: counters},
	{name: eventsProgUdpRelease, attach: ebpf.AttachCgroupInetSockRelease, wanted: wantsFlows, with: counters},
	{name: eventsProgUdpBind4, attach: ebpf.AttachCGroupInet4PostBind, wanted: wantsBinds},
	{name: eventsProgUdpBind6, attach: ebpf.AttachCGroupInet6PostBind, wanted: wantsBinds},
	{name: eventsProgUdpSent, attach: tracepoint, wanted: wantsCalls, what: "counts of UDP flows", since: "6.3"},
	{name: eventsProgUdpReceived, attach: tracepoint, wanted: wantsCalls, with: counters[:1]},
	{name: eventsProgUdpGro, attach: tracepoint, wanted: wantsCalls, with: counters[:1], what: "datagrams received with UDP_GRO"},
	{name: eventsProgFlushCorks, attach: runOnly, wanted: wantsCalls, with: counters[:1]},
	{name: eventsProgFlushFlows, attach: runOnly, wanted: wantsPackets},
	{name: eventsProgPacketDropped, attach: tracepoint, wanted: wantsPackets},
	{name: eventsProgPacketOut, attach: ebpf.AttachCGroupInetEgress, wanted: wantsPackets},
	{name: eventsProgPacketIn, attach: ebpf.AttachCGroupInetIngress, wanted: wantsPackets},
}

// configure sets the constants of the programs, and drops the programs that
// nobody needs.
func (s *Source) configure(spec *ebpf.CollectionSpec) error {
	c := &s.config
	for _, p := range programs {
		if !p.wanted(c) {
			delete(spec.Programs, p.name)
		}
	}
	spec.Maps[eventsMapRing].MaxEntries = uint32(c.BufferSize)
	flows := uint32(c.MaxFlows)
	if !wantsFlows(c) {
		flows = 1 // the maps have to be there
	}
	spec.Maps[eventsMapFlows].MaxEntries = flows + flows/8 + 16 // beside those on the dial, some on their way
	spec.Maps[eventsMapSlots].MaxEntries = flows
	spec.Maps[eventsMapNewest].MaxEntries = flows + flows/8 + 16
	if !wantsPackets(c) {
		for _, name := range []string{eventsMapUsers, eventsMapPending, eventsMapGone} {
			spec.Maps[name].MaxEntries = 16
		}
	}
	for name, value := range map[string]any{
		eventsVarWakeAt:       uint64(c.BufferSize / 4),
		eventsVarWanted:       c.what(),
		eventsVarProtos:       uint32(c.Query.Protos),
		eventsVarFamilies:     uint32(c.Query.Families),
		eventsVarListeners:    c.Query.Listeners,
		eventsVarMaxFlows:     flows,
		eventsVarPackets:      wantsPackets(c),
		eventsVarTakenWithin:  uint64(c.takenWithin),
		eventsVarText:         c.Text,
		eventsVarConnectHooks: wantsConnects(c),
		eventsVarConditions:   bpf.NewConditions(c.Query),
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// load loads the programs for the configuration. The tracepoint of sending
// calls came with Linux 6.3; without it, the programs that count packets take
// over.
func (s *Source) load() error {
	wait := bpf.BeginTypes(_EventsBytes)
	spec, err := loadEvents()
	if err != nil {
		return fmt.Errorf("read events object: %w", err)
	}
	types, err := wait()
	if err != nil {
		return err
	}
	if types.Lacks(spec.Programs[eventsProgUdpSent]) {
		s.config.Packets = true
	}
	if err := s.configure(spec); err != nil {
		return err
	}
	if s.object, err = bpf.Load(spec, types); err == nil {
		return nil
	}
	if s.object, s.missing, err = loadMost(spec, types, err); err != nil {
		return fmt.Errorf("load programs: %w", err)
	}
	return nil
}

// loadMost loads most of the programs after the kernel refused all together
// with err. It tries the dispensable ones one by one, and leaves out the
// refused.
func loadMost(spec *ebpf.CollectionSpec, types *bpf.Types, err error) (*bpf.Object, []error, error) {
	if errors.Is(err, unix.EPERM) {
		return nil, nil, err
	}
	var missing []error
	for _, p := range programs {
		if spec.Programs[p.name] == nil || p.what == "" {
			continue
		}
		alone := spec.Copy()
		for name := range alone.Programs {
			if name != p.name {
				delete(alone.Programs, name)
			}
		}
		one, err := bpf.Load(alone, types)
		if err == nil {
			err = one.Close()
		}
		if err != nil {
			missing = append(missing, &whose.UnsupportedError{What: p.what, Since: p.since, Err: err})
			delete(spec.Programs, p.name)
		}
	}
	if len(missing) == 0 {
		return nil, nil, err
	}
	for _, p := range programs {
		if p.with != nil && !slices.ContainsFunc(p.with, func(name string) bool { return spec.Programs[name] != nil }) {
			delete(spec.Programs, p.name)
		}
	}
	object, err := bpf.Load(spec, types)
	return object, missing, err
}

// explain names the missing thing in the error of Open.
func explain(err error) error {
	var verifier *ebpf.VerifierError
	switch {
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return whose.WithHint(err, "raise the limit of open files (ulimit -n)")
	case errors.As(err, &verifier), errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, unix.EINVAL):
		return &whose.UnsupportedError{What: "bpf events", Since: "6.1", Err: err}
	case errors.Is(err, fs.ErrNotExist):
		return &whose.UnsupportedError{What: "bpf events without kernel BTF", Err: err}
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return whose.WithHint(err, "run as root, or grant CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_ADMIN")
	}
	return err
}
