//go:build fleet

package test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose/integrations/clickhouse"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// program returns the path of a program that scripts/test-fleet built.
func program(name string) string { return filepath.Join(os.Getenv("WHOSE_PROGRAMS"), name) }

// An engine is a ClickHouse server of its own.
type engine struct {
	t         *testing.T
	http, tcp int
	dir       string
	cmd       *exec.Cmd
}

// startEngine starts one. Its users are default, who may do all, agent and reader.
func startEngine(t *testing.T) *engine {
	t.Helper()
	e := &engine{t: t, http: freePort(t), tcp: freePort(t), dir: t.TempDir()}
	config := fmt.Sprintf(`<clickhouse>
<http_port>%d</http_port><tcp_port>%d</tcp_port><listen_host>127.0.0.1</listen_host>
<logger><level>error</level><console>1</console></logger>
<users_config>%s/users.xml</users_config>
</clickhouse>`, e.http, e.tcp, e.dir)
	// This engine keeps users in a file alone, so it makes no roles. Its users have the
	// rights of the roles by the same words.
	users := `<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users>` +
		user("default", "", "") + user("agent", "stolen", grants(t, "{db}_agent")) + user("asker", "asks", grants(t, "{db}_reader")) +
		`</users></clickhouse>`
	for name, text := range map[string]string{"config.xml": config, "users.xml": users} {
		if err := os.WriteFile(filepath.Join(e.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e.start()
	return e
}

// user is a user in the file of users.
func user(name, password, grant string) string {
	if grant != "" {
		grant = "<grants><query>" + grant + "</query></grants>"
	}
	return fmt.Sprintf("<%[1]s><password>%[2]s</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile>"+
		"<quota>default</quota>%[3]s</%[1]s>", name, password, grant)
}

// grants is the right that a role gets.
func grants(t *testing.T, role string) string {
	t.Helper()
	all, err := clickhouse.Roles()
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range all {
		right, to, ok := strings.Cut(statement, " TO ")
		if at := strings.Index(right, "GRANT "); ok && to == role && at >= 0 {
			return strings.ReplaceAll(right[at:], "{db}", "whose")
		}
	}
	t.Fatalf("no right for %s", role)
	return ""
}

func (e *engine) start() {
	e.t.Helper()
	e.cmd = exec.Command(program("engine"), os.Getenv("WHOSE_ENGINE"), filepath.Join(e.dir, "config.xml"), filepath.Join(e.dir, "data"))
	log, err := os.OpenFile(filepath.Join(e.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		e.t.Fatal(err)
	}
	defer log.Close()
	e.cmd.Stdout, e.cmd.Stderr = log, log
	if err := testenv.Start(e.t, e.cmd); err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() {
		if e.t.Failed() {
			text, _ := os.ReadFile(filepath.Join(e.dir, "log"))
			e.t.Logf("the engine says: %s", text[max(0, len(text)-2000):])
		}
	})
	eventually(e.t, "the engine answers", func() bool {
		answer, err := e.try("default", "", "SELECT 1")
		return err == nil && answer == "1"
	})
}

func (e *engine) kill() {
	e.t.Helper()
	if err := e.cmd.Process.Kill(); err != nil {
		e.t.Fatal(err)
	}
	_ = e.cmd.Wait() // it was killed
}

func (e *engine) url() string { return fmt.Sprintf("http://127.0.0.1:%d", e.http) }

// try asks as a user, and returns the answer without its last newline.
func (e *engine) try(user, password, question string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url()+"/?"+url.Values{"wait_end_of_query": {"1"}}.Encode(), strings.NewReader(question))
	if err != nil {
		return "", err
	}
	r.SetBasicAuth(user, password)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.500s", res.Status, text)
	}
	return strings.TrimSuffix(string(text), "\n"), err
}

func (e *engine) ask(question string) string {
	e.t.Helper()
	answer, err := e.try("default", "", question)
	if err != nil {
		e.t.Fatalf("%s: %v", question, err)
	}
	return answer
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// eventually waits until something holds, a minute at most.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after a minute not yet: %s", what)
		}
	}
}
