package collecttest

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func ownerCases() []Case {
	return []Case{
		{Name: "inherited", Rule: "a socket that a child inherited has both processes as owners", hold: func(st *Stage) {
			l := st.listen("127.0.0.1:0", 16)
			c := st.child("keep", "", l)
			s := st.listener(l, 16)
			s.Owners = holds(owner(st.pid(), l), owner(c.PID, 3))
			st.add("inherited", s)
		}},
		{Name: "passed", Rule: "a socket that was passed over a UNIX socket and closed belongs to the receiver alone", hold: func(st *Stage) {
			st.pass(true)
		}},
		{Name: "shared", Rule: "a socket that was passed over a UNIX socket and kept has both processes as owners", hold: func(st *Stage) {
			st.pass(false)
		}},
		{Name: "duplicated", Rule: "a socket with 101 descriptors in one process has one owner with all of them", hold: func(st *Stage) {
			st.addDuplicates(100)
		}},
		{Name: "many descriptors", Rule: "a process with as many descriptors as it may have is one owner with all of them", hold: func(st *Stage) {
			var limit unix.Rlimit
			st.check(unix.Getrlimit(unix.RLIMIT_NOFILE, &limit), "getrlimit")
			limit.Cur = limit.Max
			st.check(unix.Setrlimit(unix.RLIMIT_NOFILE, &limit), "setrlimit")
			st.addDuplicates(int(min(limit.Max, 20000)) - 50)
		}},
		{Name: "reuseport", Rule: "each socket of a SO_REUSEPORT group is a session of its own with its own owner", hold: func(st *Stage) {
			l := st.listen("127.0.0.1:0", 16, reusePort)
			st.add("first of the group", st.listener(l, 16))
			for range 3 {
				st.truths = append(st.truths, st.child("listen", st.local(l).String()).Truths...)
			}
		}},
		{Name: "hostile name", Rule: "a process name with brackets, escape codes and newlines is told as it is", hold: func(st *Stage) {
			st.check(os.WriteFile("/proc/self/comm", []byte("a b):\x1b[31m\n(c"), 0), "set the process name")
			st.add("listener", st.listener(st.listen("127.0.0.1:0", 16), 16))
		}},
		{Name: "start time", Rule: "an owner is told with the time at which it started",
			hold: func(st *Stage) { st.add("listener", st.listener(st.listen("127.0.0.1:0", 16), 16)) }, check: checkStart},
	}
}

func (st *Stage) addDuplicates(n int) {
	l := st.listen("127.0.0.1:0", 16)
	fds := []int{l}
	for range n {
		fd, err := unix.FcntlInt(uintptr(l), unix.F_DUPFD_CLOEXEC, l)
		st.check(err, "duplicate descriptor")
		fds = append(fds, fd)
	}
	s := st.listener(l, 16)
	s.Owners = self(fds...)
	st.add("duplicated", s)
}

// pass gives a listener to another process over a UNIX socket.
func (st *Stage) pass(thenClose bool) {
	l := st.listen("127.0.0.1:0", 16)
	s := st.listener(l, 16)
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	st.check(err, "socketpair")
	st.send(ends[0], l)
	c := st.child("receive", "", ends[1])
	theirs := c.Truths[0].Owners[0]
	s.Owners = holds(owner(st.pid(), l), theirs)
	if thenClose {
		st.close(l)
		s.Owners = holds(theirs)
	}
	st.add("passed", s)
}

func (st *Stage) send(over, fd int) {
	st.check(unix.Sendmsg(over, []byte{0}, unix.UnixRights(fd), nil, 0), "send descriptor")
}

func (st *Stage) receive(over int) int {
	control := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(over, make([]byte, 1), control, unix.MSG_CMSG_CLOEXEC)
	st.check(err, "receive descriptor")
	messages, err := unix.ParseSocketControlMessage(control[:n])
	st.check(err, "parse control message")
	fds, err := unix.ParseUnixRights(&messages[0])
	st.check(err, "parse rights")
	return fds[0]
}

func checkStart(t *testing.T, c *caught) {
	for _, s := range c.ours(c.sessions) {
		for _, o := range s.Owners {
			// It was started by this test just now; the clock of /proc counts in seconds at worst.
			if age := time.Since(o.StartTime); age < -2*time.Second || age > 5*time.Minute {
				t.Errorf("pid %d is said to have started at %v, which is %v ago", o.PID, o.StartTime, age)
			}
		}
	}
}
