package baseline

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
)

var rule = Rule{Calls: true, Bits4: 24, Bits6: 64, Low: 32768, High: 60999}

// listener makes a session that listens.
func listener(local, user string, owners ...whose.Process) *whose.Session {
	s := &whose.Session{Proto: whose.TCP, Family: whose.IPv4, State: whose.Listen, Local: netip.MustParseAddrPort(local), User: user}
	s.Exposure = whose.ExposureOf(s.Local.Addr(), false)
	return owned(s, owners)
}

func call(remote string, owners ...whose.Process) *whose.Session {
	return owned(&whose.Session{
		Proto: whose.TCP, Family: whose.IPv4, State: whose.Established, Direction: whose.Out,
		Local: netip.MustParseAddrPort("10.0.0.5:40000"), Remote: netip.MustParseAddrPort(remote),
	}, owners)
}

func owned(s *whose.Session, owners []whose.Process) *whose.Session {
	for i := range owners {
		s.Owners = append(s.Owners, whose.Owner{Process: &owners[i]})
	}
	if len(owners) == 0 {
		s.Reason = whose.ReasonHidden
	}
	return s
}

func setOf(sessions ...*whose.Session) *Set {
	s := new(Set)
	for _, one := range sessions {
		s.Add(&rule, one, nil)
	}
	return s
}

var early, late = time.Unix(1000, 0), time.Unix(2000, 0)

// The name of an owner stays over restarts, upgrades and the forks of a server.
func TestEntry_Workload(t *testing.T) {
	for want, owners := range map[string][]whose.Process{
		"docker.io/library/nginx":    {{Image: "docker.io/library/nginx:1.29", ContainerName: "web", Unit: "docker-1.scope"}},
		"registry:5000/app":          {{Image: "registry:5000/app@sha256:0123"}},
		"shop-web":                   {{ContainerName: "shop-web", Container: "0123456789ab"}},
		"nginx.service":              {{Unit: "nginx.service", Exe: "/usr/sbin/nginx"}},
		"init.scope":                 {{PID: 812, Unit: "ssh.service", StartTime: late}, {PID: 1, Unit: "init.scope", StartTime: early}},
		"/usr/bin/python3 /srv/a.py": {{Unit: "session-7.scope", Exe: "/usr/bin/python3", Script: "/srv/a.py"}},
		"/usr/sbin/old":              {{Unit: "run-u12.service", Exe: "/usr/sbin/old (deleted)"}},
		"sshd@*.service":             {{Unit: "sshd@3-10.0.0.1:22-10.0.0.2:99.service", Exe: "/usr/sbin/sshd"}},
		"user/app.service":           {{Unit: "user/app.service", Exe: "/x"}},
		"thing":                      {{Comm: "thing"}},
		"a\uFFFDb":                   {{Comm: "a\xff\xfeb"}},
		"":                           nil,
	} {
		e, ok := rule.Entry(listener("0.0.0.0:443", "root", owners...))
		if !ok || e.Workload != want {
			t.Errorf("workload %q, want %q", e.Workload, want)
		}
	}
}

func TestEntry_Key(t *testing.T) {
	web := whose.Process{Unit: "web.service"}
	local := call("127.0.0.1:5432", web)
	local.Peer = []whose.Owner{{Process: &whose.Process{Unit: "postgres.service"}}}
	in := call("10.0.0.9:5555", web)
	in.Direction = whose.In
	for _, test := range []struct {
		name string
		s    *whose.Session
		want Entry
	}{
		{"a listener", listener("10.0.0.5:443", "root", web), Entry{Listen, "web.service", "root", whose.TCP, whose.ExposurePrivate, "", 443}},
		{"a port of the kernel's choice", listener("127.0.0.1:40001", "root", web), Entry{Listen, "web.service", "root", whose.TCP, whose.ExposureLoopback, "", 0}},
		{"a call", call("203.0.113.9:443", web), Entry{Call, "web.service", "", whose.TCP, 0, "203.0.113.0/24", 443}},
		{"a call over IPv6", call("[2001:db8:1:2:3::9]:443", web), Entry{Call, "web.service", "", whose.TCP, 0, "2001:db8:1:2::/64", 443}},
		{"a call on this host", local, Entry{Call, "web.service", "", whose.TCP, 0, "postgres.service", 5432}},
		{"what came in", in, Entry{}},
	} {
		if e, ok := rule.Entry(test.s); e != test.want || ok != (test.want != Entry{}) {
			t.Errorf("%s: %+v, want %+v", test.name, e, test.want)
		}
	}
	if e, ok := (&Rule{}).Entry(call("203.0.113.9:443", web)); ok {
		t.Errorf("a call counts unasked: %+v", e)
	}
}

func TestCompare(t *testing.T) {
	web, db := whose.Process{Unit: "web.service"}, whose.Process{Unit: "db.service"}
	for _, test := range []struct {
		name     string
		was, now *Set
		want     []string
	}{
		{"the same", setOf(listener("0.0.0.0:443", "root", web)), setOf(listener("[::]:443", "root", web)), nil},
		{"new", setOf(), setOf(listener("0.0.0.0:443", "root", web)), []string{"new web.service"}},
		{"gone", setOf(listener("0.0.0.0:443", "root", web)), setOf(), []string{"gone web.service"}},
		{"another owner", setOf(listener("0.0.0.0:443", "root", web)), setOf(listener("0.0.0.0:443", "root", db)), []string{"new db.service", "gone web.service"}},
		{"another reach", setOf(listener("127.0.0.1:5432", "db", db)), setOf(listener("0.0.0.0:5432", "db", db)), []string{"changed db.service"}},
		{"another user", setOf(listener("0.0.0.0:5432", "db", db)), setOf(listener("0.0.0.0:5432", "root", db)), []string{"changed db.service"}},
		{"one of two reaches", setOf(listener("127.0.0.1:53", "a", db), listener("10.0.0.1:53", "a", db)),
			setOf(listener("127.0.0.1:53", "a", db), listener("0.0.0.0:53", "a", db)), []string{"changed db.service"}},
		{"another port of the kernel's", setOf(listener("0.0.0.0:40001", "a", db)), setOf(listener("0.0.0.0:40002", "a", db)), nil},
		{"hidden now", setOf(listener("0.0.0.0:443", "root", web)), setOf(listener("0.0.0.0:443", "root")), nil},
		{"hidden before", setOf(listener("0.0.0.0:443", "root")), setOf(listener("0.0.0.0:443", "root", web)), nil},
		{"hidden and new", setOf(), setOf(listener("0.0.0.0:443", "root")), []string{"new "}},
	} {
		var got []string
		for _, c := range Compare(test.was, test.now, nil) {
			got = append(got, c.What()+" "+c.entry().Workload)
		}
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// What is written comes back, whatever the names are.
func TestWrite_Read(t *testing.T) {
	s := setOf(listener("0.0.0.0:443", "root", whose.Process{Comm: "a b):\x1b[31m\n\xff"}), listener("127.0.0.1:40001", "", whose.Process{Comm: "<&>"}),
		call("[2001:db8::1]:53", whose.Process{Comm: strings.Repeat("é", 4000)}))
	var file bytes.Buffer
	if err := Write(&file, &Head{Host: "h", Taken: early.UTC(), Filter: "listen", Calls: true, Bits4: 24, Bits6: 64}, s); err != nil {
		t.Fatal(err)
	}
	h, back, err := Read(&file)
	if err != nil || h.Filter != "listen" || !h.Calls {
		t.Fatalf("%+v, %v", h, err)
	}
	if d := Compare(s, back, nil); len(d) > 0 || back.Len() != 3 {
		t.Errorf("%d entries come back, and differ: %+v", back.Len(), d)
	}
}

func TestRead_Bad(t *testing.T) {
	const head = `{"whose_baseline":1,"taken":"2026-01-01T00:00:00Z"}` + "\n"
	for text, want := range map[string]string{
		"":                                      "no baseline",
		"root:x:0:0\n":                          "no baseline",
		`{"a":1}`:                               "no baseline",
		`{"whose_baseline":2}`:                  "baseline of version 2",
		head + "{":                              "line 2",
		head + `{"kind":"x"}`:                   "line 2: kind",
		head + `{"kind":"call","proto":"sctp"}`: "line 2: proto",
		head + `{"kind":"listen","proto":"tcp","exposure":"far"}`: "line 2: exposure",
		head + `{"kind":"listen","proto":"tcp","port":65536}`:     "line 2",
		`{"whose_baseline":1,"bits4":33}`:                         "bits",
		head + strings.Repeat("x", maxLine+1):                     "too long",
	} {
		if _, _, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
	}
	if _, _, err := Read(strings.NewReader("x")); !errors.Is(err, ErrNoBaseline) {
		t.Errorf("%v, want ErrNoBaseline", err)
	}
}

func TestAllow(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	a, err := ReadAllow(strings.NewReader(`
# a comment
process web port 8443   # status page, T-812, until 2027-01-31
process old             # long ago, until 2026-11-28
process '# nobody'      # a name with the mark in it, until 2027-01-31
`), filter.Dialect{}, filter.Env{Now: now}, now)
	if err != nil {
		t.Fatal(err)
	}
	was, fresh := setOf(), new(Set)
	for _, s := range []*whose.Session{
		listener("0.0.0.0:8443", "root", whose.Process{Comm: "web"}), listener("0.0.0.0:8444", "root", whose.Process{Comm: "web"}),
		listener("0.0.0.0:1", "root", whose.Process{Comm: "old"}),
	} {
		fresh.Add(&rule, s, a)
	}
	var got []string
	for _, c := range Compare(was, fresh, a) {
		if !c.Excused {
			got = append(got, c.Now.Target())
		}
	}
	if want := []string{":1", ":8444"}; !reflect.DeepEqual(got, want) {
		t.Errorf("not excused: %q, want %q", got, want)
	}
	if stale, want := a.Stale(), []string{"line 4 has expired: process old", "line 5 matches nothing any more: process '# nobody'"}; !reflect.DeepEqual(stale, want) {
		t.Errorf("stale %q, want %q", stale, want)
	}
	// What is gone is asked of the list too.
	gone := Compare(setOf(listener("0.0.0.0:8443", "root", whose.Process{Comm: "web"})), setOf(), a)
	if len(gone) != 1 || !gone[0].Excused {
		t.Errorf("gone: %+v, want it excused", gone)
	}
	for text, want := range map[string]string{
		"process web":                              "no reason",
		"process web # why":                        "until",
		"process web # until 2027-01-31":           "a reason",
		"process web # why, until 2027-13-31":      "want a day",
		"# ":                                       "",
		"pro cess ( # why, until 2027-01-31":       "line 1",
		"duration > 1s # why, until 2027-01-31":    "nothing of how sessions end",
		strings.Repeat("x", filter.MaxLength+8000): "too long",
	} {
		_, err := ReadAllow(strings.NewReader(text), filter.Dialect{}, filter.Env{Now: now}, now)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"whose_baseline":1,"taken":"2026-01-01T00:00:00Z"}` + "\n" + `{"kind":"listen","workload":"a","proto":"tcp","exposure":"any","port":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		h, s, err := Read(bytes.NewReader(text))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := Write(&out, h, s); err != nil {
			t.Fatal(err)
		}
		_, back, err := Read(&out)
		if err != nil || len(Compare(s, back, nil)) > 0 {
			t.Errorf("%q does not come back: %v", text, err)
		}
	})
}

func FuzzReadAllow(f *testing.F) {
	f.Add("process web port 8443 # why, until 2027-01-31")
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ReadAllow(strings.NewReader(text), filter.Dialect{}, filter.Env{Now: now}, now)
		if err == nil {
			a.admits(listener("0.0.0.0:8443", "root", whose.Process{Comm: "web"}))
			a.Stale()
		}
	})
}
