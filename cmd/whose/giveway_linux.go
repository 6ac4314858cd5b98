package main

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// consideration is the niceness of a command that watches others for long: who
// has work of its own goes first, and a third of a processor's time is left to
// it if all of them do.
const consideration = 5

// giveWay makes the process nicer, unless whoever started it has set its
// niceness. Each thread has one of its own, and hands it on to those that it
// starts; so threads are gone through until there is no new one. It needs no
// privilege; if it is refused all the same, the watching goes on as it was.
func giveWay() {
	if nice, err := niceness(0); err != nil || nice != 0 {
		return
	}
	for more := true; more; {
		more = false
		threads, _ := os.ReadDir("/proc/self/task") // what could be read of it
		for _, t := range threads {
			tid, err := strconv.Atoi(t.Name())
			if err != nil {
				continue
			}
			if nice, err := niceness(tid); err == nil && nice == 0 {
				more = unix.Setpriority(unix.PRIO_PROCESS, tid, consideration) == nil || more
			}
		}
	}
}

// niceness returns that of a thread, 0 for the one that asks. The kernel answers
// 20 less it, so that no answer is an error.
func niceness(tid int) (int, error) {
	prio, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
	return 20 - prio, err
}
