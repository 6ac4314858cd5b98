package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestWatch_Terminal: a line comes to a terminal at once, and Ctrl-C ends it at
// once, with the terminal as it was: no code is left open, the cursor on a line
// of its own.
func TestWatch_Terminal(t *testing.T) {
	master, terminal := openPTY(t, 160, 24)
	cmd := runAt(t, terminal, nil, "watch", "--events", "listen,unlisten", "pid", fmt.Sprint(os.Getpid()))
	readUntil(t, master, "until Ctrl-C")
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	seen := readUntil(t, master, l.Addr().String())
	if !strings.Contains(seen, "listen") || !strings.Contains(seen, "\x1b[") {
		t.Errorf("no coloured line of a listener: %q", seen)
	}
	if _, err := master.Write([]byte{3}); err != nil { // Ctrl-C
		t.Fatal(err)
	}
	pressed := time.Now()
	terminal.Close()
	rest, err := io.ReadAll(master) // EIO when the last writer has gone
	if err != nil && !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	_ = cmd.Wait() // how it ended is looked at below
	if took := time.Since(pressed); took > 20*time.Second {
		t.Errorf("it took %v to end", took)
	}
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("ended with %v, want exit status %d", cmd.ProcessState, exitInterrupted)
	}
	if all := seen + string(rest); strings.Count(all, "\x1b[0m") != strings.Count(all, "\x1b[")-strings.Count(all, "\x1b[0m") || !strings.HasSuffix(all, "\n") {
		t.Errorf("the terminal is left with %q", all)
	}
}

// TestWatch_ReaderGone: whose watch | head ends with head, not with the event
// after it.
func TestWatch_ReaderGone(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "watch", "-o", "csv", "port", "1") // its titles come at once, and then nothing
	cmd.Args[0] = "whose"
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = w, &said
	if err := testenv.Start(t, cmd); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	r.Close()
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is looked at below
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill() // the test has failed
		<-ended
		t.Fatal("it goes on though nobody reads")
	}
	code, signal := cmd.ProcessState.ExitCode(), cmd.ProcessState.Sys().(syscall.WaitStatus).Signal()
	if code != exitPipe && signal != syscall.SIGPIPE || strings.Contains(said.String(), "error") {
		t.Errorf("ended with %v and said %q", cmd.ProcessState, said.String())
	}
}

// TestWatch_MeetsSchema holds what is really written to the committed schema.
func TestWatch_MeetsSchema(t *testing.T) {
	file, err := filepath.Abs("../../docs/schema/whose-event-v1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	schema, err := compiler.Compile(file)
	if err != nil {
		t.Fatal(err)
	}
	listen(t) // something that stands
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "watch", "-o", "jsonl", "--summary", "--fields", "+unit,container,cong,fds,mark", "pid", fmt.Sprint(os.Getpid()))
	cmd.Args[0] = "whose"
	var out syncBuffer
	cmd.Stdout = &out
	if err := testenv.Start(t, cmd); err != nil {
		t.Fatal(err)
	}
	out.waitFor(t, `"event":"standing"`)
	l := talk(t)
	out.waitFor(t, fmt.Sprintf(`"family":"ipv4","local_addr":"127.0.0.1","local_port":%d,`, l.Port))
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // how it ended is the business of another test
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	for _, line := range lines {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(line)))
		if err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%v in %s", err, line)
		}
	}
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, `{"version":1,"summary":{`) {
		t.Errorf("the last line is no summary: %s", last)
	}
}

// talk opens and closes sessions of several kinds and returns where it goes on
// to listen for the length of the test.
func talk(t *testing.T) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	out, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	out.Close()
	in.Close()
	u, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.WriteTo([]byte("to itself"), u.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	u.Close()
	if c, err := net.Dial("tcp4", "127.0.0.1:1"); err == nil { // nobody is expected there
		c.Close()
	}
	return l.Addr().(*net.TCPAddr)
}
