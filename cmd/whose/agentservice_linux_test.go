package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestAgent_Variables: each flag of whose agent has a variable, which help and man page
// show, and which counts where the flag is not given.
func TestAgent_Variables(t *testing.T) {
	vars := make(map[string]string)
	sh := &shell{out: io.Discard, err: io.Discard, getenv: func(name string) string { return vars[name] }}
	man, err := os.ReadFile("../../docs/man/whose.1")
	if err != nil {
		t.Fatal(err)
	}
	help := new(bytes.Buffer)
	helped := &shell{out: help, err: io.Discard, getenv: sh.getenv}
	agent, _, err := newRoot(helped).Find([]string{"agent"})
	if err != nil {
		t.Fatal(err)
	}
	newHelpPrinter(helped).command(agent)
	shown := strings.Join(strings.Fields(help.String()), " ")
	values := map[string]string{"bool": "true", "int": "3", "TIME": "3s", "string": "x"}
	newAgent(sh).Flags().VisitAll(func(f *pflag.Flag) {
		name := "WHOSE_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if !strings.Contains(shown, "$"+name) || !strings.Contains(strings.ReplaceAll(string(man), `\`, ""), "$"+name) {
			t.Errorf("--%s: help or man page lack $%s", f.Name, name)
		}
		if f.DefValue != "" && f.DefValue != "false" && !strings.Contains(shown, "(default "+f.DefValue+"; $"+name+")") {
			t.Errorf("--%s: help lacks the default %s", f.Name, f.DefValue)
		}
		value, ok := values[f.Value.Type()]
		if !ok {
			t.Fatalf("--%s: a flag of another type: %s", f.Name, f.Value.Type())
		}
		get := func(args ...string) string {
			cmd := newAgent(sh)
			if err := cmd.ParseFlags(args); err != nil {
				t.Fatal(err)
			}
			if err := sh.readVariables(cmd); err != nil {
				t.Errorf("%s=%s: %v", name, value, err)
			}
			return cmd.Flags().Lookup(f.Name).Value.String()
		}
		vars[name] = ""
		if got := get(); got != f.DefValue {
			t.Errorf("%s empty: %q, want %q", name, got, f.DefValue)
		}
		vars[name] = value
		if got := get(); got != value {
			t.Errorf("%s=%s: %q", name, value, got)
		}
		if got := get("--" + f.Name + "=" + f.DefValue); f.DefValue != "" && got != f.DefValue {
			t.Errorf("%s=%s beside --%s=%s: %q", name, value, f.Name, f.DefValue, got)
		}
		delete(vars, name)
	})
	for name, text := range map[string]string{"WHOSE_HISTORY_DAYS": "many", "WHOSE_NO_CMDLINE": "perhaps", "WHOSE_HISTORY_BYTES": "big"} {
		vars[name] = text
		cmd := newAgent(sh)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(nil)
		if err := cmd.Execute(); err == nil || !strings.Contains(err.Error(), name) || sh.report(err) != exitUsage {
			t.Errorf("%s=%s: %v", name, text, err)
		}
		delete(vars, name)
	}
}

// A managed agent runs under a service manager: this test.
type managed struct {
	t    *testing.T
	cmd  *exec.Cmd
	conn *net.UnixConn

	mu     sync.Mutex
	stderr bytes.Buffer
}

func (m *managed) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stderr.Write(p)
}

func (m *managed) said() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stderr.String()
}

// startManaged starts an agent and waits until it is ready.
func startManaged(t *testing.T, dir string, args []string, env ...string) *managed {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	m := &managed{t: t, conn: conn, cmd: exec.Command(dir+"/whose", append([]string{"agent", "--socket=off"}, args...)...)}
	m.cmd.Env = append(append(os.Environ(), "NOTIFY_SOCKET="+path), env...)
	m.cmd.Stderr = m
	if err := testenv.Start(t, m.cmd); err != nil {
		t.Fatal(err)
	}
	if got := m.next("READY=1"); !strings.Contains(got, "\nSTATUS=following ") {
		t.Errorf("ready: %q", got)
	}
	return m
}

// next reads messages until one begins with want, and returns that.
func (m *managed) next(want string) string {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		m.t.Fatal(err)
	}
	b := make([]byte, 4096)
	for {
		n, err := m.conn.Read(b)
		if err != nil {
			m.t.Fatalf("wait for %s: %v; the agent said: %s", want, err, m.said())
		}
		if got := string(b[:n]); strings.HasPrefix(got, want) {
			return got
		}
	}
}

func (m *managed) signal(sig os.Signal) {
	m.t.Helper()
	if err := m.cmd.Process.Signal(sig); err != nil {
		m.t.Fatal(err)
	}
}

// TestAgent_Signals sends signals to an agent that keeps history. It goes on after those
// to reload and those of a gone reader, loses nothing by them, and ends with status 0
// and a whole history after the others.
func TestAgent_Signals(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedCap(t, unix.CAP_BPF, unix.CAP_SYS_ADMIN)
	dir := buildBoth(t)
	ns := testenv.NewNetNS(t)
	for _, end := range []os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGQUIT} {
		t.Run(end.String(), func(t *testing.T) {
			var server net.Listener
			var err error
			ns.Do(func() { server, err = net.Listen("tcp", "127.0.0.1:0") })
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			history := filepath.Join(t.TempDir(), "history")
			m := startManaged(t, dir, nil, "WHOSE_HISTORY="+history, "WATCHDOG_USEC=8000000")
			var ports []int
			connect := func() {
				var c net.Conn
				ns.Do(func() { c, err = net.Dial("tcp", server.Addr().String()) })
				if err != nil {
					t.Fatal(err)
				}
				accepted, err := server.Accept()
				if err != nil {
					t.Fatal(err)
				}
				ports = append(ports, c.LocalAddr().(*net.TCPAddr).Port)
				c.Close()
				accepted.Close()
			}
			m.next("WATCHDOG=1")
			for range 10 {
				for _, sig := range []os.Signal{unix.SIGHUP, unix.SIGPIPE} {
					connect()
					m.signal(sig)
					connect()
				}
				if got := m.next("RELOADING=1"); !strings.Contains(got, "\nMONOTONIC_USEC=") {
					t.Errorf("reloading: %q", got)
				}
				m.next("READY=1")
			}
			m.signal(end)
			m.next("STOPPING=1")
			if err := m.cmd.Wait(); err != nil {
				t.Errorf("after %v: %v: %s", end, err, m.said())
			}
			h := &keptHost{t: t, whose: dir + "/whose", dir: history, netns: strconv.FormatUint(uint64(ns.Inode()), 10)}
			found := make(map[int]int)
			for _, s := range h.sessions("--from", "-5m", "direction", "out", "rport", strconv.Itoa(server.Addr().(*net.TCPAddr).Port)) {
				found[int(s.Local.Port())]++
			}
			for _, port := range ports {
				if found[port] != 1 {
					t.Errorf("the session from port %d is there %d times", port, found[port])
				}
			}
			if _, said := h.ask("--from", "-5m"); strings.Contains(said, "nothing is recorded at") {
				t.Errorf("a gap: %s", said)
			}
		})
	}
}

// TestAgent_GoneReader takes the reader of the messages away.
func TestAgent_GoneReader(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedCap(t, unix.CAP_BPF, unix.CAP_SYS_ADMIN)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	dir := buildBoth(t)
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cmd := exec.Command(dir+"/whose", "agent", "--history=off", "--socket=off")
	cmd.Env, cmd.Stderr = append(os.Environ(), "NOTIFY_SOCKET="+path), w
	if err := testenv.Start(t, cmd); err != nil {
		t.Fatal(err)
	}
	m := &managed{t: t, conn: conn, cmd: cmd}
	m.next("READY=1")
	w.Close()
	r.Close()
	m.signal(unix.SIGHUP) // it says a word about it
	m.next("RELOADING=1")
	m.next("READY=1")
	m.signal(unix.SIGTERM)
	m.next("STOPPING=1")
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}
