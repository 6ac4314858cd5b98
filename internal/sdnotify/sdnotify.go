// Package sdnotify reports the state of a service to the service manager that started
// it, as sd_notify(3) does: that it is ready, what it does, that it reads its
// configuration again, that it ends, and that it is alive.
package sdnotify

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Manager is the service manager of this process. Nil is none: its methods do
// nothing. It is safe for concurrent use.
type Manager struct {
	mu       sync.Mutex
	conn     net.Conn
	watchdog time.Duration
}

// Open finds the manager by the variables NOTIFY_SOCKET, WATCHDOG_USEC and
// WATCHDOG_PID, nil where there is none. pid is the number of this process.
func Open(getenv func(string) string, pid int) (*Manager, error) {
	path := getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil, nil
	}
	if path[0] != '/' && path[0] != '@' {
		return nil, fmt.Errorf("NOTIFY_SOCKET: want a path or an abstract address, got %q", path)
	}
	conn, err := net.Dial("unixgram", path) // with @, an abstract address
	if err != nil {
		return nil, fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	m := &Manager{conn: conn}
	if text := getenv("WATCHDOG_USEC"); text != "" {
		of := getenv("WATCHDOG_PID")
		usec, err := strconv.ParseUint(text, 10, 63)
		switch {
		case err != nil || usec == 0 || usec > uint64(maxWatchdog/time.Microsecond):
			return m, fmt.Errorf("WATCHDOG_USEC: want a number of microseconds, got %q", text)
		case of == "" || of == strconv.Itoa(pid):
			m.watchdog = time.Duration(usec) * time.Microsecond
		}
	}
	return m, nil
}

// maxWatchdog bounds WATCHDOG_USEC: a century.
const maxWatchdog = 100 * 365 * 24 * time.Hour

// Watchdog returns the time after which the manager ends a service that does not call
// [Manager.Alive], 0 for never.
func (m *Manager) Watchdog() time.Duration {
	if m == nil {
		return 0
	}
	return m.watchdog
}

// Ready reports that the service does its work, again after Reloading, and a line
// about it for a person.
func (m *Manager) Ready(status string) error { return m.send("READY=1", "STATUS="+line(status)) }

// Status reports a line about the work for a person.
func (m *Manager) Status(status string) error { return m.send("STATUS=" + line(status)) }

// Reloading reports that the service reads its configuration again. Ready follows.
func (m *Manager) Reloading() error {
	state := []string{"RELOADING=1"}
	if now, ok := monotonic(); ok {
		state = append(state, "MONOTONIC_USEC="+strconv.FormatInt(now.Microseconds(), 10))
	}
	return m.send(state...)
}

// Stopping reports that the service ends.
func (m *Manager) Stopping() error { return m.send("STOPPING=1") }

// Alive keeps the manager from ending the service.
func (m *Manager) Alive() error { return m.send("WATCHDOG=1") }

// line puts text into one line: each line of a message is an assignment.
func line(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}

// sendWithin bounds the wait for a manager that does not read.
const sendWithin = time.Second

func (m *Manager) send(state ...string) error {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.conn.SetWriteDeadline(time.Now().Add(sendWithin))
	if err == nil {
		_, err = m.conn.Write([]byte(strings.Join(state, "\n")))
	}
	if err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	return nil
}
