package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// A dashboard is what a test reads of Grafana's.
type dashboard struct {
	Templating struct {
		List []struct{ Type, Definition string }
	}
	Panels []struct {
		ID      int
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr string }
	}
}

// prometheus starts one that scrapes a URL each second, and returns its own.
func prometheus(t *testing.T, target string) string {
	t.Helper()
	program := testenv.NeedProgram(t, "prometheus")
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: whose\n    static_configs:\n      - targets: ['" + target + "']\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	cmd := exec.Command(program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr, "--log.level=error")
	cmd.Dir = dir
	if err := testenv.Start(t, cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	return "http://" + addr
}

// query asks Prometheus, and returns the number of results.
func query(t *testing.T, server, expr string) (int, error) {
	t.Helper()
	answer, err := http.Get(server + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	var doc struct {
		Status, Error string
		Data          struct{ Result []json.RawMessage }
	}
	if err := json.NewDecoder(answer.Body).Decode(&doc); err != nil {
		return 0, err
	}
	if doc.Status != "success" {
		t.Fatalf("%s: %s", expr, doc.Error)
	}
	return len(doc.Data.Result), nil
}

// TestDashboard asks a Prometheus that has scraped an agent for each figure of the
// dashboard. Every one is there, but for losses, of which there may be none.
func TestDashboard(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedCap(t, unix.CAP_BPF, unix.CAP_SYS_ADMIN)
	text, err := os.ReadFile("../../integrations/grafana/whose.json")
	if err != nil {
		t.Fatal(err)
	}
	var board dashboard
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	s := startScraped(t, buildBoth(t), "--history="+t.TempDir())
	server := prometheus(t, strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/metrics"))
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	shut, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	shut.Close()
	traffic := func() {
		c, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		a, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(c, "something")
		_, _ = a.Read(make([]byte, 64)) // it is the ten bytes above
		c.Close()
		a.Close()
		if c, err := net.Dial("tcp4", shut.Addr().String()); err == nil {
			c.Close()
		}
	}
	variables := strings.NewReplacer("$__rate_interval", "30s", "$instance", ".*", "$workload", ".*")
	missing := func() (names []string) {
		for _, p := range board.Panels {
			for _, target := range p.Targets {
				n, err := query(t, server, variables.Replace(target.Expr))
				if err != nil || n == 0 && !strings.Contains(target.Expr, "whose_events_lost_total") {
					names = append(names, fmt.Sprintf("%s: %s (%v)", p.Title, target.Expr, err))
				}
			}
		}
		return names
	}
	var names []string
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(time.Second) {
		traffic()
		if names = missing(); len(names) == 0 {
			break
		}
	}
	if len(names) > 0 {
		t.Errorf("no figures of\n%s", strings.Join(names, "\n"))
	}
	for i, p := range board.Panels {
		if len(p.Targets) > 0 && p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%s is beyond the width of 24", p.Title)
		}
		for _, o := range board.Panels[:i] {
			a, b := p.GridPos, o.GridPos
			if p.ID == o.ID || a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%q and %q lie on each other, or have one number", p.Title, o.Title)
			}
		}
	}
}
