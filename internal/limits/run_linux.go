package limits

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// marker in the environment marks the second process. Its value is the time in
// nanoseconds of CLOCK_MONOTONIC at which the first began.
const marker = "WHOSE_LIMITED_SINCE"

// longest is the longest time between the beginnings of both.
const longest = time.Minute

// Began returns the time at which the command began: in the second process that
// of the first, else now.
func Began() time.Time {
	now := time.Now()
	since, err := strconv.ParseInt(os.Getenv(marker), 10, 64)
	if err != nil {
		return now
	}
	if passed := time.Duration(monotonic() - since); passed > 0 && passed < longest {
		return now.Add(-passed)
	}
	return now
}

func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0
	}
	return t.Nano()
}

// Run runs this program again with the same command line, and returns what it
// wrote: at most most bytes, more is an error. The second process ends with this
// one, and at the latest when timeout has passed since began; 0: no bound. Its
// stderr is not shown. The error is a [DiedError] if it ended without success or
// could not be started under the limit, a [LateError] if its time ran out. Another
// error: there is no way to run it, and the caller may do the work itself.
//
// This process is frugal meanwhile: it starts no thread, and its buffer is there
// before the second process is.
func (l Limit) Run(began time.Time, timeout time.Duration, most int) ([]byte, error) {
	second := second{buf: make([]byte, most+1)}
	defer second.close()
	if err := second.start(l, began); err != nil {
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOMEM) {
			return nil, &DiedError{Limit: l, Status: fmt.Sprintf("start: %v", err)}
		}
		return nil, fmt.Errorf("start a second process: %w", err)
	}
	for timeout <= 0 || time.Since(began) < timeout {
		wait := time.Hour
		if timeout > 0 {
			wait = timeout - time.Since(began)
		}
		if second.read(wait) {
			return second.answer(l)
		}
	}
	return nil, &LateError{time.Since(began)}
}

// A second is the second process.
type second struct {
	pid       int
	out, errs int // read ends of its stdout and stderr
	buf       []byte
	n         int
	ended     bool
}

// start starts the process. The kernel kills it at the end of the thread that
// started it. No thread of this process ends before the process does: only one
// that a goroutine holds for itself would.
func (s *second) start(l Limit, began time.Time) error {
	s.out, s.errs = -1, -1
	var out, errs [2]int
	if err := unix.Pipe2(out[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	defer unix.Close(out[1])
	s.out = out[0]
	// Nobody reads the second while the process is there. What the runtime writes
	// beyond its room is dropped, and does not keep the process.
	if err := unix.Pipe2(errs[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return err
	}
	defer unix.Close(errs[1])
	s.errs = errs[0]
	pid, err := syscall.ForkExec("/proc/self/exe", os.Args, &syscall.ProcAttr{
		Env:   secondEnv(l, began),
		Files: []uintptr{0, uintptr(out[1]), uintptr(errs[1])},
		Sys:   &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL},
	})
	s.pid = pid
	return err
}

// secondEnv is the environment of the second process. Where threads are few it
// works on one processor, and where memory is, it collects garbage early.
// The user's own settings stand.
func secondEnv(l Limit, began time.Time) []string {
	env := append(os.Environ(),
		marker+"="+strconv.FormatInt(monotonic()-time.Since(began).Nanoseconds(), 10),
		"GOTRACEBACK=none") // the last one of a name counts
	frugal := "GOGC=100"
	if l.Threads {
		frugal = "GOMAXPROCS=1"
	}
	if name, _, _ := strings.Cut(frugal, "="); os.Getenv(name) == "" {
		env = append(env, frugal)
	}
	return env
}

// read waits for some of its output and reads it. It reports whether that was the
// last. A system call that the scheduler knows of might start a thread.
func (s *second) read(wait time.Duration) bool {
	fds := unix.PollFd{Fd: int32(s.out), Events: unix.POLLIN}
	t := unix.NsecToTimespec(max(0, wait.Nanoseconds()))
	n, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds)), 1, uintptr(unsafe.Pointer(&t)), 0, 0, 0)
	if errno != 0 || n == 0 {
		return false // a signal, or the time
	}
	room := s.buf[s.n:]
	n, _, errno = unix.RawSyscall(unix.SYS_READ, uintptr(s.out), uintptr(unsafe.Pointer(&room[0])), uintptr(len(room)))
	if errno == unix.EINTR {
		return false
	}
	if errno == 0 {
		s.n += int(n)
	}
	return errno != 0 || n == 0 || s.n == len(s.buf)
}

// patience is how long the end of a process is awaited that has closed its output.
const patience = 200 * time.Millisecond

// answer returns the output of a process that ended well.
func (s *second) answer(l Limit) ([]byte, error) {
	if s.n == len(s.buf) {
		return nil, &DiedError{Limit: l, Status: fmt.Sprintf("it wrote more than %d bytes", len(s.buf)-1)}
	}
	var status unix.WaitStatus
	for end := time.Now().Add(patience); ; {
		pid, err := unix.Wait4(s.pid, &status, unix.WNOHANG, nil)
		if pid == s.pid {
			s.ended = true
			break
		}
		if err != nil && err != unix.EINTR || time.Now().After(end) {
			return nil, &DiedError{Limit: l, Status: "it closed its output"}
		}
		t := unix.NsecToTimespec(int64(time.Millisecond / 4))
		unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
	}
	switch {
	case status.Signaled():
		return nil, &DiedError{Limit: l, Status: status.Signal().String(), Said: s.said()}
	case status.ExitStatus() != 0:
		return nil, &DiedError{Limit: l, Exit: status.ExitStatus(), Status: fmt.Sprintf("exit status %d", status.ExitStatus()), Said: s.said()}
	}
	return s.buf[:s.n], nil
}

// said returns the first line of its stderr.
func (s *second) said() string {
	var text [1000]byte
	n, err := unix.Read(s.errs, text[:])
	if err != nil || n <= 0 {
		return ""
	}
	line, _, _ := strings.Cut(string(text[:n]), "\n")
	return strings.ToValidUTF8(line, "?")
}

// close ends the process if it is still there, without waiting for one that the
// kernel does not let go.
func (s *second) close() {
	if s.pid > 0 && !s.ended {
		_ = unix.Kill(s.pid, unix.SIGKILL) // it is ours, and not waited for: the number is its own
	}
	for _, fd := range []int{s.out, s.errs} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}
