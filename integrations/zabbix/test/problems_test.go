//go:build zabbix

package zabbixtest

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// madeValues wants the values of what the actors made.
func (s *scene) madeValues(t *testing.T) {
	door := listener("tcp", s.door, "shop")
	s.values(t, map[string]string{
		door + "Sockets":                  "1",
		door + "Established":              "30",
		door + "Accept queue":             "0",
		door + "Accept queue limit":       "100",
		door + "Holders":                  "shop",
		process("shop") + "Sessions":      "32",
		process("shop") + "Processes":     "1",
		process("shop") + "Established":   "30",
		process("shop") + "Incoming":      "30",
		process("shop") + "Outgoing":      "0",
		process("shop") + "UDP":           "1",
		process("buyer") + "Sessions":     "30",
		process("buyer") + "Outgoing":     "30",
		process("buyer") + "Remote hosts": "0",
		process("scan") + "Remote hosts":  "2",
		"Collection: Completeness":        "1",
		"Collection: Through a pin":       "1",
		"Collection: Source":              "bpf",
		"Collection: Rows left out":       "0",
	})
}

func (s *scene) limits(t *testing.T) {
	of := []string{listener("tcp", s.door, "shop") + "Too many sessions", process("buyer") + "Too many sessions"}
	for _, problem := range of {
		s.expect(t, problem, true)
	}
	s.buyer.do(t, step{Do: "hang-up"})
	for _, problem := range of {
		s.expect(t, problem, false)
	}
}

func (s *scene) acceptQueue(t *testing.T) {
	counter := listener("tcp", s.counter, "slow")
	s.caller.do(t, dial(s.counter, 2))
	s.values(t, map[string]string{counter + "Accept queue": "2", counter + "Accept queue limit": "3"})
	s.expect(t, counter+"Accept queue is filling", true)
	s.caller.do(t, dial(s.counter, 1))
	s.expect(t, counter+"Accept queue is full", true)
}

func (s *scene) closeWait(t *testing.T) {
	s.guest.do(t, dial(s.tap, 12))
	s.values(t, map[string]string{process("leak") + "Sessions": "13"})
	s.guest.do(t, step{Do: "hang-up"})
	s.values(t, map[string]string{process("leak") + "CLOSE_WAIT": "12"})
	s.expect(t, process("leak")+"CLOSE_WAIT is growing", true)
	s.leak.leave()
	s.expect(t, process("leak")+"CLOSE_WAIT is growing", false)
}

func (s *scene) manyHosts(t *testing.T) {
	since := s.howMany(t)
	s.scan.do(t, step{Do: "address", Addr: "198.51.100.%d:9", Count: 60})
	s.came(t, since, process("scan")+"Talks to unusually many hosts")
	s.scan.do(t, step{Do: "hang-up"})
	s.expect(t, process("scan")+"Talks to unusually many hosts", false)
}

// newListener wants one problem for the listener that comes late, and none for
// those that stood when the template was linked.
func (s *scene) newListener(t *testing.T) {
	since, late := s.howMany(t), s.actor(t, "late")
	name := listener("tcp", late.do(t, step{Do: "listen", Addr: "127.0.0.1:0"}), "late")
	s.came(t, since, name+"Is new")
	s.expect(t, name+"Is new", false)
	s.onlyNew(t, name)
}

func (s *scene) onlyNew(t *testing.T, name string) {
	problems, err := s.everProblems()
	must(t, err)
	for _, p := range problems {
		if strings.HasSuffix(p, ": Is new") && p != name+"Is new" {
			t.Errorf("problem %q: it was there from the beginning", p)
		}
	}
}

func (s *scene) goneListener(t *testing.T) {
	gone := listener("tcp", s.post, "watched") + "Is gone"
	s.watched.do(t, step{Do: "shut"})
	s.expect(t, gone, true)
	s.watched.do(t, step{Do: "listen", Addr: fmt.Sprintf("127.0.0.1:%d", s.post)})
	s.expect(t, gone, false)
}

// hiddenOwners takes the pin away and gives it back. Nothing may be called gone
// or new because nobody could see it.
func (s *scene) hiddenOwners(t *testing.T) {
	before, err := s.everProblems()
	must(t, err)
	s.buyer.do(t, dial(s.door, 30))
	s.unpin(t)
	s.expect(t, "Sessions: Owners are hidden", true)
	s.pin(t)
	s.expect(t, "Sessions: Owners are hidden", false)
	after, err := s.everProblems()
	must(t, err)
	for _, p := range after[len(before):] {
		if strings.HasSuffix(p, ": Is gone") || strings.HasSuffix(p, ": Is new") {
			t.Errorf("problem %q while owners were hidden", p)
		}
	}
}

func (s *scene) restart(t *testing.T) {
	s.recovers(t, func() { s.restartAgent(t) })
}

func (s *scene) killed(t *testing.T) {
	s.recovers(t, func() {
		must(t, os.WriteFile(s.killFlag(), nil, 0o644))
		eventually(t, "the kill of a whose", func() error {
			if _, err := os.Stat(s.killFlag()); err == nil {
				return errors.New("not yet")
			}
			return nil
		})
	})
}

func (s *scene) noData(t *testing.T) {
	s.stopAgent(t)
	s.expect(t, "Sessions: No data for 15s", true)
	s.startAgent(t)
	s.expect(t, "Sessions: No data for 15s", false)
}

// recovers wants values again after an accident, and logs for how long there
// was none: one is lost, but on a loaded machine time for more may pass.
func (s *scene) recovers(t *testing.T, accident func()) {
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
	longest := int64(0)
	for i := 1; i < len(clocks); i++ {
		longest = max(longest, clocks[i]-clocks[i-1])
	}
	t.Logf("no value for %d s, with an interval of %d s", longest, interval)
}
