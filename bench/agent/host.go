//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A host is one with a load of sessions that stand, and an agent.
type host struct {
	pid    int
	client http.Client
	// sockets is the number of those of the load.
	sockets int
}

// beside runs a measurement beside a load and an agent.
func (b *bench) beside(ctx context.Context, sockets int, measure func(context.Context, *host) error) (err error) {
	load := exec.CommandContext(ctx, b.load, "-sockets", strconv.Itoa(sockets), "-procs", strconv.Itoa(max(10, sockets/100)))
	input, err := load.StdinPipe()
	if err != nil {
		return err
	}
	output, err := load.StdoutPipe()
	if err != nil {
		return err
	}
	load.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := load.Start(); err != nil {
		return fmt.Errorf("start load: %w", err)
	}
	defer func() { err = errors.Join(err, input.Close(), load.Wait()) }()
	if line, err := bufio.NewReader(output).ReadString('\n'); err != nil || !strings.HasPrefix(line, "ready") {
		return fmt.Errorf("start load: %q, %w", line, err)
	}
	socket := filepath.Join(b.dir, "agent.sock")
	var said bytes.Buffer
	agent := exec.CommandContext(ctx, b.whose, "agent", "--history", filepath.Join(b.dir, "history"+strconv.Itoa(sockets)), "--socket", socket, "--metrics", "127.0.0.1:9479")
	agent.Stderr = &said
	agent.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := agent.Start(); err != nil {
		return fmt.Errorf("start agent: %w", err)
	}
	defer func() {
		if e := agent.Process.Signal(syscall.SIGTERM); e != nil {
			err = errors.Join(err, e)
		}
		if e := agent.Wait(); e != nil {
			err = errors.Join(err, fmt.Errorf("end agent: %w: %s", e, said.Bytes()))
		}
	}()
	h := &host{pid: agent.Process.Pid, sockets: sockets}
	h.client.Transport = &http.Transport{
		MaxIdleConnsPerHost: 256,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}
	defer h.client.CloseIdleConnections()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err := h.get(ctx, "/v1/health"); err == nil {
			break
		} else if time.Now().After(deadline) {
			return fmt.Errorf("wait for agent: %w: %s", err, said.Bytes())
		}
	}
	return measure(ctx, h)
}

// get returns the length of an answer.
func (h *host) get(ctx context.Context, path string) (int64, error) {
	body, err := h.open(ctx, path)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	return io.Copy(io.Discard, body)
}

func (h *host) open(ctx context.Context, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("ask %s: %s", path, resp.Status)
	}
	return resp.Body, nil
}

// status returns a number of /proc/PID/status, the sum over all threads for one of a thread.
func (h *host) status(name string, threads bool) (sum int64, err error) {
	paths := []string{fmt.Sprintf("/proc/%d/status", h.pid)}
	if threads {
		if paths, err = filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", h.pid)); err != nil {
			return 0, err
		}
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, name+":"); ok {
				n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
				if err != nil {
					return 0, err
				}
				sum += n
			}
		}
	}
	return sum, nil
}

// cpu returns the CPU time of the agent's threads (schedstat, nanoseconds).
func (h *host) cpu() (sum time.Duration, err error) {
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", h.pid))
	if err != nil {
		return 0, err
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return 0, err
		}
		n, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n)
	}
	return sum, nil
}
