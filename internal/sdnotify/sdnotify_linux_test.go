package sdnotify

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// listen is a manager's end of a notify socket.
func listen(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func next(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func env(list ...string) func(string) string {
	return func(name string) string {
		for _, s := range list {
			if text, ok := strings.CutPrefix(s, name+"="); ok {
				return text
			}
		}
		return ""
	}
}

func TestManager(t *testing.T) {
	for _, path := range []string{filepath.Join(t.TempDir(), "notify"), "@whose-test-" + strconv.Itoa(os.Getpid())} {
		c := listen(t, path)
		m, err := Open(env("NOTIFY_SOCKET="+path, "WATCHDOG_USEC=3000000"), 7)
		if err != nil || m.Watchdog() != 3*time.Second {
			t.Fatalf("%v, watchdog %v", err, m.Watchdog())
		}
		for _, c2 := range []struct {
			do   func() error
			want string
		}{
			{func() error { return m.Ready("following 3 sessions") }, "READY=1\nSTATUS=following 3 sessions"},
			{func() error { return m.Status("a\nREADY=1\x1b\xff") }, "STATUS=a READY=1 \uFFFD"},
			{m.Alive, "WATCHDOG=1"},
			{m.Stopping, "STOPPING=1"},
		} {
			if err := c2.do(); err != nil {
				t.Fatal(err)
			}
			if got := next(t, c); got != c2.want {
				t.Errorf("got %q, want %q", got, c2.want)
			}
		}
		if err := m.Reloading(); err != nil {
			t.Fatal(err)
		}
		text, ok := strings.CutPrefix(next(t, c), "RELOADING=1\nMONOTONIC_USEC=")
		if n, err := strconv.ParseUint(text, 10, 64); !ok || err != nil || n == 0 {
			t.Errorf("reloading: %q", text)
		}
	}
}

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	listen(t, path)
	for _, c := range []struct {
		env      []string
		fails    bool
		watchdog time.Duration
	}{
		{env: nil},
		{env: []string{"NOTIFY_SOCKET=" + path}},
		{env: []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=5000", "WATCHDOG_PID=7"}, watchdog: 5 * time.Millisecond},
		{env: []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=5000", "WATCHDOG_PID=8"}},
		{env: []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=0"}, fails: true},
		{env: []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=-1"}, fails: true},
		{env: []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=18446744073709551615"}, fails: true},
		{env: []string{"NOTIFY_SOCKET=notify"}, fails: true},
		{env: []string{"NOTIFY_SOCKET=" + path + ".gone"}, fails: true},
	} {
		m, err := Open(env(c.env...), 7)
		if (err != nil) != c.fails || m.Watchdog() != c.watchdog {
			t.Errorf("%v: %v, watchdog %v", c.env, err, m.Watchdog())
		}
	}
	var none *Manager
	if err := none.Ready(""); err != nil || none.Alive() != nil || none.Reloading() != nil || none.Stopping() != nil || none.Watchdog() != 0 {
		t.Errorf("without a manager: %v", err)
	}
}
