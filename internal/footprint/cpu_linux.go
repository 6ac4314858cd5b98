package footprint

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Nice is the niceness of a command that watches others for long: who
// has work of its own goes first, and a quarter of a processor's time is left to
// it beside one that never has enough.
const Nice = 5

// GiveWay gives every thread of the process that niceness, unless whoever started
// it has set another. It needs no privilege; what is refused all the same is left
// as it was.
func GiveWay() {
	if nice, err := niceness(0); err != nil || nice != 0 {
		return
	}
	giveWayThreads()
	giveWaySession()
}

// giveWayThreads makes each thread nicer. Each hands its niceness on to those
// that it starts, so threads are gone through until there is no new one.
func giveWayThreads() {
	for more := true; more; {
		more = false
		threads, _ := os.ReadDir("/proc/self/task") // what could be read of it
		for _, t := range threads {
			tid, err := strconv.Atoi(t.Name())
			if err != nil {
				continue
			}
			if nice, err := niceness(tid); err == nil && nice == 0 {
				more = unix.Setpriority(unix.PRIO_PROCESS, tid, Nice) == nil || more
			}
		}
	}
}

// autogroup is the group in which the kernel schedules a session, with the
// niceness of that (sched(7)). It is not there where the kernel does not do so.
const autogroup = "/proc/self/autogroup"

// giveWaySession makes the session nicer, if it is this process's own, as that of
// a service is: then the niceness of threads counts among themselves only.
func giveWaySession() {
	leader, err := unix.Getsid(0)
	if err != nil || leader != os.Getpid() {
		return
	}
	if group, err := os.ReadFile(autogroup); err == nil && strings.HasSuffix(string(group), " nice 0\n") {
		_ = os.WriteFile(autogroup, []byte(strconv.Itoa(Nice)), 0) // see GiveWay
	}
}

// niceness returns that of a thread, 0 for the one that asks. The kernel answers
// 20 less it, so that no answer is an error.
func niceness(tid int) (int, error) {
	prio, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
	return 20 - prio, err
}
