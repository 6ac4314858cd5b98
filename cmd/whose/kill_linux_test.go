package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// goneCmd is the script command gone PID: it waits for the process to end.
func goneCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: gone PID")
	}
	for began := time.Now(); time.Since(began) < 30*time.Second; time.Sleep(5 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + args[0] + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
	}
	ts.Fatalf("process %s goes on", args[0])
}

// TestKill_Asks answers at a terminal. Nothing but a clear yes ends anything.
func TestKill_Asks(t *testing.T) {
	var config net.ListenConfig
	config.SetMultipathTCP(false) // the kernel ends no listener of MPTCP
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, answer := range []string{"\n", "n\n", "maybe\n", "\x04"} {
		master, terminal := openPTY(t, 120, 24)
		cmd := runAt(t, terminal, nil, "kill", "listen", "and", "lport", fmt.Sprint(l.Addr().(*net.TCPAddr).Port), "--own")
		terminal.Close()
		seen := readUntil(t, master, "end 1 session? [y/N] ")
		if !strings.Contains(seen, "LISTEN") {
			t.Errorf("it asks without showing what would go: %q", seen)
		}
		if _, err := master.WriteString(answer); err != nil {
			t.Fatal(err)
		}
		readUntil(t, master, "nothing ended")
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != exitNothing {
			t.Errorf("after %q it ended with %v, want status %d", answer, err, exitNothing)
		}
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatalf("after %q nobody listens: %v", answer, err)
		}
		c.Close()
	}
}
