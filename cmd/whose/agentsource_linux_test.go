package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// until waits until a condition holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 30 s still not: %s", what)
		}
	}
}

// TestAgentSource asks an agent over its socket: for what stands the answers are those
// of the listing, for the past those of the files, for what comes those of the watch.
func TestAgentSource(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedCap(t, unix.CAP_BPF, unix.CAP_SYS_ADMIN)
	ns := testenv.NewNetNS(t)
	run, err := os.MkdirTemp("", "agent")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(run)
	h := &keptHost{
		t: t, whose: buildBoth(t) + "/whose", dir: filepath.Join(t.TempDir(), "history"), netns: strconv.FormatUint(uint64(ns.Inode()), 10),
		socket: filepath.Join(run, "agent.sock"), ready: "answering at",
	}
	var server net.Listener
	ns.Do(func() { server, err = net.Listen("tcp", "127.0.0.1:7000") })
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	began := time.Now().Add(-time.Minute).Format(time.RFC3339Nano)
	h.start()
	dial := func() net.Conn {
		var client net.Conn
		ns.Do(func() { client, err = net.Dial("tcp", "127.0.0.1:7000") })
		if err != nil {
			t.Fatal(err)
		}
		accepted, err := server.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close(); accepted.Close() })
		return client
	}
	for range 3 {
		dial()
	}
	for _, question := range [][]string{
		{}, {"-l"}, {"established"}, {"lport", "7000"}, {"pid", strconv.Itoa(os.Getpid())}, {"--sort", "-local_port", "-e"}, {"-u"},
		{"state", "established", "and", "direction", "in"}, {"--pids"}, {"-o", "csv", "--fields", "proto,state,local_addr,local_port,remote_port,pid,comm,peer_pid,direction,netns", "-e", "-l"},
		{"count", "--by", "comm,state"}, {"count", "--by", "direction", "-o", "json", "--top", "1", "-e"},
	} {
		said := ""
		ask := func(source ...string) string {
			args := append(append([]string{}, question...), source...)
			if len(question) == 0 || question[0] != "--pids" && question[0] != "count" && question[0] != "-o" {
				args = append(args, "-o", "csv", "--fields", "proto,family,state,local_addr,local_port,remote_addr,remote_port,inode,cookie,uid,user,netns,direction,reason,pid,comm,peer_pid,peer_comm")
			}
			out, errs := h.ask(args...)
			said = errs
			before, _, _ := strings.Cut(out, `,"coverage"`) // it names the source
			return before
		}
		want, got := "", ""
		until(t, "the agent answers "+strings.Join(question, " ")+" as the listing", func() bool {
			want, got = ask("--source", "bpf"), ask("--source", "agent", "--socket", h.socket)
			if want != got {
				t.Logf("%q: the agent says\n%s(%s)the listing\n%s", question, got, said, want)
			}
			return want == got
		})
	}
	for _, c := range []struct {
		args []string
		want int
		says string
	}{
		{[]string{"comm", "nobody-has-this-name", "--socket", h.socket}, exitNothing, ""},
		{[]string{"-q", "-e", "--socket", h.socket}, exitFound, ""},
		{[]string{"prto", "tcp", "--socket", h.socket}, exitUsage, "unknown field"},
		{[]string{"user", "nobody-has-this-name", "--socket", h.socket}, exitUsage, "on this host"},
		{[]string{"rtt > 1ms", "--socket", h.socket}, exitUsage, "does not have the field rtt"},
		{[]string{"--proc", "/proc", "--socket", h.socket}, exitUsage, "an agent is asked"},
		{[]string{"--strict", "-e", "--fields", "rtt", "--socket", h.socket}, exitPartial, "does not have rtt"},
		{[]string{"--socket", filepath.Join(run, "none.sock")}, exitFailed, "no agent runs there"},
	} {
		var errs bytes.Buffer
		cmd := exec.CommandContext(t.Context(), h.whose, append(c.args, "--source", "agent", "-N", h.netns)...)
		cmd.Stderr = &errs
		_ = cmd.Run() // the status counts
		if got := cmd.ProcessState.ExitCode(); got != c.want || !strings.Contains(errs.String(), c.says) {
			t.Errorf("whose %q: status %d, %s; want %d, %s", c.args, got, errs.String(), c.want, c.says)
		}
	}
	t.Run("zabbix", h.zabbixOfAgent)
	t.Run("watch", func(t *testing.T) { h.watchesAgent(t, dial) })
	var files, socket string
	until(t, "the socket gives the past as the files do", func() bool {
		to := time.Now().Add(-5 * time.Second).Format(time.RFC3339Nano) // all of it has been written
		files, _ = h.ask("--from", began, "--to", to, "-o", "jsonl")
		socket, _ = h.ask("--from", began, "--to", to, "-o", "jsonl", "--socket", h.socket)
		return files == socket && strings.Contains(files, `"local_port":7000`)
	})
	until(t, "the events of the past too", func() bool {
		to := time.Now().Add(-5 * time.Second).Format(time.RFC3339Nano)
		files, _ = h.ask("watch", "--from", began, "--to", to, "-o", "jsonl")
		socket, _ = h.ask("watch", "--from", began, "--to", to, "-o", "jsonl", "--socket", h.socket)
		return files == socket && strings.Contains(files, `"event":"open"`)
	})
	h.end(unix.SIGTERM)
	if _, err := os.Lstat(h.socket); !os.IsNotExist(err) {
		t.Errorf("the socket after a clean end: %v", err)
	}
}

// zabbixOfAgent takes what Zabbix gets from the agent and holds it against the kernel's.
func (h *keptHost) zabbixOfAgent(t *testing.T) {
	for _, words := range [][]string{
		{"count", "established"}, {"count", "lport", "7000", "and", "listening"}, {"count", "udp"}, {"count", "pid", strconv.Itoa(os.Getpid()), "--partial"}, {"discovery", "listen", "tcp"},
	} {
		until(t, fmt.Sprintf("whose zabbix %q by the agent as by the kernel", words), func() bool {
			args := append([]string{"zabbix"}, words...)
			want, _ := h.ask(append(args, "--source", "bpf", "--timeout", "20s")...)
			got, _ := h.ask(append(args, "--source", "agent", "--timeout", "20s", "--socket", h.socket)...)
			return want == got && len(got) > 1
		})
	}
	out, _ := h.ask("zabbix", "get", "--source", "agent", "--timeout", "20s", "--socket", h.socket)
	var doc struct {
		Source   string `json:"source"`
		Complete bool   `json:"complete"`
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil || doc.Source != sourceAgent || doc.Complete {
		t.Errorf("the document: %v, %+v: %s", err, doc, out)
	}
	out, _ = h.ask("zabbix", "get", "--source", "agent", "--socket", h.socket+".none")
	if !strings.Contains(out, "no such file or directory") {
		t.Errorf("the document without an agent: %s", out)
	}
	for _, args := range [][]string{{"--watch", "200ms", "-o", "jsonl", "lport", "7000", "and", "listening"}} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		cmd := exec.CommandContext(ctx, h.whose, append(args, "--source", "agent", "--socket", h.socket, "-N", h.netns)...)
		stdout, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(stdout)
		for i := range 3 {
			if !lines.Scan() || !strings.Contains(lines.Text(), `"local_port":7000`) {
				t.Errorf("pass %d shows %q", i, lines.Text())
			}
		}
		cancel()
		_ = cmd.Wait() // it was ended
	}
}

// watchesAgent follows the events of the agent until it sees a session open.
func (h *keptHost) watchesAgent(t *testing.T, dial func() net.Conn) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, h.whose, "watch", "--source", "agent", "--socket", h.socket, "-N", h.netns, "-o", "jsonl",
		"--events", "open", "-q", "comm", filepath.Base(os.Args[0])[:min(15, len(filepath.Base(os.Args[0])))])
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		dial()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("watch: %v: %s", err, errs.Bytes())
			}
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}
