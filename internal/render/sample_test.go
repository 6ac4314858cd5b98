package render

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// started is when every process of the samples started.
var started = time.Date(2026, 3, 1, 8, 30, 0, 120_000_000, time.UTC)

func process(pid uint32, comm string) *whose.Process {
	return &whose.Process{PID: pid, Comm: comm, StartTime: started.Add(time.Duration(pid) * time.Second)}
}

func owners(list ...*whose.Process) []whose.Owner {
	var all []whose.Owner
	for i, p := range list {
		all = append(all, whose.Owner{Process: p, FDs: []int32{int32(3 + i)}})
	}
	return all
}

// sampleNetNS is the host's own network namespace in the samples.
const sampleNetNS = 4026531840

// session makes a session of a host's own namespace from its usual notation.
func session(proto whose.Proto, state whose.State, local, remote string, held ...whose.Owner) whose.Session {
	s := whose.Session{
		Proto: proto, State: state, Owners: held, NetNS: sampleNetNS, NetNSName: "host", UID: 33, User: "www-data",
		Local: netip.MustParseAddrPort(local), Remote: netip.MustParseAddrPort(remote),
	}
	s.Family = whose.IPv4
	if s.Local.Addr().Is6() {
		s.Family = whose.IPv6
	}
	s.Inode = 30000 + uint64(s.Local.Port())
	s.Cookie = 0x1000 + s.Inode
	return s
}

func with(s whose.Session, change func(*whose.Session)) whose.Session {
	change(&s)
	return s
}

func asRoot(s *whose.Session) { s.UID, s.User = 0, "root" }

// webHost is a small server as one finds them: listeners, clients, local talk,
// a forked server, and sessions that nobody holds.
func webHost() []whose.Session {
	var nginx []*whose.Process
	for pid := uint32(812); pid < 820; pid++ {
		nginx = append(nginx, process(pid, "nginx"))
	}
	postgres, app := process(731, "postgres"), process(1234, "app")
	ssh := process(2210, "sshd")
	out := func(s *whose.Session) { s.Direction = whose.Out }
	in := func(s *whose.Session) { s.Direction = whose.In }
	return []whose.Session{
		with(session(whose.TCP, whose.Listen, "0.0.0.0:22", "0.0.0.0:0", owners(process(1, "systemd"), process(640, "sshd"))...), asRoot),
		with(session(whose.TCP, whose.Listen, "[::]:22", "[::]:0", owners(process(1, "systemd"), process(640, "sshd"))...), asRoot),
		with(session(whose.TCP, whose.Listen, "0.0.0.0:80", "0.0.0.0:0", owners(nginx...)...), func(s *whose.Session) { s.SendQueue = 511 }),
		with(session(whose.TCP, whose.Listen, "0.0.0.0:443", "0.0.0.0:0", owners(nginx...)...), func(s *whose.Session) { s.RecvQueue, s.SendQueue = 3, 511 }),
		with(session(whose.TCP, whose.Listen, "127.0.0.1:5432", "0.0.0.0:0", owners(postgres)...), func(s *whose.Session) { s.User, s.UID = "postgres", 110; s.SendQueue = 200 }),
		with(session(whose.UDP, whose.Unconn, "127.0.0.53:53", "0.0.0.0:0", owners(process(402, "systemd-resolve"))...), func(s *whose.Session) { s.User = "systemd-resolve" }),
		with(session(whose.UDP, whose.Unconn, "[fe80::5054:ff:fe12:3456]:546", "[::]:0", owners(process(399, "systemd-network"))...), func(s *whose.Session) { s.User = "systemd-network"; s.Scope = "eth0" }),
		with(session(whose.UDP, whose.Unconn, "0.0.0.0:51820", "0.0.0.0:0"), func(s *whose.Session) { asRoot(s); s.Reason = whose.ReasonKernel }),
		with(session(whose.TCP, whose.Established, "127.0.0.1:40312", "127.0.0.1:5432", owners(app)...), func(s *whose.Session) { out(s); s.Peer = owners(postgres) }),
		with(session(whose.TCP, whose.Established, "10.0.0.5:443", "203.0.113.7:51234", owners(nginx[2])...), in),
		with(session(whose.TCP, whose.Established, "10.0.0.5:443", "203.0.113.19:49152"), func(s *whose.Session) {
			in(s)
			s.Inode = 0
			s.Reason = whose.ReasonAcceptQueue
			s.Owners = owners(nginx...)
		}),
		with(session(whose.TCP, whose.Established, "[2001:db8:85a3::8a2e:370:7334]:443", "[2001:db8:ffff:1:2:3:4:5]:60123", owners(nginx[3])...), in),
		with(session(whose.TCP, whose.Established, "127.0.0.1:5432", "127.0.0.1:40312", owners(postgres)...), func(s *whose.Session) { in(s); s.Peer = owners(app) }),
		with(session(whose.TCP, whose.Established, "10.0.0.5:22", "198.51.100.2:55002", owners(ssh, process(2215, "sshd"))...), func(s *whose.Session) { asRoot(s); in(s) }),
		with(session(whose.TCP, whose.CloseWait, "10.0.0.5:38444", "192.0.2.80:443", owners(app)...), out),
		with(session(whose.TCP, whose.Established, "10.0.0.5:38446", "192.0.2.80:443"), func(s *whose.Session) { out(s); s.Reason = whose.ReasonHidden }),
		with(session(whose.TCP, whose.Established, "10.0.0.5:38448", "192.0.2.80:443"), func(s *whose.Session) { out(s); s.Reason, s.Unit = whose.ReasonHidden, "backup.service" }),
		with(session(whose.TCP, whose.Established, "10.0.0.5:38450", "192.0.2.80:443"), func(s *whose.Session) {
			out(s)
			s.Reason, s.Unit, s.Container = whose.ReasonHidden, "docker.service", "4f1d0a3b9c27"
		}),
		with(session(whose.TCP, whose.TimeWait, "10.0.0.5:443", "203.0.113.99:50100"), func(s *whose.Session) { in(s); s.Inode = 0; s.Reason = whose.ReasonOrphan }),
	}
}

// containers has the same ports in several namespaces.
func containers() []whose.Session {
	var all []whose.Session
	for i, name := range []string{"host", "web", "", "a-rather-long-container-name"} {
		redis := process(uint32(9000+i), "redis-server")
		redis.Unit, redis.Container = "docker.service", fmt.Sprintf("4f1d%08x", i)
		if i == 0 {
			redis.Unit, redis.Container = "redis.service", ""
		}
		all = append(all, with(session(whose.TCP, whose.Listen, "0.0.0.0:6379", "0.0.0.0:0", owners(redis)...), func(s *whose.Session) {
			s.NetNS, s.NetNSName = s.NetNS+uint32(i), name
		}))
	}
	return all
}

// hostile has names that try to break a line, a cell, or a reader.
func hostile() []whose.Session {
	names := []string{
		"a b):\x1b[31m", "two\nlines", "rtl\u202egnp.exe", "データベース", "bad\xff\xfeutf8", "nul\x00byte",
		"zero\u200bwidth", "=1+2", "quote\"d", "semi;colon", "x 1, root 2", "app → db", "c1\u009b31m", "\U000e0041tag",
		"tab\there", `back\slash`, "", "tmux: server", "(hidden)", "e\u0301clair", "👩\u200d🚀",
	}
	var all []whose.Session
	for i, name := range names {
		p := process(uint32(100+i), name)
		p.Cmdline = name + " --serve"
		s := session(whose.TCP, whose.Listen, fmt.Sprintf("127.0.0.1:%d", 7000+i), "0.0.0.0:0", owners(p)...)
		s.User = name
		all = append(all, s)
	}
	return all
}

// crowd has sessions that many hold.
func crowd() []whose.Session {
	var same, mixed []*whose.Process
	for i := range uint32(100) {
		same = append(same, process(5000+i, "prefork"))
		mixed = append(mixed, process(6000+i, fmt.Sprintf("worker-%d", i%20)))
	}
	two := slices.Concat(same[:3], mixed[:2])
	return []whose.Session{
		session(whose.TCP, whose.Listen, "0.0.0.0:8080", "0.0.0.0:0", owners(same...)...),
		session(whose.TCP, whose.Listen, "0.0.0.0:8081", "0.0.0.0:0", owners(mixed...)...),
		with(session(whose.TCP, whose.Established, "127.0.0.1:8082", "127.0.0.1:39000", owners(two...)...), func(s *whose.Session) {
			s.Direction, s.Peer = whose.In, owners(same...)
		}),
	}
}

// measured has a session with the figures of TCP.
func measured() []whose.Session {
	return []whose.Session{
		with(session(whose.TCP, whose.Established, "10.0.0.5:443", "203.0.113.7:51234", owners(process(814, "nginx"))...), func(s *whose.Session) {
			s.Direction, s.BoundDev, s.Mark = whose.In, "eth0", 7
			s.TCP = &whose.TCPInfo{RTT: 12345 * time.Microsecond, Retrans: 2, BytesSent: 1 << 33, BytesReceived: 517, Cong: "cubic", Cwnd: 10}
		}),
		session(whose.UDP, whose.Unconn, "0.0.0.0:68", "0.0.0.0:0", owners(process(500, "dhclient"))...),
	}
}

// samples are all of them by name.
func samples() map[string][]whose.Session {
	return map[string][]whose.Session{
		"webhost": webHost(), "containers": containers(), "hostile": hostile(), "crowd": crowd(), "measured": measured(),
	}
}
