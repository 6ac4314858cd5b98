//go:build fleet

package test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// initFleet makes the tables with the command.
func initFleet(t *testing.T, e *engine) {
	t.Helper()
	out, err := exec.Command(program("whose"), "fleet", "init", "--fleet", e.url()).CombinedOutput()
	if err != nil {
		t.Fatalf("fleet init: %v: %s", err, out)
	}
}

// An exporting agent.
type exporting struct {
	t     *testing.T
	e     *engine
	spool string
	host  string
	creds string
	cmd   *exec.Cmd
}

func (x *exporting) start() {
	x.t.Helper()
	args := []string{"agent", "--history", "off", "--socket", "off", "--export", "clickhouse+" + x.e.url(), "--spool", x.spool, "--host", x.host}
	if x.creds != "" {
		args = append(args, "--export-credentials", x.creds)
	}
	x.cmd = exec.Command(program("whose"), args...)
	stderr, err := x.cmd.StderrPipe()
	if err != nil {
		x.t.Fatal(err)
	}
	if err := testenv.Start(x.t, x.cmd); err != nil {
		x.t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		x.t.Log(lines.Text())
		if strings.Contains(lines.Text(), "sending to") {
			var later strings.Builder
			read := make(chan struct{})
			go func() {
				defer close(read)
				for lines.Scan() {
					later.WriteString(lines.Text() + "\n")
				}
			}()
			x.t.Cleanup(func() {
				_ = x.cmd.Process.Kill() // it may have ended
				<-read
				x.t.Logf("the agent said later:\n%s", later.String())
			})
			return
		}
	}
	x.t.Fatalf("the agent ended: %v", x.cmd.Wait())
}

func (x *exporting) end(sig syscall.Signal) {
	x.t.Helper()
	if err := x.cmd.Process.Signal(sig); err != nil {
		x.t.Fatal(err)
	}
	err := x.cmd.Wait()
	if sig == syscall.SIGTERM && err != nil {
		x.t.Errorf("the agent's end: %v", err)
	}
}

// connect opens, uses and closes n connections to a listener, and returns its port.
func connect(t *testing.T, l net.Listener, n, bytes int) {
	t.Helper()
	for range n {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		a, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(make([]byte, bytes)); err != nil {
			t.Fatal(err)
		}
		if n, err := readFull(a, bytes); err != nil {
			t.Fatalf("read %d bytes: %v", n, err)
		}
		c.Close()
		a.Close()
	}
}

func readFull(c net.Conn, n int) (int, error) {
	got, buf := 0, make([]byte, 4096)
	for got < n {
		k, err := c.Read(buf)
		got += k
		if err != nil {
			return got, err
		}
	}
	return got, nil
}

func listen(t *testing.T) (net.Listener, int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, l.Addr().(*net.TCPAddr).Port
}

// TestExport has an agent send to a server that goes away and comes back, and be killed
// meanwhile: each session is there once at each of its ends.
func TestExport(t *testing.T) {
	testenv.NeedRoot(t)
	e := startEngine(t)
	initFleet(t, e)
	l, port := listen(t)
	standing, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer standing.Close()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()

	x := &exporting{t: t, e: e, spool: filepath.Join(t.TempDir(), "spool"), host: "h\x1b[31m'\"\\ 1"}
	x.start()
	of := func(what, where string) int {
		n, err := strconv.Atoi(e.ask(fmt.Sprintf("SELECT %s FROM whose.session_end FINAL WHERE server_port = %d %s", what, port, where)))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	closed := func() int { return of("count()", "AND event = 'close'") }
	connect(t, l, 20, 1000)
	eventually(t, "both ends of 20 sessions have arrived", func() bool { return closed() == 40 })
	if n := of("toInt64(sum(sent))", "AND event = 'close' AND side = 'client'"); n != 20_000 {
		t.Errorf("the clients sent %d bytes, want 20000", n)
	}
	if n := of("count()", "AND event = 'standing' AND client_port = "+strconv.Itoa(standing.LocalAddr().(*net.TCPAddr).Port)); n != 2 {
		t.Errorf("%d ends of the standing session, want 2", n)
	}
	if got := e.ask("SELECT DISTINCT host FROM whose.session_end FORMAT JSONEachRow"); !strings.Contains(got, `h\u001B[31m'\"\\ 1`) {
		t.Errorf("the host's name came through as %s", got)
	}

	e.kill()
	connect(t, l, 30, 10)
	waitFor(t, x.spool, 1)
	x.end(syscall.SIGKILL)
	connect(t, l, 7, 10) // nobody follows these
	x.start()
	connect(t, l, 5, 10)
	e.start()
	eventually(t, "what waited has arrived", func() bool { return closed() == 40+60+10 })
	x.end(syscall.SIGTERM)
	if n := closed(); n != 110 {
		t.Errorf("%d ends in all, want 110", n)
	}
	if n := e.ask("SELECT count() FROM whose.session_end WHERE event = 'close' AND server_port = " + strconv.Itoa(port)); n != "110" {
		t.Errorf("%s rows before the merge, want 110: a batch was taken twice", n)
	}

	joined := e.ask(fmt.Sprintf(`SELECT countIf(ends = ['client', 'server']), countIf(ends != ['client', 'server']) FROM
		(SELECT flow, arraySort(groupUniqArray(toString(side))) AS ends FROM whose.session_end
		WHERE event = 'close' AND server_port = %d GROUP BY flow)`, port))
	if joined != "55\t0" {
		t.Errorf("%s flows are joined and not joined, want 55 and 0", joined)
	}

	for i, question := range documented(t) {
		if answer := e.ask(question); i == 1 && !strings.Contains(answer, strconv.Itoa(port)) {
			t.Errorf("docs/fleet.md, statement %d: the answer is %q", i+1, answer)
		}
	}

	out, err := exec.Command(program("whose"), "fleet", "status", "--fleet", e.url(), "-o", "json").Output()
	if err != nil {
		t.Fatalf("fleet status: %v", err)
	}
	var st struct {
		Hosts []struct {
			Host  string
			Lines uint64
		}
	}
	if err := json.Unmarshal(out, &st); err != nil || len(st.Hosts) != 1 || st.Hosts[0].Host != x.host || st.Hosts[0].Lines < 110 {
		t.Errorf("fleet status is %s (%v)", out, err)
	}
	text, err := exec.Command(program("whose"), "fleet", "status", "--fleet", e.url()).CombinedOutput()
	t.Logf("fleet status:\n%s", text)
	if err != nil || strings.ContainsRune(string(text), 0x1b) {
		t.Errorf("fleet status as text: %v: %q", err, text)
	}
}

// documented returns the statements of docs/fleet.md.
func documented(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("docs/fleet.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for i, part := range strings.Split(string(text), "```") {
		if sql, ok := strings.CutPrefix(part, "sql\n"); ok && i%2 == 1 {
			all = append(all, strings.TrimSuffix(strings.TrimSpace(sql), ";"))
		}
	}
	if len(all) < 2 {
		t.Fatalf("%d statements in docs/fleet.md, want 2 at least", len(all))
	}
	return all
}

// waitFor waits until so many batches are in a spool.
func waitFor(t *testing.T, spool string, n int) {
	t.Helper()
	eventually(t, "batches wait in the spool", func() bool {
		found, _ := filepath.Glob(filepath.Join(spool, "*.jsonl.zst"))
		return len(found) >= n
	})
}

// TestHostileAgent has somebody use the password of an agent.
func TestHostileAgent(t *testing.T) {
	testenv.NeedRoot(t)
	e := startEngine(t)
	initFleet(t, e)
	initFleet(t, e) // again, which does nothing
	creds := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(creds, []byte("agent:stolen\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, port := listen(t)
	x := &exporting{t: t, e: e, spool: filepath.Join(t.TempDir(), "spool"), host: "a", creds: creds}
	x.start()
	connect(t, l, 3, 10)
	count := fmt.Sprintf("SELECT count() FROM whose.session_end WHERE event = 'close' AND server_port = %d", port)
	eventually(t, "the sessions have arrived", func() bool {
		answer, err := e.try("asker", "asks", count)
		return err == nil && answer == "6"
	})
	tried, wrong := 0, 0
	for _, attack := range []struct{ user, password, question string }{
		{"agent", "stolen", count},
		{"agent", "stolen", "SELECT * FROM whose.whose_in"},
		{"agent", "stolen", "ALTER TABLE whose.session_end DELETE WHERE 1"},
		{"agent", "stolen", "TRUNCATE TABLE whose.session_end"},
		{"agent", "stolen", "DROP TABLE whose.whose_in"},
		{"agent", "stolen", "DROP DATABASE whose"},
		{"agent", "stolen", "INSERT INTO whose.session_end (host) VALUES ('forged')"},
		{"agent", "stolen", "GRANT SELECT ON whose.* TO agent"},
		{"agent", "stolen", "CREATE USER other"},
		{"asker", "asks", "INSERT INTO whose.session_end (host) VALUES ('forged')"},
		{"asker", "asks", "ALTER TABLE whose.session_end DELETE WHERE 1"},
		{"asker", "asks", "DROP TABLE whose.edge"},
	} {
		tried++
		if answer, err := e.try(attack.user, attack.password, attack.question); err == nil {
			t.Errorf("%s may: %s: %s", attack.user, attack.question, answer)
			wrong++
		}
	}
	testenv.Tried(t, tried, wrong)
	if n := e.ask(count); n != "6" {
		t.Errorf("%s rows afterwards, want 6", n)
	}
	x.end(syscall.SIGTERM)
}
