package ledger

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/netns"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
)

// A deviceID identifies a known network device; 0 is none.
type deviceID uint32

// maxNames bounds the namespaces and devices whose names are kept.
const maxNames = 1 << 16

// Names knows the names of users, network namespaces and devices, and the facts
// of a process from /proc. Without a procfs it knows nothing. Unknown things
// have no name.
type Names struct {
	fs    *proc.FS
	needs whose.Needs
	self  uint32

	netns map[uint32]string
	asked map[uint32]uint64 // time of the last look-up of the name, by the boot clock
	users map[uint32]string
	// unnamed are the users met by number alone, for [Names.Unnamed].
	unnamed []uint32
	// devices are the names by number, "" where unknown as yet; 0 is unused. The
	// numbers by index and by name, each in its namespace.
	devices   []string
	deviceIDs map[source.Device]deviceID
	byName    map[deviceName]deviceID
	// groups is the tree of control groups, nil until it was read.
	groups *proc.CgroupIndex
	// labels are the labels made so far, last the one returned last.
	labels  map[labelKey]*labels
	last    *labels
	lastKey labelKey
	// boot is the wall clock at boot, the base of start times.
	boot time.Time
	// stuck counts the processes with facts that do not come.
	stuck int
}

// NewNames returns names by a procfs, or without one.
func NewNames(fs *proc.FS, needs whose.Needs) *Names {
	n := &Names{
		fs: fs, needs: needs, netns: make(map[uint32]string), asked: make(map[uint32]uint64), users: make(map[uint32]string),
		devices: make([]string, 1), deviceIDs: make(map[source.Device]deviceID), byName: make(map[deviceName]deviceID),
		labels: make(map[labelKey]*labels),
	}
	if fs != nil {
		n.self = fs.SelfNetNS()
		n.boot, _ = fs.BootTime() // without it start times are zero, as everywhere
	}
	return n
}

// startTime turns clock ticks since boot into a time.
func (n *Names) startTime(ticks uint64) time.Time {
	if n.fs != nil {
		return n.fs.StartTime(ticks)
	}
	return time.Unix(0, 0).Add(time.Duration(ticks) * source.Tick)
}

// ofProcess are the needs for facts of processes.
const ofProcess = whose.NeedCmdline | whose.NeedExe | whose.NeedCreds | whose.NeedCgroup | whose.NeedContainerNames

// ofGroup are the needs for facts that follow from a control group.
const ofGroup = whose.NeedCgroup | whose.NeedContainerNames

// describe completes the facts of a new process, as far as needed: by its
// control group, and by /proc while it lives. t is nil where no record names
// it. A record of a process that was not reported, or was forgotten, has its
// numbers only: /proc has its name too, if it is still the same process.
func (n *Names) describe(t *bpfevent.Task, p *whose.Process) {
	needs := n.needs & ofProcess
	nameless := t != nil && t.Comm[0] == 0
	if n.fs == nil || needs == 0 && !nameless {
		return
	}
	whole := t != nil && !nameless
	if needs.Has(whose.NeedCreds) && whole {
		p.User = n.userName(p.UID)
		needs &^= whose.NeedCreds
	}
	if p.Cmdline != "" {
		needs &^= whose.NeedCmdline
	}
	if p.Exe != "" && !needs.Has(whose.NeedCmdline) { // the script follows from both
		needs &^= whose.NeedExe
	}
	if needs&ofGroup != 0 && whole && n.describeGroup(t.Cgroup, p) {
		needs &^= ofGroup
	}
	if needs == 0 && !nameless {
		return
	}
	full, err := n.fs.Process(p.PID, n.ticks(t, p), needs)
	switch {
	case errors.Is(err, proc.ErrStuck):
		if n.stuck++; full.StartTime.IsZero() {
			return // none of it came
		}
	case err != nil:
		return // it has exited: nothing more can be known
	}
	if nameless {
		p.Comm = full.Comm
	}
	fillIn(p, &full, needs)
}

// Stuck returns the number of processes, since the last call, with facts that do
// not come ([proc.ErrStuck]).
func (n *Names) Stuck() int {
	stuck := n.stuck
	n.stuck = 0
	return stuck
}

// ticks returns the start of a process as in /proc.
func (n *Names) ticks(t *bpfevent.Task, p *whose.Process) uint64 {
	if t != nil {
		return t.Start
	}
	return uint64(max(p.StartTime.Sub(n.boot)/source.Tick, 0))
}

// fillIn copies the facts that were asked for.
func fillIn(p, full *whose.Process, needs whose.Needs) {
	if needs.Has(whose.NeedCmdline) {
		p.Cmdline, p.Script = full.Cmdline, full.Script
	}
	if needs.Has(whose.NeedExe) {
		p.Exe = full.Exe
	}
	if needs.Has(whose.NeedCreds) {
		p.UID, p.User = full.UID, full.User
	}
	if needs&ofGroup != 0 {
		p.Unit, p.Container, p.Pod = full.Unit, full.Container, full.Pod
		p.ContainerName, p.Image, p.PodName, p.PodNamespace = full.ContainerName, full.Image, full.PodName, full.PodNamespace
	}
	if p.Parent == 0 {
		p.Parent = full.Parent
	}
}

// describeGroup fills in unit, container and pod, and their names, by the id of a
// control group.
func (n *Names) describeGroup(id uint64, p *whose.Process) bool {
	if id == 0 {
		return false
	}
	group, ok := n.groups.Lookup(id)
	if !ok {
		return false
	}
	p.Unit, p.Container, p.Pod = group.Unit, group.Container, group.Pod
	if n.needs.Has(whose.NeedContainerNames) {
		named, _ := n.fs.ContainerNames(context.Background(), []proc.Cgroup{group})
		p.ContainerName, p.Image, p.PodName, p.PodNamespace = named[0].Name, named[0].Image, named[0].PodName, named[0].PodNamespace
	}
	return true
}

// meet learns the names of a session's numbers.
func (n *Names) meet(e *entry) {
	if n.fs == nil {
		return
	}
	if _, known := n.users[e.uid]; !known && n.needs.Has(whose.NeedUser) {
		if len(n.users) >= maxNames {
			clear(n.users)
		}
		n.users[e.uid] = n.userName(e.uid)
	}
	if !n.needs.Has(whose.NeedNetNSName) {
		return
	}
	if _, known := n.netns[e.NetNS]; known {
		return
	}
	n.learn(e.NetNS, "")
	if e.NetNS == n.self {
		n.nameNetNS(source.NetNSRef{Inode: e.NetNS})
	}
}

// userName returns the name of a user, and notes one that has none.
func (n *Names) userName(uid uint32) string {
	name := n.fs.UserName(uid)
	if name == strconv.FormatUint(uint64(uid), 10) && len(n.unnamed) < maxNames {
		n.unnamed = append(n.unnamed, uid)
	}
	return name
}

// Unnamed returns the users met by number since the last call. They may have a
// name that takes time to ask for.
func (n *Names) Unnamed() []uint32 {
	uids := n.unnamed
	n.unnamed = nil
	return uids
}

// askAgain is the time for which a namespace's name is believed although its
// number may have a new namespace, in nanoseconds.
const askAgain = uint64(time.Second)

// meetBy names the namespace of a session by a process in it. When a namespace
// ends with all its sockets, the next one gets its number. So the name is
// believed while the namespace has sessions all the time.
func (n *Names) meetBy(of, pid uint32, sessions int, now uint64) {
	if n.fs == nil || !n.needs.Has(whose.NeedNetNSName) || pid == 0 || of == n.self {
		return
	}
	if name := n.netns[of]; name != "" && (sessions > 0 || now < n.asked[of]+askAgain) {
		return
	}
	n.asked[of] = now
	inode, err := netns.Inode(fmt.Sprintf("%s/%d/ns/net", n.fs.Root(), pid))
	if err != nil || inode != of {
		return // exited, or its socket belongs to another namespace
	}
	n.nameNetNS(source.NetNSRef{Inode: of, TID: pid})
}

func (n *Names) nameNetNS(ref source.NetNSRef) {
	found := n.fs.NetNSNames(context.Background(), []source.NetNSRef{ref})
	n.learn(ref.Inode, found[ref.Inode])
}

func (n *Names) learn(netns uint32, name string) {
	if len(n.netns) >= maxNames {
		clear(n.netns)
		clear(n.asked)
	}
	if n.netns[netns] != name {
		n.relabel()
	}
	n.netns[netns] = name
}

func (n *Names) netnsName(netns uint32) string { return n.netns[netns] }

// A deviceName is the name of a device in its namespace.
type deviceName struct {
	netns uint32
	name  string
}

// loIndex is the index of the loopback device in every namespace
// (LOOPBACK_IFINDEX).
const loIndex = 1

// device returns the number of a device of a namespace. Devices of the caller's
// own namespace have names; snapshots name the others.
func (n *Names) device(netns, index uint32) deviceID {
	if index == 0 {
		return 0
	}
	key := source.Device{NetNS: netns, Index: index}
	if id, ok := n.deviceIDs[key]; ok {
		return id
	}
	name := ""
	switch {
	case index == loIndex:
		name = "lo"
	case n.fs != nil && netns == n.self:
		if device, err := net.InterfaceByIndex(int(index)); err == nil {
			name = device.Name
		}
	}
	id := n.deviceNamed(netns, name)
	if id == 0 {
		id = n.newDevice("")
	}
	if id != 0 {
		n.deviceIDs[key] = id
	}
	return id
}

// deviceNamed returns the number of a device by its name, 0 for none.
func (n *Names) deviceNamed(netns uint32, name string) deviceID {
	if name == "" {
		return 0
	}
	key := deviceName{netns, name}
	id, ok := n.byName[key]
	if !ok {
		if id = n.newDevice(name); id != 0 {
			n.byName[key] = id
		}
	}
	return id
}

// newDevice returns a number for a device; 0 after too many.
func (n *Names) newDevice(name string) deviceID {
	if len(n.devices) >= maxNames || len(n.deviceIDs) >= maxNames {
		return 0
	}
	n.devices = append(n.devices, name)
	return deviceID(len(n.devices) - 1)
}

// sameDevice notes that a session's device, known by index, is the device named
// in a snapshot: it had no name before, or another one.
func (n *Names) sameDevice(met *uint32, named uint32) {
	if named == 0 || *met == named {
		return
	}
	for key, id := range n.deviceIDs {
		if *met != 0 && id == deviceID(*met) {
			n.deviceIDs[key] = deviceID(named)
		}
	}
	*met = named
}

// A labelKey holds everything that the labels of a session depend on. group is
// the control group of a session with hidden owners.
type labelKey struct {
	uid, netns uint32
	device     deviceID
	group      uint64
}

func keyOf(e *entry) labelKey {
	k := labelKey{uid: e.uid, netns: e.NetNS, device: deviceID(e.Device)}
	if e.reason == whose.ReasonHidden {
		k.group = e.cgroup
	}
	return k
}

// labelsOf returns the labels of a session. Sessions with the same labels share
// them, and nobody writes them again.
func (n *Names) labelsOf(e *entry) *labels {
	key := keyOf(e)
	if n.last != nil && key == n.lastKey {
		return n.last
	}
	l, ok := n.labels[key]
	if !ok {
		if len(n.labels) >= maxNames {
			n.relabel()
		}
		fresh := n.label(e)
		l = &fresh
		n.labels[key] = l
	}
	n.last, n.lastKey = l, key
	return l
}

// relabel drops the labels after a name has changed.
func (n *Names) relabel() {
	clear(n.labels)
	n.last = nil
}

func (n *Names) label(e *entry) (l labels) {
	if n.needs.Has(whose.NeedUser) && n.fs != nil {
		user, known := n.users[e.uid]
		if !known {
			user = n.fs.UserName(e.uid)
		}
		l.user = user
	}
	if e.reason == whose.ReasonHidden {
		if group, ok := n.groups.Lookup(e.cgroup); ok {
			l.unit, l.container = group.Unit, group.Container
		}
	}
	if n.needs.Has(whose.NeedNetNSName) {
		l.netns = n.netns[e.NetNS]
	}
	l.device = n.devices[e.Device]
	return l
}

// name sets the names of a session, and clears the old ones.
func (n *Names) name(e *entry, s *whose.Session) {
	l := n.label(e)
	l.write(e, s)
}

// ForgetUsers drops the names of users, for a new look-up.
func (n *Names) ForgetUsers() {
	clear(n.users)
	n.relabel()
}

// SetGroups sets the tree of control groups that names sessions with hidden
// owners.
func (n *Names) SetGroups(groups *proc.CgroupIndex) {
	n.groups = groups
	n.relabel()
}
