package zabbix

import (
	"fmt"
	"iter"
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/tally"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// ofUser is a process of a user.
func ofUser(pid uint32, comm string, uid uint32, user string) *whose.Process {
	p := process(pid, comm, "", user)
	p.UID = uid
	return p
}

// floods are what a user may do to take the room of others. Each yields sessions,
// in the order in which a collection has them.
var floods = map[string]func(yield func(whose.Session) bool){
	"UDP ports": func(yield func(whose.Session) bool) {
		p := ofUser(9000, "a", 1000, "mallory")
		for i := range 20_000 {
			if !yield(udp(whose.Unconn, fmt.Sprintf("127.0.0.%d:%d", 1+i%200, 1024+i), "", p)) {
				return
			}
		}
	},
	"UDP addresses": func(yield func(whose.Session) bool) {
		p := ofUser(9000, "a", 1000, "mallory")
		for i := range 20_000 {
			if !yield(udp(whose.Unconn, fmt.Sprintf("127.%d.%d.1:53", i>>8, i&255), "", p)) {
				return
			}
		}
	},
	"UDP names": func(yield func(whose.Session) bool) {
		for i := range 20_000 {
			p := ofUser(uint32(9000+i), fmt.Sprintf("a%d", i), 1000, "mallory")
			if !yield(udp(whose.Unconn, fmt.Sprintf("127.0.0.1:%d", 1024+i), "", p)) {
				return
			}
		}
	},
	"busy TCP listeners": func(yield func(whose.Session) bool) {
		for i := range 20_000 {
			p := ofUser(uint32(9000+i), fmt.Sprintf("a%d", i), 1000, "mallory")
			at := fmt.Sprintf("127.0.0.1:%d", 1024+i)
			if !yield(tcp(whose.Listen, at, "", p)) || !yield(in(tcp(whose.Established, at, "127.0.0.1:9", p))) || !yield(in(tcp(whose.Established, at, "127.0.0.1:8", p))) {
				return
			}
		}
	},
	"his containers' users": func(yield func(whose.Session) bool) {
		for i := range 20_000 {
			p := ofUser(uint32(9000+i), "a", uint32(1_000_000&^0xffff+i), fmt.Sprint(1_000_000+i))
			if !yield(tcp(whose.Listen, fmt.Sprintf("127.0.0.1:%d", 1024+i), "", p)) {
				return
			}
		}
	},
	"containers": func(yield func(whose.Session) bool) {
		for i := range 20_000 {
			p := ofUser(uint32(9000+i), "a", 1000, "mallory")
			p.Container = fmt.Sprintf("%012x", i)
			if !yield(tcp(whose.Listen, fmt.Sprintf("127.0.0.1:%d", 1024+i), "", p)) {
				return
			}
		}
	},
	"a fallen service": func(yield func(whose.Session) bool) {
		for i := range 20_000 {
			p := ofUser(uint32(9000+i), fmt.Sprintf("a%d", i), 33, "www-data")
			if !yield(tcp(whose.Listen, fmt.Sprintf("127.0.0.1:%d", 1024+i), "", p)) {
				return
			}
		}
	},
}

// TestHostileFlood wants the rows of root, of services and of another user in the
// document whatever one user does.
func TestHostileFlood(t *testing.T) {
	var others []whose.Session
	for i := range 300 {
		others = append(others, tcp(whose.Listen, fmt.Sprintf("0.0.0.0:%d", 30_000+i), "", ofUser(10, "sshd", 0, "root")))
	}
	for i := range 30 {
		others = append(others,
			udp(whose.Unconn, fmt.Sprintf("0.0.0.0:%d", 30_400+i), "", ofUser(11, "named", 0, "root")),
			tcp(whose.Listen, fmt.Sprintf("0.0.0.0:%d", 30_500+i), "", ofUser(12, "postgres", 999, "postgres")),
			tcp(whose.Listen, fmt.Sprintf("0.0.0.0:%d", 30_600+i), "", ofUser(13, "node", 1001, "ann")))
	}
	tried, wrong := 0, 0
	for name, flood := range floods {
		for order, sequence := range map[string][]iter.Seq[whose.Session]{
			"first": {flood, all(others)}, "last": {all(others), flood},
		} {
			tried++
			h := tally.NewHost(usual().HostOptions)
			for _, sessions := range sequence {
				for s := range sessions {
					s.UID, s.User = s.Owners[0].UID, s.Owners[0].User
					h.Add(&s)
				}
			}
			d := NewDocument(h.Count(), &whose.Coverage{}, usual().Options)
			text, err := d.Encode(MaxSize, false)
			if err != nil || len(text) > MaxSize {
				t.Fatal(len(text), err)
			}
			rows := map[string]int{}
			for _, r := range d.Discovery.Listeners {
				rows[r.User+" "+r.Process]++
			}
			processes := map[string]bool{}
			for _, r := range d.Discovery.Processes {
				processes[r.Process] = true
			}
			missing := d.Truncated > 0 && d.Complete
			for who, n := range map[string]int{"root sshd": 300, "root named": 30, "postgres postgres": 30, "ann node": 30} {
				missing = missing || rows[who] != n
			}
			for _, who := range []string{"sshd", "named", "postgres", "node"} {
				missing = missing || !processes[who]
			}
			if missing {
				wrong++
				t.Errorf("%s, %s: rows %d of %v, truncated %d, complete %v", name, order, len(d.Discovery.Listeners), few(rows), d.Truncated, d.Complete)
			}
		}
	}
	testenv.Tried(t, tried, wrong)
}

func all(sessions []whose.Session) iter.Seq[whose.Session] {
	return func(yield func(whose.Session) bool) {
		for _, s := range sessions {
			if !yield(s) {
				return
			}
		}
	}
}

// few are the counts of those who are not many.
func few(rows map[string]int) map[string]int {
	some := map[string]int{}
	for who, n := range rows {
		if len(some) < 8 || n > 1 {
			some[who] = n
		}
	}
	return some
}

// TestManyPorts wants one row for the UDP sockets of a process with many ports,
// in whatever order they come, and rows of their own for few.
func TestManyPorts(t *testing.T) {
	for _, n := range []int{tally.MaxPorts, tally.MaxPorts + 1, 1000} {
		h := tally.NewHost(tally.HostOptions{NetNS: hostSpace})
		for i := range n {
			s := udp(whose.Unconn, fmt.Sprintf("127.0.0.%d:%d", i%3+1, 2000+i), "", ofUser(7, "relay", 33, "www-data"))
			h.Add(&s)
			s = tcp(whose.Listen, fmt.Sprintf("127.0.0.1:%d", 2000+i), "", ofUser(7, "relay", 33, "www-data"))
			h.Add(&s)
		}
		d := NewDocument(h.Count(), &whose.Coverage{}, Options{})
		sockets, rows := 0, 0
		for _, r := range d.Discovery.Listeners {
			if r.Proto != "udp" {
				continue
			}
			rows++
			sockets += d.Listeners[r.ID].Sockets
			if many := n > tally.MaxPorts; many != (r.Port == "*") || many != (r.Addr == "*") {
				t.Errorf("%d ports: a row of %s:%s", n, r.Addr, r.Port)
			}
		}
		want := n
		if n > tally.MaxPorts {
			want = 1
		}
		if rows != want || sockets != n || len(d.Discovery.Listeners) != want+n {
			t.Errorf("%d ports: %d rows with %d sockets", n, rows, sockets)
		}
	}
}
