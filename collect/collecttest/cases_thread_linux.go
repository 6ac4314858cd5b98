package collecttest

import (
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

func threadCases() []Case {
	return []Case{
		{Name: "own table", Rule: "a descriptor that only a thread with its own table has makes the process an owner", hold: func(st *Stage) {
			l := st.listen("127.0.0.1:0", 16)
			s := st.listener(l, 16)
			st.park(func() { st.check(unix.Unshare(unix.CLONE_FILES), "unshare descriptors") })
			st.close(l)
			st.add("open in one thread", s)
		}},
		{Name: "thread in another namespace", Rule: "a socket of a namespace in which only a thread is, is listed with its owner", Namespaces: true, hold: func(st *Stage) {
			st.park(func() { st.addElsewhere() })
		}},
		{Name: "dead main thread", Rule: "a process whose main thread has ended owns what its other threads have open", hold: func(st *Stage) {
			p := st.pair("127.0.0.1:0", "")
			st.addPair(p, st.pid())
			st.last = append(st.last, st.endMainThread)
		}},
		{Name: "shared table", Rule: "two processes that share one table of descriptors both own what is in it", hold: func(st *Stage) {
			l := st.listen("127.0.0.1:0", 16)
			other := st.cloneFiles()
			s := st.listener(l, 16)
			st.wait("wait for the name of the clone", func() bool { return owner(other).Comm != "" })
			s.Owners = holds(owner(st.pid(), l), owner(other, l))
			st.add("in a shared table", s)
		}},
	}
}

// park runs fn on a thread of its own, which stays as fn left it.
func (st *Stage) park(fn func()) {
	done := make(chan any)
	go testenv.OnThread(func() error {
		done <- st.caught(fn)
		select {} // the thread is needed as long as the process is there
	})
	if r := <-done; r != nil {
		panic(r)
	}
}

// onThread runs fn on a throw-away thread.
func (st *Stage) onThread(fn func()) {
	var r any
	err := testenv.OnThread(func() error { r = st.caught(fn); return nil })
	if r != nil {
		panic(r)
	}
	st.check(err, "run on a thread")
}

// caught runs fn and returns the value of its panic.
func (st *Stage) caught(fn func()) (r any) {
	defer func() { r = recover() }()
	fn()
	return nil
}

// addElsewhere moves the thread to a fresh namespace and opens sockets there.
func (st *Stage) addElsewhere() {
	st.check(unix.Unshare(unix.CLONE_NEWNET), "unshare network namespace")
	netns, err := netnsOf("/proc/thread-self/ns/net")
	st.check(err, "network namespace of the thread")
	st.addThere(netns)
}

// addThere opens sockets in the namespace of the thread.
func (st *Stage) addThere(netns uint32) {
	tcp := st.listener(st.listen("0.0.0.0:0", 16), 16)
	udp := st.session(st.bound("[::]:0", unix.SOCK_DGRAM, 0), whose.Unconn)
	tcp.NetNS, udp.NetNS = netns, netns
	st.add("tcp elsewhere", tcp)
	st.add("udp elsewhere", udp)
}

// endMainThread ends the thread taken by the kernel for the process, and no
// other. A goroutine gets onto it when enough others hold their threads.
func (st *Stage) endMainThread() {
	var hold sync.WaitGroup
	hold.Add(1)
	found := make(chan bool)
	for {
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if unix.Gettid() != unix.Getpid() {
				found <- false
				hold.Wait()
				return
			}
			found <- true
			syscall.Syscall(unix.SYS_EXIT, 0, 0, 0) // of the thread
		}()
		if <-found {
			break
		}
	}
	hold.Done()
	st.wait("wait for the end of the main thread", mainThreadEnded)
}

// cloneFiles makes a process with this one's table of descriptors. An executed
// program gets a table of its own, so the new process stays in this program: it
// makes system calls and touches nothing of Go's. It ends with the thread that
// made it.
func (st *Stage) cloneFiles() int {
	type result struct {
		pid uintptr
		err syscall.Errno
	}
	made := make(chan result)
	go testenv.OnThread(func() error {
		pid, err := rawClone()
		made <- result{pid, err}
		select {}
	})
	r := <-made
	if r.err != 0 {
		st.check(r.err, "clone with shared descriptors")
	}
	return int(r.pid)
}

//go:noinline
//go:nosplit
func rawClone() (uintptr, syscall.Errno) {
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, unix.CLONE_FILES|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if pid != 0 || errno != 0 {
		return pid, errno
	}
	syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0, 0)
	for {
		syscall.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0) // for ever
	}
}
