//go:build zabbix

package zabbixtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/user"
	"strconv"
	"testing"

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

	// shop accepts what buyer dials, on door; slow does not accept what caller
	// dials, on counter; leak never closes what guest dialled, on tap; watched
	// listens on post; scan talks to far hosts.
	shop, buyer, slow, caller, leak, guest, watched, scan *actor
	door, counter, tap, post                              int
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
	s.importCommitted(t)
	s.enter(t)
	s.host = s.addHost(t, s.env["ZBX_HOST"], zabbix.TemplateName(zabbix.TemplateOptions{}), s.macros(hidden))
	for _, part := range []struct {
		name string
		show func(*testing.T)
	}{
		{"discovery", s.discovered},
		{"values", s.madeValues},
		{"limits by context", s.limits},
		{"accept queue", s.acceptQueue},
		{"close wait", s.closeWait},
		{"many hosts", s.manyHosts},
		{"new listener", s.newListener},
		{"gone listener", s.goneListener},
		{"hidden owners", s.hiddenOwners},
		{"agent restart", s.restart},
		{"killed whose", s.killed},
		{"no data", s.noData},
		{"supported", s.supported},
	} {
		t.Run(part.name, part.show)
	}
}

// importCommitted imports the template of the tree, with all prototypes on,
// those that are off by default too; once more changes and fails nothing.
func (s *scene) importCommitted(t *testing.T) {
	source, err := os.ReadFile("../" + s.version() + "/template_whose_sessions.yaml")
	must(t, err)
	source = bytes.ReplaceAll(source, []byte("\n              discover: NO_DISCOVER\n"), []byte("\n"))
	must(t, s.api.importTemplate(source))
	must(t, s.api.importTemplate(source))
}

// enter starts the actors and opens what stands from the beginning. They live
// as long as the whole test.
func (s *scene) enter(t *testing.T) {
	s.shop, s.buyer = s.actor(t, "shop"), s.actor(t, "buyer")
	s.slow, s.caller = s.actor(t, "slow"), s.actor(t, "caller")
	s.leak, s.guest = s.actor(t, "leak"), s.actor(t, "guest")
	s.watched, s.scan = s.actor(t, "watched"), s.scanner(t)
	delete(s.processes, "caller") // has no session yet
	delete(s.processes, "guest")

	s.door = s.listens(t, "shop", s.shop, step{})
	s.counter = s.listens(t, "slow", s.slow, step{Backlog: 3, Idle: true})
	s.tap = s.listens(t, "leak", s.leak, step{Leak: true})
	s.post = s.listens(t, "watched", s.watched, step{})
	// A UDP port below the ephemeral ones, which have no rows.
	port := s.shop.do(t, step{Do: "bind", Addr: fmt.Sprintf("127.0.0.1:%d", 15000+rand.IntN(5000))})
	s.listeners[listener("udp", port, "shop")] = true
	s.buyer.do(t, dial(s.door, 30))
	for _, name := range hostile {
		s.listens(t, name, s.actor(t, name), step{})
	}
}

// macros are those of the host: short times, and limits for the actors.
func (s *scene) macros(hidden int) map[string]string {
	return map[string]string{
		"{$WHOSE.INTERVAL}":                               strconv.Itoa(interval),
		"{$WHOSE.LISTEN.USER.MATCHES}":                    "^games$",
		"{$WHOSE.PROC.USER.MATCHES}":                      "^games$",
		"{$WHOSE.HIDDEN.MAX}":                             strconv.Itoa(hidden),
		"{$WHOSE.NODATA}":                                 "15s",
		"{$WHOSE.PERIOD}":                                 "9s",
		"{$WHOSE.LISTEN.NEW.PERIOD}":                      "20s",
		"{$WHOSE.CLOSE_WAIT.MAX}":                         "2",
		"{$WHOSE.HOSTS.MIN}":                              "5",
		"{$WHOSE.HOSTS.BASE}":                             "1m",
		fmt.Sprintf(`{$WHOSE.LISTEN.WATCH:"%d"}`, s.post): "1",
		fmt.Sprintf(`{$WHOSE.SESSIONS.MAX:"%d"}`, s.door): "29",
		`{$WHOSE.PROC.SESSIONS.MAX:"buyer"}`:              "29",
	}
}

// dial is the step that opens connections to a port.
func dial(port, count int) step {
	return step{Do: "dial", Addr: fmt.Sprintf("127.0.0.1:%d", port), Count: count}
}
