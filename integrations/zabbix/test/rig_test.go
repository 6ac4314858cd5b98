//go:build zabbix

package zabbixtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/testenv"
	"github.com/seed-44df2ae6/whose/internal/zabbix"
)

// What the script that runs the tests tells them.
const (
	stateEnv  = "WHOSE_ZABBIX_STATE"  // the folder that `up` filled
	binaryEnv = "WHOSE_ZABBIX_BINARY" // whose
)

// patience is how long something may take that a loaded machine delays.
const patience = 4 * time.Minute

// A rig is a running Zabbix with whose installed for its agent.
type rig struct {
	state, pins string
	env         map[string]string
	api         *api
}

// newRig installs whose into the rig that is up: the binary, its UserParameter
// file and a pin for the agent's group.
func newRig(t *testing.T) *rig {
	t.Helper()
	testenv.NeedRoot(t)
	if os.Getenv(stateEnv) == "" {
		testenv.Missing(t, "a Zabbix that runs", "the tests are run by make test-zabbix")
	}
	r := &rig{state: os.Getenv(stateEnv), env: map[string]string{}}
	text, err := os.ReadFile(filepath.Join(r.state, "env"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		r.env[key] = strings.Trim(value, "'")
	}
	if r.api, err = login(r.env["ZBX_API_URL"]); err != nil {
		t.Fatal(err)
	}
	r.install(t)
	return r
}

// wrapper runs whose, and once kills it when it has begun, when told to. Its
// document is of the rig's own network: in others are sockets whose processes
// are not of the rig's process namespace, as many as this machine pleases.
const wrapper = `#!/bin/sh
[ "$1 $2" != "zabbix get" ] || set -- "$@" --netns self
if rm "%[1]s" 2>/dev/null; then
	"%[2]s.real" --pin-dir "%[3]s" "$@" & kill -KILL $!
	wait $!
	exit
fi
exec "%[2]s.real" --pin-dir "%[3]s" "$@"
`

// killFlag is the file that lets the next whose be killed.
func (r *rig) killFlag() string { return filepath.Join(r.state, "run", "kill-whose") }

func (r *rig) install(t *testing.T) {
	t.Helper()
	mount := filepath.Join(r.state, "bpf")
	binary := filepath.Join(r.state, "bin", "whose")
	for _, dir := range []string{mount, filepath.Dir(binary)} {
		must(t, os.MkdirAll(dir, 0o755))
	}
	must(t, unix.Mount("bpf", mount, "bpf", 0, "mode=0755"))
	t.Cleanup(func() { must(t, unix.Unmount(mount, unix.MNT_DETACH)) })
	r.pins = filepath.Join(mount, "whose")

	program, err := os.ReadFile(os.Getenv(binaryEnv))
	must(t, err)
	must(t, os.WriteFile(binary+".real", program, 0o755))
	must(t, os.WriteFile(binary, fmt.Appendf(nil, wrapper, r.killFlag(), binary, r.pins), 0o755))
	conf, err := os.ReadFile("../whose.conf")
	must(t, err)
	conf = []byte(strings.ReplaceAll(string(conf), "/usr/bin/whose", binary))
	must(t, os.WriteFile(filepath.Join(r.env["ZBX_AGENT_D"], "whose.conf"), conf, 0o644))
	r.pin(t)
	r.restartAgent(t)
}

// pin lets the agent's group read all sessions; unpin takes that away.
func (r *rig) pin(t *testing.T)   { r.run(t, "pin", "--group", "zabbix") }
func (r *rig) unpin(t *testing.T) { r.run(t, "unpin") }

func (r *rig) run(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.Command(filepath.Join(r.state, "bin", "whose"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("whose %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// pid returns the recorded process id of a daemon of the rig.
func (r *rig) pid(t *testing.T, daemon string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(r.env["ZBX_PIDS"], daemon+".pid"))
	must(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	must(t, err)
	return pid
}

// restartAgent ends the agent and starts it again.
func (r *rig) restartAgent(t *testing.T) {
	t.Helper()
	r.stopAgent(t)
	r.startAgent(t)
}

func (r *rig) stopAgent(t *testing.T) {
	t.Helper()
	pid := r.pid(t, "agent2")
	must(t, syscall.Kill(pid, syscall.SIGTERM))
	eventually(t, "the agent's end", func() error {
		if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && len(text) > 0 {
			return errors.New("it is still there")
		}
		return nil
	})
}

// startAgent starts the agent, and wants that it runs as the user zabbix.
func (r *rig) startAgent(t *testing.T) {
	t.Helper()
	out, err := exec.Command("./up", r.state).CombinedOutput()
	if err != nil {
		t.Fatalf("up: %v\n%s", err, out)
	}
	var stat syscall.Stat_t
	must(t, syscall.Stat(fmt.Sprintf("/proc/%d", r.pid(t, "agent2")), &stat))
	u, err := user.Lookup("zabbix")
	must(t, err)
	if uid := strconv.Itoa(int(stat.Uid)); uid != u.Uid {
		t.Fatalf("the agent runs as user %s, not as zabbix", uid)
	}
}

// get asks the agent for the value of a key.
func (r *rig) get(t *testing.T, key string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "zabbix_get", "-s", "127.0.0.1", "-p", r.env["ZBX_AGENT_PORT"], "-t", "30", "-k", key).CombinedOutput()
	if err != nil {
		t.Fatalf("zabbix_get %s: %v\n%s", key, err, out)
	}
	return strings.TrimRight(string(out), "\n")
}

// document asks the agent for the document.
func (r *rig) document(t *testing.T) *zabbix.Document {
	t.Helper()
	text := r.get(t, "whose.get")
	doc := new(zabbix.Document)
	if err := json.Unmarshal([]byte(text), doc); err != nil {
		t.Fatalf("whose.get: %v\n%.300s", err, text)
	}
	return doc
}

// version returns the version of the template that this Zabbix takes.
func (r *rig) version() string {
	if r.api.seven {
		return "7.0"
	}
	return "6.0"
}

// addHost makes a host with a template and macros and returns its id. It is
// enabled when the server knows its macros: one that reads them too early takes
// the filters of discovery for what stands there, and discovers nothing until
// the rows change or it looks at them again.
func (r *rig) addHost(t *testing.T, name, template string, macros map[string]string) string {
	t.Helper()
	templateID, err := r.api.id("template.get", "templateid", object{"host": template})
	must(t, err)
	group, err := r.api.id("hostgroup.get", "groupid", object{"name": "Linux servers"})
	must(t, err)
	r.dropHost(t, name)
	list := []object{}
	for macro, value := range macros {
		list = append(list, object{"macro": macro, "value": value})
	}
	var made struct{ HostIDs []string }
	must(t, r.api.call("host.create", object{
		"host": name, "status": 1, "groups": []object{{"groupid": group}}, "templates": []object{{"templateid": templateID}}, "macros": list,
		"interfaces": []object{{"type": 1, "main": 1, "useip": 1, "ip": "127.0.0.1", "dns": "", "port": r.env["ZBX_AGENT_PORT"]}},
	}, &made))
	r.reloadConfig(t)
	var changed any
	must(t, r.api.call("host.update", object{"hostid": made.HostIDs[0], "status": 0}, &changed))
	return made.HostIDs[0]
}

// reloadConfig waits until the server has read all its configuration once: it
// says when it begins to, and the second time the first is done.
func (r *rig) reloadConfig(t *testing.T) {
	t.Helper()
	begun := func() int {
		log, err := os.ReadFile(filepath.Join(r.state, "log", "server.log"))
		must(t, err)
		return strings.Count(string(log), "forced reloading of the configuration cache")
	}
	for range 2 {
		before := begun()
		out, err := exec.Command("/usr/sbin/zabbix_server", "-c", filepath.Join(r.state, "conf", "server.conf"), "-R", "config_cache_reload").CombinedOutput()
		if err != nil {
			t.Fatalf("zabbix_server -R config_cache_reload: %v\n%s", err, out)
		}
		eventually(t, "a reload of the configuration", func() error {
			if begun() == before {
				return errors.New("not begun")
			}
			return nil
		})
	}
}

// dropHost takes away the host that an earlier run left.
func (r *rig) dropHost(t *testing.T, name string) {
	t.Helper()
	var old []struct{ HostID string }
	must(t, r.api.call("host.get", object{"filter": object{"host": name}, "output": []string{"hostid"}}, &old))
	for _, h := range old {
		var gone any
		must(t, r.api.call("host.delete", []string{h.HostID}, &gone))
	}
}

// readLines returns the lines of a file of the kernel, none where it is gone.
func readLines(path string) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	var lines []string
	for s := bufio.NewScanner(f); s.Scan(); {
		lines = append(lines, s.Text())
	}
	return lines
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually asks until check has no error any more.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: after %v: %v", what, patience, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
