//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// serverPort is the port of nginx for wrk.
const serverPort = 8080

// A server is a running nginx with one worker.
type server struct {
	cmd    *exec.Cmd
	status http.Client
	// asked counts the connections for the status.
	asked uint64
	log   *bytes.Buffer
}

// startServer starts nginx in the foreground, with all its files in the folder.
func startServer(ctx context.Context, path string, r room) (*server, error) {
	socket := r.path("status.sock")
	config := fmt.Sprintf(`daemon off;
user root;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
	access_log off;
	keepalive_timeout 0;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	server { listen 127.0.0.1:%[2]d backlog=4096; location / { return 200 "the answer\n"; } }
	server { listen unix:%[3]s; location / { stub_status; } }
}
`, r.dir, serverPort, socket)
	file := r.path("nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return nil, fmt.Errorf("write configuration of nginx: %w", err)
	}
	s := &server{log: new(bytes.Buffer)}
	s.cmd = exec.CommandContext(ctx, path, "-p", r.dir, "-e", "stderr", "-c", file)
	s.cmd.Stderr = s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	s.status.Transport = &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start nginx: %w", err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		_, err := s.accepted(ctx)
		if err == nil {
			return s, nil
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("wait for nginx: %w: %s", err, bytes.TrimSpace(s.log.Bytes())), s.stop())
		}
	}
}

// accepted returns the number of wrk's connections accepted by nginx.
func (s *server) accepted(ctx context.Context) (uint64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://status/", nil)
	if err != nil {
		return 0, err
	}
	resp, err := s.status.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return 0, err
	}
	n, err := parseStatus(string(text))
	if err != nil {
		return 0, err
	}
	s.asked++
	return n - s.asked, nil
}

// parseStatus returns the first number of the third line of stub_status:
// connections accepted.
func parseStatus(text string) (uint64, error) {
	lines := strings.Split(text, "\n")
	if len(lines) > 2 {
		if f := strings.Fields(lines[2]); len(f) == 3 {
			return strconv.ParseUint(f[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("read status of nginx: %.200q", text)
}

func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop nginx: %w", err)
	}
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("stop nginx: %w: %s", err, bytes.TrimSpace(s.log.Bytes()))
	}
	return nil
}
