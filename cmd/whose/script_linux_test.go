package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/collect/collecttest"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

func TestMain(m *testing.M) {
	collecttest.Help()
	testscript.Main(m, map[string]func(){"whose": main, "holder": holdMain})
}

// TestScript runs testdata/*.txt: the command as a user runs it, on sockets
// that the scripts open themselves.
func TestScript(t *testing.T) {
	runScripts(t, "testdata", nil)
}

// TestScript_Root runs the scripts that run whose as another user.
func TestScript_Root(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedProgram(t, "setpriv")
	runScripts(t, "testdata/root", nil)
}

// TestScript_Pin runs the scripts that load BPF programs and pin them.
func TestScript_Pin(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedProgram(t, "setpriv")
	bpffs := testenv.NeedBPFFS(t)
	// The test's own folders are closed for the other user, too.
	for dir := filepath.Dir(bpffs); dir != filepath.Clean(os.TempDir()) && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	status, err := collect.InspectPin(bpffs)
	if err != nil {
		t.Fatal(err)
	}
	runScripts(t, "testdata/pin", []string{"BPFFS=" + bpffs, "VERSION=" + strconv.Itoa(status.Version)})
}

func runScripts(t *testing.T, dir string, vars []string) {
	t.Helper()
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"hold":   holdCmd,
			"as":     asCmd,
			"full":   fullCmd,
			"gone":   goneCmd,
			"pipe":   pipeCmd,
			"status": statusCmd,
			"passes": passesCmd,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("TERM", "dumb")
			env.Vars = append(env.Vars, vars...)
			return nil
		},
		// What an ordinary user is told that root is not.
		Condition: func(name string) (bool, error) {
			if name != "root" {
				return false, fmt.Errorf("unknown condition %q", name)
			}
			return os.Geteuid() == 0, nil
		},
		UpdateScripts: *update,
	})
}

// holdMain is a process that holds sockets: holder KIND [NAME]. It takes NAME as
// its name, prints the address that it listens on, and stays until its input ends.
//
//	listen   a TCP listener
//	pair     the same, connected to itself
//	udp      a UDP socket
//	queued   a listener with a connection that it never accepts
func holdMain() {
	if err := hold(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "hold:", err)
		os.Exit(1)
	}
}

func hold(args []string) error {
	if len(args) > 1 {
		if err := os.WriteFile("/proc/self/comm", []byte(args[1]), 0); err != nil {
			return err
		}
	}
	if args[0] == "udp" {
		c, err := net.ListenPacket("udp4", loopback()+":0")
		if err != nil {
			return err
		}
		defer c.Close()
		return stay(c.LocalAddr())
	}
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	l, err := config.Listen(context.Background(), "tcp4", loopback()+":0")
	if err != nil {
		return err
	}
	defer l.Close()
	if args[0] == "pair" || args[0] == "queued" {
		c, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			return err
		}
		defer c.Close()
	}
	if args[0] == "pair" {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		defer c.Close()
	}
	return stay(l.Addr())
}

// loopback returns an address of this host that no other process listens on:
// the scripts ask for it, and get no answer about the sockets of others.
func loopback() string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 64|pid>>16&63, pid>>8&255, pid&255)
}

func stay(addr net.Addr) error {
	fmt.Println(addr)
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// holdCmd is the script command hold KIND VAR [NAME]: it starts such a process
// for the length of the script and sets $VAR to its port, $VAR_ADDR to its
// address and $VAR_PID to its number. In NAME \n and \e stand for a newline and an escape.
func holdCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: hold KIND VAR [NAME]")
	}
	holdArgs := []string{args[0]}
	for _, name := range args[2:] {
		holdArgs = append(holdArgs, strings.NewReplacer(`\n`, "\n", `\e`, "\x1b").Replace(name))
	}
	path, err := lookPath(ts, "holder")
	ts.Check(err)
	cmd := exec.Command(path, holdArgs...)
	stdin, err := cmd.StdinPipe()
	ts.Check(err)
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		stdin.Close()
		_ = cmd.Wait() // it has no more to say
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	ts.Check(err)
	host, port, err := net.SplitHostPort(strings.TrimSpace(line))
	ts.Check(err)
	ts.Setenv(args[1], port)
	ts.Setenv(args[1]+"_ADDR", host)
	ts.Setenv(args[1]+"_PID", strconv.Itoa(cmd.Process.Pid))
}

// lookPath finds a command of the script's own PATH.
func lookPath(ts *testscript.TestScript, name string) (string, error) {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}

// asCmd is the script command as nobody whose ARGS…: it runs whose as that user.
func asCmd(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || args[0] != "nobody" || args[1] != "whose" {
		ts.Fatalf("usage: as nobody whose ARGS…")
	}
	// The script's own commands are below a folder that only root may enter.
	dir, err := os.MkdirTemp("", "whose-as-")
	ts.Check(err)
	defer os.RemoveAll(dir)
	ts.Check(os.Chmod(dir, 0o755))
	from, err := lookPath(ts, "whose")
	ts.Check(err)
	to := filepath.Join(dir, "whose")
	// Were it written by this process, what another script starts meanwhile
	// would hold it open, and so busy.
	ts.Check(ts.Exec("cp", from, to))
	if neg {
		err := ts.Exec("setpriv", append(nobody(to), args[2:]...)...)
		if err == nil {
			ts.Fatalf("unexpected success")
		}
		return
	}
	ts.Check(ts.Exec("setpriv", append(nobody(to), args[2:]...)...))
}

func nobody(path string) []string {
	return []string{"--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all", path}
}

// fullCmd is the script command full whose ARGS…: its output goes to /dev/full.
// What it says stands in the file said, its exit status in the file status.
func fullCmd(ts *testscript.TestScript, neg bool, args []string) {
	out, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	ts.Check(err)
	defer out.Close()
	runSaying(ts, args, out)
}

// pipeCmd is the script command pipe whose ARGS…: its output goes to a pipe
// that nobody reads any more.
func pipeCmd(ts *testscript.TestScript, neg bool, args []string) {
	r, w, err := os.Pipe()
	ts.Check(err)
	r.Close()
	defer w.Close()
	runSaying(ts, args, w)
}

// statusCmd is the script command status N[,N] whose ARGS…: whose has to end with
// one of these exit statuses. Output and messages stand in the files out and said.
func statusCmd(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: status N[,N] whose ARGS…")
	}
	out, err := os.Create(ts.MkAbs("out"))
	ts.Check(err)
	defer out.Close()
	if got := runSaying(ts, args[1:], out); !slices.Contains(strings.Split(args[0], ","), got) {
		said, err := os.ReadFile(ts.MkAbs("said"))
		ts.Check(err)
		ts.Fatalf("exit status %s, want %s; it said:\n%s", got, args[0], said)
	}
}

// runSaying runs a command with its output to out and returns how it ended:
// its exit status, or the signal.
func runSaying(ts *testscript.TestScript, args []string, out *os.File) string {
	path, err := lookPath(ts, args[0])
	ts.Check(err)
	said, err := os.Create(ts.MkAbs("said"))
	ts.Check(err)
	defer said.Close()
	cmd := exec.Command(path, args[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = out, said, ts.MkAbs(".")
	cmd.Env = []string{"PATH=" + ts.Getenv("PATH"), "TERM=dumb", "HOME=/"}
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Check(err)
	}
	ended := strings.TrimPrefix(cmd.ProcessState.String(), "exit status ")
	ts.Check(os.WriteFile(ts.MkAbs("status"), []byte(ended+"\n"), 0o644))
	return ended
}

// passesCmd is the script command passes N whose ARGS…: it lets a command that
// does not end by itself write N lines, which stand in the file out, and then
// interrupts it as Ctrl-C does. It has to end at once, without a word but for
// what it says of its source and of what is hidden, and with the status of that.
func passesCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: passes N whose ARGS…")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	path, err := lookPath(ts, args[1])
	ts.Check(err)
	cmd := exec.Command(path, args[2:]...)
	var said strings.Builder
	cmd.Stderr = &said
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	var out strings.Builder
	lines := bufio.NewReader(stdout)
	for range n {
		line, err := lines.ReadString('\n')
		ts.Check(err)
		out.WriteString(line)
	}
	ts.Check(cmd.Process.Signal(os.Interrupt))
	_, err = io.Copy(io.Discard, lines)
	ts.Check(err)
	_ = cmd.Wait() // how it ended is looked at below
	quiet := said.Len() == 0 || strings.HasPrefix(said.String(), "whose: watching by ") ||
		strings.Count(said.String(), "\n") == 1 && strings.Contains(said.String(), "could not be looked into")
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || !quiet {
		ts.Fatalf("ended with %s and said %q, want exit status %d and nothing", cmd.ProcessState, said.String(), exitInterrupted)
	}
	ts.Check(os.WriteFile(ts.MkAbs("out"), []byte(out.String()), 0o644))
}
