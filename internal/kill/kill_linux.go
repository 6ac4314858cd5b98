package kill

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/netns"
	"github.com/seed-44df2ae6/whose/internal/proc"
)

// A Killer makes plans and carries them out. It keeps descriptors in the network
// namespaces of their sessions until Close. It is not safe for concurrent use.
type Killer struct {
	fs    *proc.FS
	self  uint32
	kin   map[uint32]bool // the processes that this one was started from
	conns map[uint32]*conn
	ways  map[uint32]string           // into namespaces, nil before they are listed
	inner map[uint32][]*whose.Session // sessions in a namespace that lead into it
}

// Open returns a killer for the caller's own /proc. It needs no privilege; ending
// needs it: CAP_NET_ADMIN in the namespace of a session, CAP_SYS_ADMIN to enter
// another one, the right to signal for a process.
func Open() (*Killer, error) {
	fs, err := proc.Open("/proc")
	if err != nil {
		return nil, err
	}
	k := &Killer{fs: fs, self: uint32(os.Getpid()), kin: make(map[uint32]bool), conns: make(map[uint32]*conn)}
	for pid := uint32(os.Getppid()); pid != 0 && !k.kin[pid]; {
		k.kin[pid] = true
		if _, pid, err = fs.Birth(pid); err != nil {
			break // it ended, and whose has another parent now
		}
	}
	return k, nil
}

// Close gives back the killer's descriptors.
func (k *Killer) Close() error {
	for _, c := range k.conns {
		if c != nil {
			c.close()
		}
	}
	k.conns = nil
	return k.fs.Close()
}

// Sessions plans the end of the sessions. Those that the caller's own shell, terminal
// or remote login holds are spared, unless own is set.
func (k *Killer) Sessions(sessions []whose.Session, own bool) *Plan {
	p := &Plan{killer: k}
	k.inner = make(map[uint32][]*whose.Session)
	for i := range sessions {
		t := Target{Session: &sessions[i], pidfd: -1}
		if s := t.Session; len(s.Owners) > 0 && len(k.inner[s.NetNS]) < enoughWays {
			k.inner[s.NetNS] = append(k.inner[s.NetNS], s)
		}
		if err := endable(t.Session); err != nil {
			p.spare(t, err)
		} else if kin := k.holder(t.Session); kin != nil && !own {
			p.spare(t, fmt.Errorf("%s %d holds it, and %w; --own ends it too", kin.Comm, kin.PID, errKin))
		} else {
			p.Targets = append(p.Targets, t)
		}
	}
	return p
}

// holder returns the owner of the session from which the caller was started, nil
// for none.
func (k *Killer) holder(s *whose.Session) *whose.Process {
	for _, o := range s.Owners {
		if o.Process != nil && k.kin[o.PID] {
			return o.Process
		}
	}
	return nil
}

// Owners plans a signal to each owner of the sessions, once. It opens each process
// and compares its start, so that no other can take its place. The caller itself and
// the first process are spared always, those that started it unless own is
// set.
func (k *Killer) Owners(sessions []whose.Session, signal int, own bool) *Plan {
	p := &Plan{killer: k, signal: signal}
	at := make(map[uint32]int)
	for i := range sessions {
		for _, o := range sessions[i].Owners {
			if o.Process == nil {
				continue
			}
			n, known := at[o.PID]
			if !known {
				n = k.addOwner(p, Target{Session: &sessions[i], Process: o.Process, pidfd: -1}, own)
				at[o.PID] = n
			}
			if n >= 0 {
				p.Targets[n].Sessions++
			}
		}
		if len(sessions[i].Owners) == 0 {
			p.spare(Target{Session: &sessions[i], pidfd: -1}, noOwner(&sessions[i]))
		}
	}
	return p
}

// noOwner is the reason why a session has no process to end.
func noOwner(s *whose.Session) error {
	if s.Reason == whose.ReasonHidden {
		return fmt.Errorf("its process is hidden: %w", os.ErrPermission)
	}
	return fmt.Errorf("no process holds it (%v)", s.Reason)
}

// addOwner puts a process into the plan and returns its place, -1 if it is spared.
func (k *Killer) addOwner(p *Plan, t Target, own bool) int {
	var err error
	switch pid := t.Process.PID; {
	case pid == k.self:
		err = errSelf
	case pid == 1:
		err = errFirst
	case k.kin[pid] && !own:
		err = fmt.Errorf("%w; --own ends it too", errKin)
	default:
		t.pidfd, err = k.open(t.Process)
	}
	if err != nil {
		p.spare(t, err)
		return -1
	}
	p.Targets = append(p.Targets, t)
	return len(p.Targets) - 1
}

// open opens a process, and compares its start after that.
func (k *Killer) open(process *whose.Process) (int, error) {
	fd, err := unix.PidfdOpen(int(process.PID), 0)
	if err != nil {
		return -1, processError(err)
	}
	start, _, err := k.fs.Birth(process.PID)
	switch {
	case errors.Is(err, proc.ErrGone), err == nil && !k.fs.StartTime(start).Equal(process.StartTime):
		err = ErrGone
	case err == nil:
		return fd, nil
	}
	unix.Close(fd)
	return -1, err
}

// processError gives the meaning of an error of pidfd_open and pidfd_send_signal.
func processError(err error) error {
	switch {
	case errors.Is(err, unix.ESRCH):
		return ErrGone
	case errors.Is(err, unix.ENOSYS):
		return &whose.UnsupportedError{What: "pidfd_open", Since: "5.3", Err: err}
	case errors.Is(err, unix.EPERM):
		return whose.WithHint(err, "try sudo")
	}
	return err
}

// Close gives back the processes of the plan.
func (p *Plan) Close() {
	for i := range p.Targets {
		if t := &p.Targets[i]; t.pidfd >= 0 {
			unix.Close(t.pidfd)
			t.pidfd = -1
		}
	}
}

// Run ends the targets. It returns how many it ended, and the others with the
// reasons: [ErrGone] for one that ended by itself meanwhile. When ctx ends it stops;
// the rest then fail with its error.
func (p *Plan) Run(ctx context.Context) (ended int, failed []Failure) {
	for i := range p.Targets {
		t := &p.Targets[i]
		err := ctx.Err()
		switch {
		case err != nil:
		case t.Process != nil:
			err = send(t.pidfd, p.signal)
		default:
			err = p.killer.end(ctx, t.Session)
		}
		if err != nil {
			failed = append(failed, Failure{*t, err})
			continue
		}
		ended++
	}
	return ended, failed
}

// send signals an open process.
func send(pidfd, signal int) error {
	if err := unix.PidfdSendSignal(pidfd, unix.Signal(signal), nil, 0); err != nil {
		return processError(err)
	}
	return nil
}

// end ends a session.
func (k *Killer) end(ctx context.Context, s *whose.Session) error {
	c, err := k.conn(ctx, s)
	if err != nil {
		return err
	}
	device, err := c.device(s.BoundDev)
	if err != nil {
		return err
	}
	one := sockOf(s, device)
	if s.Proto == whose.MPTCP && !s.Subflow {
		return endMPTCP(c, s, one)
	}
	return endSock(c, s, one)
}

// endSock ends one socket.
func endSock(c *conn, s *whose.Session, one sock) error {
	errno, err := unix.Errno(0), error(nil)
	if s.State == whose.Listen {
		errno, err = c.destroyListener(one)
	} else {
		errno, err = c.destroy(&one)
	}
	if err == nil && errno == unix.ENOENT && (s.State == whose.Listen || s.Proto.IsDatagram()) {
		var stands bool
		if stands, err = c.stands(&one); stands {
			return errors.New("the kernel finds another socket with its ends first")
		}
	}
	if err != nil {
		return err
	}
	return sessionError(errno, s.State)
}

// endMPTCP ends an MPTCP session: the kernel ends its subflows, and it with the last.
func endMPTCP(c *conn, s *whose.Session, whole sock) error {
	subflows, err := c.subflows(s, whole)
	if err != nil {
		return err
	}
	if len(subflows) == 0 {
		return ErrGone
	}
	for _, one := range subflows {
		if err := endSock(c, s, one); err != nil && !errors.Is(err, ErrGone) {
			return fmt.Errorf("end subflow: %w", err)
		}
	}
	return nil
}

// sessionError gives the meaning of the kernel's answer to SOCK_DESTROY.
func sessionError(errno unix.Errno, state whose.State) error {
	switch errno {
	case 0:
		return nil
	case unix.ENOENT, unix.ESTALE: // none has its ends, or another one
		return ErrGone
	case unix.EPERM, unix.EACCES:
		return whose.WithHint(fmt.Errorf("end session: %w", errno), "it needs CAP_NET_ADMIN in its network namespace; try sudo")
	case unix.EOPNOTSUPP:
		if state == whose.TimeWait || state == whose.SynRecv {
			return &whose.UnsupportedError{What: fmt.Sprintf("ending a session in %v", state), Err: errno}
		}
		return &whose.UnsupportedError{What: "ending sessions (CONFIG_INET_DIAG_DESTROY)", Err: errno}
	case unix.EINVAL:
		return &whose.UnsupportedError{What: "ending sessions (SOCK_DESTROY)", Since: "4.5", Err: errno}
	}
	return fmt.Errorf("end session: %w", errno)
}

// conn returns the sockets in the session's network namespace.
func (k *Killer) conn(ctx context.Context, s *whose.Session) (*conn, error) {
	if c := k.conns[s.NetNS]; c != nil {
		return c, nil
	}
	var c *conn
	err := netns.OnThread(func(thread *netns.Thread) (err error) {
		if s.NetNS != k.fs.SelfNetNS() {
			if err := k.enter(ctx, thread, s); err != nil {
				return err
			}
		}
		c, err = openConn()
		return err
	})
	if err != nil {
		return nil, err
	}
	k.conns[s.NetNS] = c
	return c, nil
}

// enoughWays bounds the sessions that are asked for their own namespace.
const enoughWays = 16

// enterTries is how often the ways into a namespace are listed where one is gone
// before it was used.
const enterTries = 3

// enter moves a thread into the session's network namespace: by a process, a mount or
// a descriptor or, if only sockets hold it, by one of the plan's.
func (k *Killer) enter(ctx context.Context, thread *netns.Thread, s *whose.Session) error {
	var err error
	for range enterTries {
		if err = k.listWays(ctx); err != nil {
			return err
		}
		if err = thread.Enter(k.ways[s.NetNS], s.NetNS); !errors.Is(err, netns.ErrGone) {
			break
		}
		k.ways = nil // another process had it open for a moment
	}
	if !errors.Is(err, netns.ErrGone) && !errors.Is(err, netns.ErrNoWay) {
		return err
	}
	for _, known := range k.inner[s.NetNS] {
		for _, o := range known.Owners {
			if f := behind(o, s.NetNS); f != nil {
				defer f.Close()
				return thread.EnterFile(f)
			}
		}
	}
	return err
}

// listWays lists the ways into all namespaces, once.
func (k *Killer) listWays(ctx context.Context) error {
	if k.ways != nil {
		return nil
	}
	refs, _, err := k.fs.Namespaces(ctx)
	if err != nil {
		return err
	}
	var walk proc.Walk // descriptors hold others
	if err := k.fs.Walk(ctx, proc.WalkOptions{WantNetNS: true}, &walk); err != nil {
		return err
	}
	k.ways = make(map[uint32]string)
	for _, r := range append(walk.NetNS, refs...) {
		k.ways[r.Inode] = r.Path
	}
	return nil
}

// behind returns the network namespace of the socket that an owner has, nil if it is
// another or cannot be had.
func behind(o whose.Owner, inode uint32) *netns.File {
	if o.Process == nil || len(o.FDs) == 0 {
		return nil
	}
	p, err := netns.OpenProcess(o.PID)
	if err != nil {
		return nil
	}
	defer p.Close()
	fd, err := p.Borrow(o.FDs[0])
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	f, err := netns.OfSocket(fd)
	if err != nil {
		return nil
	}
	if f.Inode != inode {
		f.Close()
		return nil
	}
	return f
}

// ParseSignal returns the number of a signal: "TERM", "SIGTERM" or "15".
func ParseSignal(name string) (int, error) {
	return parseSignal(name, func(name string) int { return int(unix.SignalNum(name)) })
}
