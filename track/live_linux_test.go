package track

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/kill"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// patience is how long a test waits for what has to come, on a loaded machine.
const patience = 30 * time.Second

// live starts a tracker of one fresh namespace, and ends the test without what
// the source needs.
func live(t *testing.T, source string, opts Options) (*Tracker, *testenv.NetNS) {
	t.Helper()
	testenv.NeedRoot(t)
	testenv.CheckLeaks(t)
	ns := testenv.NewNetNS(t)
	opts.Source = source
	if opts.Interval == 0 && source != SourceBPF {
		opts.Interval = 50 * time.Millisecond
	}
	if opts.Filter == nil {
		opts.Filter = expr(t, fmt.Sprintf("netns %d", ns.Inode()))
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tr, err := Start(ctx, &opts)
	if err != nil {
		if source == SourceBPF {
			testenv.Missing(t, "bpf events", err.Error())
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr, ns
}

// until reads events until one of each wanted beginning has come, in any order,
// and returns them in the order of the beginnings.
func until(t *testing.T, tr *Tracker, want ...string) []whose.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	found := make([]whose.Event, len(want))
	missing := len(want)
	var seen []string
	for e, err := range tr.Events(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		s := &e.Session
		line := strings.Join(strings.Fields(fmt.Sprint(e.Kind, " ", s.Direction, " ", s.Proto, " ", s.Local, ">", s.Remote)), " ")
		seen = append(seen, line)
		for i := range want {
			if strings.HasPrefix(line, want[i]) && found[i].Kind == 0 {
				found[i] = e
				if missing--; missing == 0 {
					return found
				}
			}
		}
	}
	t.Fatalf("events %q, want %q among them", seen, want)
	return nil
}

// tcpPair makes a connection inside a namespace and returns its two ends and
// its listener.
func tcpPair(t *testing.T, ns *testenv.NetNS, network, addr string) (client, server net.Conn, l net.Listener) {
	t.Helper()
	ns.Do(func() {
		var plain net.ListenConfig
		plain.SetMultipathTCP(false)
		var err error
		if l, err = plain.Listen(context.Background(), network, addr); err != nil {
			t.Error(err)
			return
		}
		if client, err = net.Dial(network, l.Addr().String()); err != nil {
			t.Error(err)
			return
		}
		if server, err = l.Accept(); err != nil {
			t.Error(err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return client, server, l
}

func mine(t *testing.T, e *whose.Event) {
	t.Helper()
	if len(e.Session.Owners) != 1 || e.Session.Owners[0].PID != uint32(os.Getpid()) {
		t.Errorf("%v of %v: owners %v (%v), want this process", e.Kind, e.Session.Local, e.Session.Owners, e.Session.Reason)
	}
}

// TestLive_TCP: every source tells of a connection that lasts, with its owner,
// and of its end.
func TestLive_TCP(t *testing.T) {
	for _, source := range SourceNames()[1:] {
		t.Run(source, func(t *testing.T) {
			tr, ns := live(t, source, Options{})
			client, server, l := tcpPair(t, ns, "tcp4", "127.0.0.1:0")
			defer client.Close()
			defer server.Close()
			defer l.Close()
			there, here := client.LocalAddr(), l.Addr()
			events := until(t, tr,
				fmt.Sprintf("listen tcp %v", here), fmt.Sprintf("open out tcp %v>%v", there, here), fmt.Sprintf("open in tcp %v>%v", here, there))
			for i := range events {
				mine(t, &events[i])
				if peer := events[i].Session.Peer; i > 0 && (len(peer) != 1 || peer[0].PID != uint32(os.Getpid())) {
					t.Errorf("%v of %v: %v at the other end, want this process", events[i].Kind, events[i].Session.Local, peer)
				}
				if s := &events[i].Session; s.NetNS != ns.Inode() || s.Cookie == 0 {
					t.Errorf("session %+v, want it in namespace %d", s, ns.Inode())
				}
			}
			if n := tr.Count(expr(t, fmt.Sprintf("port %d", here.(*net.TCPAddr).Port))); n != 3 {
				t.Errorf("%d sessions in the live table, want listener and two ends", n)
			}
			if _, err := io.WriteString(client, "hello"); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 5)
			if _, err := io.ReadFull(server, buf); err != nil {
				t.Fatal(err)
			}
			client.Close()
			io.ReadAll(server)
			server.Close()
			l.Close()
			events = until(t, tr,
				fmt.Sprintf("close out tcp %v>%v", there, here), fmt.Sprintf("close in tcp %v>%v", here, there), fmt.Sprintf("unlisten tcp %v", here))
			mine(t, &events[0])
			mine(t, &events[1])
			if source != SourceBPF {
				return
			}
			if e := events[0]; e.End != whose.EndOrderly || e.By != whose.Here || e.Sent.Bytes != 5 || e.Received.Bytes != 0 {
				t.Errorf("client: %v by %v, sent %d, received %d", e.End, e.By, e.Sent.Bytes, e.Received.Bytes)
			}
			if e := events[1]; e.End != whose.EndOrderly || e.By != whose.There || e.Sent.Bytes != 0 || e.Received.Bytes != 5 {
				t.Errorf("server: %v by %v, sent %d, received %d", e.End, e.By, e.Sent.Bytes, e.Received.Bytes)
			}
		})
	}
}

// TestLive_Netlink_ClosesAtOnce: the end of a session is told when it is, not
// with the next snapshot.
func TestLive_Netlink_ClosesAtOnce(t *testing.T) {
	testenv.NeedRoot(t)
	ns := testenv.NewNetNS(t)
	ns.Do(func() { startSleeper(t, nil) }) // so that there is a way in
	tr, err := Start(context.Background(), &Options{
		Source: SourceNetlink, Filter: expr(t, fmt.Sprintf("netns %d", ns.Inode())), Interval: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	client, server, l := tcpPair(t, ns, "tcp6", "[::1]:0")
	defer l.Close()
	open := fmt.Sprintf("open out tcp %v>%v", client.LocalAddr(), l.Addr())
	until(t, tr, open)
	before := tr.Stats().Records
	client.Close()
	server.Close()
	until(t, tr, "close"+strings.TrimPrefix(open, "open"))
	if tr.Stats().Records == before {
		t.Error("it was found by a snapshot")
	}
}

// TestLive_Standing: what stood before is told first, and once.
func TestLive_Standing(t *testing.T) {
	testenv.NeedRoot(t)
	for _, source := range SourceNames()[1:] {
		t.Run(source, func(t *testing.T) {
			testenv.CheckLeaks(t)
			ns := testenv.NewNetNS(t)
			client, server, l := tcpPair(t, ns, "tcp4", "127.0.0.1:0")
			defer client.Close()
			defer server.Close()
			defer l.Close()
			tr, err := Start(context.Background(), &Options{Source: source, Filter: expr(t, fmt.Sprintf("netns %d", ns.Inode())), Interval: 50 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for e, err := range tr.Events(context.Background()) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, e.Kind.String()+" "+e.Session.Direction.String()+" "+e.Session.State.String())
				mine(t, &e)
				if len(e.Session.Owners) == 1 && len(e.Session.Owners[0].FDs) != 1 {
					t.Errorf("descriptors %v, want one", e.Session.Owners[0].FDs)
				}
				if len(got) == 3 {
					break
				}
			}
			slices.Sort(got)
			if want := []string{"standing  LISTEN", "standing in ESTABLISHED", "standing out ESTABLISHED"}; !slices.Equal(got, want) {
				t.Errorf("told %q, want %q", got, want)
			}
			client.Close()
			server.Close()
			for _, e := range until(t, tr, "close in", "close out") {
				if !e.StoodBefore || e.Duration <= 0 {
					t.Errorf("%v: since %v, duration %v", e.Kind, e.StoodBefore, e.Duration)
				}
			}
			if err := tr.Close(); err != nil {
				t.Error(err)
			}
			for e, err := range tr.Events(context.Background()) {
				t.Errorf("more was told: %v %v %v", e.Kind, e.Session, err)
			}
		})
	}
}

// TestLive_HandedOver: a descriptor that is passed on gives the session another
// owner, which is told.
func TestLive_HandedOver(t *testing.T) {
	for _, source := range SourceNames()[1:] {
		t.Run(source, func(t *testing.T) {
			tr, ns := live(t, source, Options{Interval: 100 * time.Millisecond})
			client, server, l := tcpPair(t, ns, "tcp4", "127.0.0.1:0")
			defer client.Close()
			defer l.Close()
			end := fmt.Sprintf("in tcp %v>%v", l.Addr(), client.LocalAddr())
			until(t, tr, "open "+end)
			file, err := server.(*net.TCPConn).File()
			if err != nil {
				t.Fatal(err)
			}
			heir := startSleeper(t, file)
			file.Close()
			server.Close()
			for {
				e := until(t, tr, "owned "+end)[0]
				if o := e.Session.Owners; len(o) == 1 && o[0].PID == uint32(heir) {
					break // it may have had both for a moment
				}
			}
		})
	}
}

// startSleeper starts a process that holds the file and does nothing.
func startSleeper(t *testing.T, file *os.File) int {
	t.Helper()
	p, err := os.StartProcess(testenv.NeedProgram(t, "sleep"), []string{"sleep", "600"}, &os.ProcAttr{Files: []*os.File{nil, nil, nil, file}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		p.Wait()
	})
	return p.Pid
}

// TestLive_BPF_Refused and the others that only programs can tell.
func TestLive_BPF_Refused(t *testing.T) {
	tr, ns := live(t, SourceBPF, Options{})
	var addr string
	ns.Do(func() {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Error(err)
			return
		}
		addr = l.Addr().String()
		l.Close()
		if c, err := net.Dial("tcp4", addr); err == nil {
			c.Close()
			t.Error("connected to nobody")
		}
	})
	e := until(t, tr, "fail out tcp")[0]
	mine(t, &e)
	if e.End != whose.EndRefused || e.Errno != uint32(unix.ECONNREFUSED) || e.Session.Remote != netip.MustParseAddrPort(addr) {
		t.Errorf("%v errno %d to %v", e.End, e.Errno, e.Session.Remote)
	}
}

// TestLive_BPF_UDP: a flow for each remote of a socket that is not connected,
// and its end by idleness.
func TestLive_BPF_UDP(t *testing.T) {
	tr, ns := live(t, SourceBPF, Options{UDPIdle: time.Second})
	var server, client net.PacketConn
	ns.Do(func() {
		var err error
		if server, err = net.ListenPacket("udp4", "127.0.0.1:0"); err != nil {
			t.Error(err)
			return
		}
		if client, err = net.ListenPacket("udp4", "127.0.0.1:0"); err != nil {
			t.Error(err)
			return
		}
		if _, err := client.WriteTo([]byte("question"), server.LocalAddr()); err != nil {
			t.Error(err)
		}
		buf := make([]byte, 100)
		if _, from, err := server.ReadFrom(buf); err != nil {
			t.Error(err)
		} else if _, err := server.WriteTo([]byte("answer"), from); err != nil {
			t.Error(err)
		}
		if _, _, err := client.ReadFrom(buf); err != nil {
			t.Error(err)
		}
	})
	defer server.Close()
	defer client.Close()
	here, there := server.LocalAddr(), client.LocalAddr()
	events := until(t, tr,
		fmt.Sprintf("bind udp %v", here), fmt.Sprintf("bind udp %v", there),
		fmt.Sprintf("open in udp %v>%v", here, there), fmt.Sprintf("open out udp %v>%v", there, here),
		fmt.Sprintf("close in udp %v>%v", here, there), fmt.Sprintf("close out udp %v>%v", there, here))
	for i := range events {
		mine(t, &events[i])
	}
	for i, want := range map[int][2]whose.Traffic{4: {{Bytes: 6, Datagrams: 1}, {Bytes: 8, Datagrams: 1}}, 5: {{Bytes: 8, Datagrams: 1}, {Bytes: 6, Datagrams: 1}}} {
		if e := events[i]; e.End != whose.EndIdle || e.Sent != want[0] || e.Received != want[1] {
			t.Errorf("%v: %v, sent %v, received %v", e.Session.Local, e.End, e.Sent, e.Received)
		}
	}
	ns.Do(func() {
		if _, err := client.WriteTo([]byte("again"), here); err != nil {
			t.Error(err)
		}
	})
	until(t, tr, fmt.Sprintf("open out udp %v>%v", there, here))
	client.Close()
	e := until(t, tr, fmt.Sprintf("close out udp %v>%v", there, here))[0]
	if e.End != whose.EndClosed || e.Sent != (whose.Traffic{Bytes: 5, Datagrams: 1}) {
		t.Errorf("%v, sent %v", e.End, e.Sent)
	}
}

func TestStart_Refusals(t *testing.T) {
	if _, err := Start(context.Background(), &Options{Source: "oracle"}); err == nil || !strings.Contains(err.Error(), `source "oracle": no such source`) {
		t.Errorf("error %v", err)
	}
}

// A session that whose kill ends is no orderly end, on either side.
func TestLive_BPF_Killed(t *testing.T) {
	tr, ns := live(t, SourceBPF, Options{NoInitial: true})
	var l net.Listener
	var c, a net.Conn
	var err error
	ns.Do(func() {
		var config net.ListenConfig
		config.SetMultipathTCP(false)
		if l, err = config.Listen(t.Context(), "tcp", "127.0.0.1:1000"); err != nil {
			return
		}
		if c, err = net.Dial("tcp", "127.0.0.1:1000"); err != nil {
			return
		}
		a, err = l.Accept()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	defer c.Close()
	defer a.Close()
	until(t, tr, "open out tcp", "open in tcp")
	answer, err := collect.Collect(t.Context(), &collect.Options{Filter: expr(t, "rport 1000 and est"), NetNS: fmt.Sprint(ns.Inode()), Source: collect.Netlink})
	if err != nil {
		t.Fatal(err)
	}
	sessions := answer.Append(nil)
	answer.Close()
	k, err := kill.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	plan := k.Sessions(sessions, false)
	defer plan.Close()
	if ended, failed := plan.Run(t.Context()); ended != 1 || len(failed) != 0 {
		t.Fatalf("of %d sessions ended %d, failed %v", len(sessions), ended, failed)
	}
	for _, e := range until(t, tr, "close out tcp", "close in tcp") {
		t.Logf("%v %v: end %v by %v errno %d", e.Kind, e.Session.Direction, e.End, e.By, e.Errno)
		if here := e.Session.Direction == whose.Out; e.End != whose.EndReset || (e.By == whose.Here) != here {
			t.Errorf("the end of the %v side is %v by %v (errno %d), want a reset by the side that was ended", e.Session.Direction, e.End, e.By, e.Errno)
		}
	}
}
