package footprint

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Nice is the niceness of a command which watches others for long. Work of
// others goes first, and the command still gets a quarter of a processor's time
// beside one which never has enough.
const Nice = 5

// GiveWay sets [Nice] on every thread of the process, unless its starter has set
// another niceness. It needs no privilege. On a refusal all stays as it was.
func GiveWay() {
	if nice, err := niceness(0); err != nil || nice != 0 {
		return
	}
	giveWayThreads()
	giveWaySession()
}

// giveWayThreads makes each thread nicer. New threads inherit the niceness of
// their starter, so it walks the threads until there is no new one.
func giveWayThreads() {
	for more := true; more; {
		more = false
		threads, _ := os.ReadDir("/proc/self/task") // the readable part of it
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

// autogroup is the group in which the kernel schedules a session, with its
// niceness (sched(7)). Without autogroups in the kernel the file is missing.
const autogroup = "/proc/self/autogroup"

// giveWaySession makes the session nicer, if it is this process's own, like a
// service's: then the niceness of threads counts only among themselves.
func giveWaySession() {
	leader, err := unix.Getsid(0)
	if err != nil || leader != os.Getpid() {
		return
	}
	if group, err := os.ReadFile(autogroup); err == nil && strings.HasSuffix(string(group), " nice 0\n") {
		_ = os.WriteFile(autogroup, []byte(strconv.Itoa(Nice)), 0) // see GiveWay
	}
}

// niceness returns the niceness of a thread, 0 for the calling one. The kernel
// answers 20 less the niceness, so no answer looks like an error.
func niceness(tid int) (int, error) {
	prio, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
	return 20 - prio, err
}
