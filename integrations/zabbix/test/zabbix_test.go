//go:build zabbix

package zabbixtest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose/internal/testenv"
	"github.com/seed-44df2ae6/whose/internal/zabbix"
)

func TestMain(m *testing.M) {
	if name, ok := os.LookupEnv(actorEnv); ok {
		act(name)
		return
	}
	os.Exit(m.Run())
}

// interval is how often the test collects, in seconds.
const interval = 3

// hostile are names that a process may give itself.
var hostile = []string{
	"\"quoted\" 'it'\\",
	"two\nlines\ttab",
	"\x1b[31mred\x1b[0m",
	"{#WHOSE.PORT}",
	"{$WHOSE.PERIOD}",
	"{HOST.HOST}",
	"caf\xe9 \xff\xfe 日",
	"$1 `id` $(id)",
}

// A scene is a host of the rig and the actors on it.
type scene struct {
	*rig
	host string
	uid  uint32
	// listeners and processes are the names of all rows that there should be.
	listeners, processes map[string]bool
}

func TestAgent(t *testing.T) {
	s := &scene{rig: newRig(t), listeners: map[string]bool{}, processes: map[string]bool{}}
	actorUser, err := user.Lookup("games")
	must(t, err)
	uid, err := strconv.ParseUint(actorUser.Uid, 10, 32)
	must(t, err)
	s.uid = uint32(uid)

	// What others on this machine hide is not of the test.
	hidden := s.document(t).Coverage.Hidden + 20
	source, err := os.ReadFile("../" + s.version() + "/template_whose_sessions.yaml")
	must(t, err)
	// All prototypes, those that are off by default too.
	source = bytes.ReplaceAll(source, []byte("\n              discover: NO_DISCOVER\n"), []byte("\n"))
	must(t, s.api.importTemplate(source))
	must(t, s.api.importTemplate(source)) // once more changes nothing and fails nothing

	shop, buyer := s.actor(t, "shop"), s.actor(t, "buyer")
	door := shop.do(step{Do: "listen", Addr: "127.0.0.1:0"})
	s.listens("tcp", door, "shop")
	s.listens("udp", s.bindUDP(t, shop), "shop")
	buyer.do(step{Do: "dial", Addr: fmt.Sprintf("127.0.0.1:%d", door), Count: 30})

	slow, caller := s.actor(t, "slow"), s.actor(t, "caller")
	counter := slow.do(step{Do: "listen", Addr: "127.0.0.1:0", Backlog: 3, Idle: true})
	s.listens("tcp", counter, "slow")
	watched, watchedPort := s.actor(t, "watched"), 0
	watchedPort = watched.do(step{Do: "listen", Addr: "127.0.0.1:0"})
	s.listens("tcp", watchedPort, "watched")
	leak, guest := s.actor(t, "leak"), s.actor(t, "guest")
	tap := leak.do(step{Do: "listen", Addr: "127.0.0.1:0", Leak: true})
	s.listens("tcp", tap, "leak")
	delete(s.processes, "caller") // has no session yet
	delete(s.processes, "guest")
	scan := s.scanner(t)
	for _, name := range hostile {
		a := s.actor(t, name)
		s.listens("tcp", a.do(step{Do: "listen", Addr: "127.0.0.1:0"}), name)
	}

	s.host = s.addHost(t, s.env["ZBX_HOST"], zabbix.TemplateName(zabbix.TemplateOptions{}), map[string]string{
		"{$WHOSE.INTERVAL}":            strconv.Itoa(interval),
		"{$WHOSE.LISTEN.USER.MATCHES}": "^games$",
		"{$WHOSE.PROC.USER.MATCHES}":   "^games$",
		"{$WHOSE.HIDDEN.MAX}":          strconv.Itoa(hidden),
		"{$WHOSE.NODATA}":              "15s",
		"{$WHOSE.PERIOD}":              "9s",
		"{$WHOSE.LISTEN.NEW.PERIOD}":   "20s",
		"{$WHOSE.CLOSE_WAIT.MAX}":      "2",
		"{$WHOSE.HOSTS.MIN}":           "5",
		"{$WHOSE.HOSTS.BASE}":          "1m",
		fmt.Sprintf("{$WHOSE.LISTEN.WATCH:%q}", strconv.Itoa(watchedPort)): "1",
		fmt.Sprintf("{$WHOSE.SESSIONS.MAX:%q}", strconv.Itoa(door)):        "29",
		`{$WHOSE.PROC.SESSIONS.MAX:"buyer"}`:                               "29",
	})

	t.Run("discovery", func(t *testing.T) { s.discovered(t) })
	t.Run("values", func(t *testing.T) {
		s.values(t, map[string]string{
			listener("tcp", door, "shop") + "Sockets":            "1",
			listener("tcp", door, "shop") + "Established":        "30",
			listener("tcp", door, "shop") + "Accept queue":       "0",
			listener("tcp", door, "shop") + "Accept queue limit": "100",
			listener("tcp", door, "shop") + "Holders":            "shop",
			process("shop") + "Sessions":                         "32",
			process("shop") + "Processes":                        "1",
			process("shop") + "Established":                      "30",
			process("shop") + "Incoming":                         "30",
			process("shop") + "Outgoing":                         "0",
			process("shop") + "UDP":                              "1",
			process("buyer") + "Sessions":                        "30",
			process("buyer") + "Outgoing":                        "30",
			process("buyer") + "Remote hosts":                    "0",
			process("scan") + "Remote hosts":                     "2",
			"Collection: Completeness":                           "1",
			"Collection: Through a pin":                          "1",
			"Collection: Source":                                 "bpf",
			"Collection: Rows left out":                          "0",
		})
	})
	t.Run("limits by context", func(t *testing.T) {
		s.expect(t, listener("tcp", door, "shop")+"Too many sessions", true)
		s.expect(t, process("buyer")+"Too many sessions", true)
		buyer.do(step{Do: "hang-up"})
		delete(s.processes, "buyer")
		s.expect(t, listener("tcp", door, "shop")+"Too many sessions", false)
		s.expect(t, process("buyer")+"Too many sessions", false)
	})
	t.Run("accept queue", func(t *testing.T) {
		to := step{Do: "dial", Addr: fmt.Sprintf("127.0.0.1:%d", counter), Count: 2}
		caller.do(to)
		s.values(t, map[string]string{
			listener("tcp", counter, "slow") + "Accept queue":       "2",
			listener("tcp", counter, "slow") + "Accept queue limit": "3",
		})
		s.expect(t, listener("tcp", counter, "slow")+"Accept queue is filling", true)
		to.Count = 1
		caller.do(to)
		s.expect(t, listener("tcp", counter, "slow")+"Accept queue is full", true)
	})
	t.Run("close wait", func(t *testing.T) {
		guest.do(step{Do: "dial", Addr: fmt.Sprintf("127.0.0.1:%d", tap), Count: 12})
		s.values(t, map[string]string{process("leak") + "Sessions": "13"})
		guest.do(step{Do: "hang-up"})
		s.values(t, map[string]string{process("leak") + "CLOSE_WAIT": "12"})
		s.expect(t, process("leak")+"CLOSE_WAIT is growing", true)
		leak.leave()
		s.expect(t, process("leak")+"CLOSE_WAIT is growing", false)
	})
	t.Run("many hosts", func(t *testing.T) {
		scan.do(step{Do: "address", Addr: "198.51.100.%d:9", Count: 60})
		s.expect(t, process("scan")+"Talks to unusually many hosts", true)
		scan.do(step{Do: "hang-up"})
		s.expect(t, process("scan")+"Talks to unusually many hosts", false)
	})
	t.Run("new listener", func(t *testing.T) {
		late := s.actor(t, "late")
		name := listener("tcp", late.do(step{Do: "listen", Addr: "127.0.0.1:0"}), "late")
		s.expect(t, name+"Is new", true)
		s.expect(t, name+"Is new", false)
		problems, err := s.everProblems()
		must(t, err)
		for _, p := range problems {
			if strings.HasSuffix(p, ": Is new") && p != name+"Is new" {
				t.Errorf("problem %q: it was there from the beginning", p)
			}
		}
	})
	t.Run("gone listener", func(t *testing.T) {
		watched.do(step{Do: "shut"})
		s.expect(t, listener("tcp", watchedPort, "watched")+"Is gone", true)
		watched.do(step{Do: "listen", Addr: fmt.Sprintf("127.0.0.1:%d", watchedPort)})
		s.expect(t, listener("tcp", watchedPort, "watched")+"Is gone", false)
	})
	t.Run("hidden owners", func(t *testing.T) {
		buyer.do(step{Do: "dial", Addr: fmt.Sprintf("127.0.0.1:%d", door), Count: 30})
		s.unpin(t)
		s.expect(t, "Sessions: Owners are hidden", true)
		s.pin(t)
		s.expect(t, "Sessions: Owners are hidden", false)
		s.neverProblem(t, listener("tcp", watchedPort, "watched")+"Is gone", 1)
	})
	t.Run("agent restart", func(t *testing.T) {
		s.loses(t, func() { s.restartAgent(t) })
	})
	t.Run("killed whose", func(t *testing.T) {
		s.loses(t, func() {
			must(t, os.WriteFile(s.killFlag(), nil, 0o644))
			eventually(t, "the kill of a whose", func() error {
				if _, err := os.Stat(s.killFlag()); err == nil {
					return errors.New("not yet")
				}
				return nil
			})
		})
	})
	t.Run("no data", func(t *testing.T) {
		s.stopAgent(t)
		s.expect(t, "Sessions: No data for 15s", true)
		s.startAgent(t)
		s.expect(t, "Sessions: No data for 15s", false)
	})
	t.Run("supported", func(t *testing.T) { s.supported(t) })
}

// actor starts an actor as the test's user.
func (s *scene) actor(t *testing.T, name string) *actor {
	s.processes[name] = true
	return newActor(t, name, s.uid, nil)
}

// scanner starts an actor in a network namespace of its own, where it may have
// far remote hosts without one packet leaving the machine.
func (s *scene) scanner(t *testing.T) *actor {
	ns := testenv.NewNetNS(t)
	s.processes["scan"] = true
	scan := newActor(t, "scan", s.uid, ns.Do)
	route := exec.Command("nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", scan.cmd.Process.Pid), "ip", "route", "add", "198.51.100.0/24", "dev", "lo")
	if out, err := route.CombinedOutput(); err != nil {
		t.Fatalf("ip route add: %v\n%s", err, out)
	}
	scan.do(step{Do: "address", Addr: "198.51.100.%d:9", Count: 2})
	return scan
}

// bindUDP lets an actor bind a UDP port below the ephemeral ones.
func (s *scene) bindUDP(t *testing.T, a *actor) int {
	return a.do(step{Do: "bind", Addr: fmt.Sprintf("127.0.0.1:%d", 15000+rand.IntN(5000))})
}

// listens notes a listener that is to be discovered.
func (s *scene) listens(proto string, port int, name string) {
	s.listeners[listener(proto, port, name)] = true
}

// listener and process return what leads the names of a row's items.
func listener(proto string, port int, name string) string {
	return fmt.Sprintf("Listener %s 127.0.0.1 %d [%s]: ", proto, port, zabbix.Safe(name))
}

func process(name string) string { return fmt.Sprintf("Process %s [games]: ", zabbix.Safe(name)) }

// byName returns the items of the host by name, which the rows' items have to
// themselves.
func (s *scene) byName() (map[string]item, error) {
	items, err := s.api.items(s.host)
	names := make(map[string]item, len(items))
	for _, i := range items {
		names[i.Name] = i
	}
	return names, err
}

// discovered waits for all rows, and wants no other.
func (s *scene) discovered(t *testing.T) {
	var want []string
	for name := range s.listeners {
		want = append(want, name+"Sockets")
	}
	for name := range s.processes {
		want = append(want, process(name)+"Sessions")
	}
	slices.Sort(want)
	eventually(t, "discovery", func() error {
		names, err := s.byName()
		if err != nil {
			return err
		}
		var got []string
		for name := range maps.Keys(names) {
			if strings.HasSuffix(name, ": Sockets") || strings.HasPrefix(name, "Process ") && strings.HasSuffix(name, ": Sessions") {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("rows (-want +got):\n%s", diff)
		}
		return nil
	})
}

// values waits until items have values.
func (s *scene) values(t *testing.T, want map[string]string) {
	t.Helper()
	eventually(t, "values", func() error {
		names, err := s.byName()
		if err != nil {
			return err
		}
		got := map[string]string{}
		for name := range want {
			if i, ok := names[name]; ok && i.Clock != "0" {
				got[name] = i.Value
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("(-want +got):\n%s", diff)
		}
		return nil
	})
}

// expect waits until a problem is there, or is there no more.
func (s *scene) expect(t *testing.T, problem string, there bool) {
	t.Helper()
	eventually(t, problem, func() error {
		problems, err := s.api.problems(s.host)
		if err != nil {
			return err
		}
		if slices.Contains(problems, problem) != there {
			return fmt.Errorf("want it %v, problems are %q", there, problems)
		}
		return nil
	})
}

// everProblems returns the names of all problems that there ever were.
func (s *scene) everProblems() ([]string, error) {
	var events []struct{ Name string }
	err := s.api.call("event.get", object{"hostids": s.host, "value": 1, "output": []string{"name"}}, &events)
	var names []string
	for _, e := range events {
		names = append(names, e.Name)
	}
	return names, err
}

// neverProblem wants that a problem was raised so many times, no more.
func (s *scene) neverProblem(t *testing.T, name string, times int) {
	t.Helper()
	all, err := s.everProblems()
	must(t, err)
	got := 0
	for _, p := range all {
		if p == name {
			got++
		}
	}
	if got != times {
		t.Errorf("problem %q was raised %d times, want %d", name, got, times)
	}
}

// loses wants that an accident costs one value and no more: no two intervals
// in a row without one.
func (s *scene) loses(t *testing.T, accident func()) {
	t.Helper()
	start := time.Now()
	items, err := s.api.items(s.host)
	must(t, err)
	accident()
	done := time.Now()
	var clocks []int64
	eventually(t, "values after it", func() error {
		if clocks, err = s.api.clocks(items["whose.sessions"], start.Add(-2*interval*time.Second)); err != nil {
			return err
		}
		if len(clocks) == 0 || clocks[len(clocks)-1] < done.Unix()+2*interval {
			return fmt.Errorf("%v, it was at %d", clocks, done.Unix())
		}
		return nil
	})
	for i := 1; i < len(clocks); i++ {
		if gap := clocks[i] - clocks[i-1]; gap >= 3*interval {
			t.Errorf("no value for %d s with an interval of %d s: %v", gap, interval, clocks)
		}
	}
}

// supported wants that every item and rule of the host is.
func (s *scene) supported(t *testing.T) {
	eventually(t, "support of all items", func() error {
		items, err := s.api.items(s.host)
		if err != nil {
			return err
		}
		var rules []item
		if err := s.api.call("discoveryrule.get", object{"hostids": s.host, "output": []string{"itemid", "key_", "state", "error"}}, &rules); err != nil {
			return err
		}
		if len(rules) != 2 {
			return fmt.Errorf("%d discovery rules, want 2", len(rules))
		}
		for _, i := range append(rules, slices.Collect(maps.Values(items))...) {
			if i.State != "0" || i.Error != "" {
				return fmt.Errorf("%s: state %s: %s", i.Key, i.State, i.Error)
			}
		}
		return nil
	})
}
