//go:build zabbix

package zabbixtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose/internal/zabbix"
)

// actor starts an actor as the test's user.
func (s *scene) actor(t *testing.T, name string) *actor {
	s.processes[name] = true
	return newActor(t, name, s.uid)
}

// scanner starts an actor that may have far remote hosts: the network of the
// rig has a route to them that no packet leaves.
func (s *scene) scanner(t *testing.T) *actor {
	scan := s.actor(t, "scan")
	scan.do(t, step{Do: "address", Addr: "198.51.100.%d:9", Count: 2})
	return scan
}

// listens lets an actor listen, and notes that it is to be discovered.
func (s *scene) listens(t *testing.T, name string, a *actor, how step) int {
	t.Helper()
	how.Do, how.Addr = "listen", "127.0.0.1:0"
	port := a.do(t, how)
	s.listeners[listener("tcp", port, name)] = true
	return port
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

// came waits for a problem that there was not among the first ones. It may be
// gone again: some go by themselves, soon.
func (s *scene) came(t *testing.T, since int, problem string) {
	t.Helper()
	eventually(t, problem, func() error {
		ever, err := s.everProblems()
		if err == nil && !slices.Contains(ever[since:], problem) {
			err = fmt.Errorf("problems since are %q", ever[since:])
		}
		return err
	})
}

// howMany returns how many problems there ever were.
func (s *scene) howMany(t *testing.T) int {
	t.Helper()
	ever, err := s.everProblems()
	must(t, err)
	return len(ever)
}

// everProblems returns the names of all problems that there ever were.
func (s *scene) everProblems() ([]string, error) {
	var events []struct{ Name string }
	err := s.api.call("event.get", object{"hostids": s.host, "value": 1, "sortfield": "eventid", "output": []string{"name"}}, &events)
	var names []string
	for _, e := range events {
		names = append(names, e.Name)
	}
	return names, err
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
