// Truth while everything changes: known processes open and close connections
// as fast as they can, and nobody may be named wrongly.

package collecttest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// The shape of the churn. Each of churners processes has a loopback address of
// its own, connects to itself there from ports of the kernel's choice, and
// closes again. The address names the owner of any session, however short its
// life. Beside these each holds some connections for good.
const (
	churners       = 4
	churnStanding  = 100
	churnPasses    = 20 // at least, and for at least churnTime
	churnTime      = 2 * time.Second
	churnUDP       = 20
	churnMinClosed = 1000 // connections in the whole test, or it was no churn
)

// churnAddr is the address of churner i.
func churnAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{127, 7, 0, byte(i + 1)}) }

// Churn makes collections while known processes open and close connections, and
// wants two things: no session with an owner not its own, and each session that
// stood for the whole time with its owner.
func Churn(t *testing.T, source string, open func(t *testing.T) Subject) {
	testenv.NeedRoot(t)
	subject := open(t)
	ns := testenv.NewNetNS(t)
	var churning []*churner
	for i := range churners {
		churning = append(churning, startChurner(t, ns, i))
	}
	owners := make(map[netip.Addr]*churner)
	for i, c := range churning {
		owners[churnAddr(i)] = c
	}
	pass, began := 0, time.Now()
	for ; pass < churnPasses || time.Since(began) < churnTime; pass++ {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		sessions, coverage, err := subject(ctx, collect.Options{States: whose.AllStates})
		cancel()
		if err != nil {
			t.Fatalf("pass %d: %v", pass, err)
		}
		wrong := account(source, sessions, &coverage, true)
		wrong = append(wrong, misnamed(sessions, ns.Inode(), owners)...)
		wrong = append(wrong, unfound(source, sessions, churning)...)
		for i, w := range wrong {
			if i == 10 {
				t.Errorf("pass %d: and %d more", pass, len(wrong)-i)
				break
			}
			t.Errorf("pass %d: %s", pass, w)
		}
		if len(wrong) > 0 {
			t.Fatalf("pass %d is wrong; gaps %v", pass, coverage.Gaps)
		}
	}
	total := 0
	for _, c := range churning {
		total += c.stop(t)
	}
	t.Logf("%s: %d passes beside %d connections opened and closed", source, pass, total)
	if total < churnMinClosed {
		t.Errorf("only %d connections were opened and closed: this was no churn", total)
	}
}

// A churner is a process for opening and closing connections.
type churner struct {
	*child
	standing map[uint64]Truth
	once     sync.Once
	closed   int
}

func startChurner(t *testing.T, ns *testenv.NetNS, i int) *churner {
	helper, err := startHelper("churn", strconv.Itoa(i), ns.Start)
	if err != nil {
		t.Fatalf("start churner: %v", err)
	}
	c := &churner{child: helper, standing: make(map[uint64]Truth)}
	t.Cleanup(func() { c.stop(t) })
	for _, truth := range c.Truths {
		c.standing[truth.Inode] = truth
	}
	return c
}

// stop ends the churner and returns how many connections it made.
func (c *churner) stop(t *testing.T) int {
	c.once.Do(func() {
		if err := c.stdin.Close(); err != nil {
			t.Errorf("end of churner %d: %v", c.PID, err)
		}
		text := strings.TrimSpace(c.rest.String())
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Errorf("churner %d ended with %q", c.PID, text)
		}
		c.closed = n
	})
	return c.closed
}

// misnamed finds sessions of the churners with an owner or peer other than the
// process of their address.
func misnamed(sessions []whose.Session, netns uint32, owners map[netip.Addr]*churner) []string {
	var wrong []string
	for i := range sessions {
		s := &sessions[i]
		if s.NetNS != netns {
			continue
		}
		c := owners[s.Local.Addr()]
		if c == nil {
			wrong = append(wrong, fmt.Sprintf("a session of nobody: %v", row(s, nil)))
			continue
		}
		for _, o := range s.Owners {
			if o.PID != uint32(c.PID) && !observer(&o, owners) {
				wrong = append(wrong, fmt.Sprintf("owner %d, want %d: %v", o.PID, c.PID, row(s, nil)))
			}
		}
		for _, o := range s.Peer {
			if o.PID != uint32(c.PID) && !observer(&o, owners) {
				wrong = append(wrong, fmt.Sprintf("peer %d, want %d: %v", o.PID, c.PID, row(s, nil)))
			}
		}
	}
	return wrong
}

// observer reports whether an owner is another collection under way, of this
// test or beside it: to ask a socket for its namespace it takes a duplicate of
// it (pidfd_getfd), and so does hold it for a moment.
func observer(o *whose.Owner, owners map[netip.Addr]*churner) bool {
	for _, c := range owners {
		if o.PID == uint32(c.PID) {
			return false
		}
	}
	return o.Comm == "whose" || strings.Contains(o.Comm, ".tes") // a test's binary, its name cut at 15 bytes
}

// hasOwner reports whether the process is among the owners, by its descriptors.
func hasOwner(s *whose.Session, truth whose.Owner) bool {
	return slices.ContainsFunc(s.Owners, func(o whose.Owner) bool {
		return o.PID == truth.PID && slices.Equal(o.FDs, truth.FDs)
	})
}

// unfound finds standing sessions not listed just once, as they are, with their
// owner.
func unfound(source string, sessions []whose.Session, churning []*churner) []string {
	seen := make(map[uint64]int)
	at := make(map[uint64]*whose.Session)
	for i := range sessions {
		if inode := sessions[i].Inode; inode != 0 {
			seen[inode]++
			at[inode] = &sessions[i]
		}
	}
	var wrong []string
	for _, c := range churning {
		for inode, truth := range c.standing {
			s := at[inode]
			switch {
			case seen[inode] == 0 && source == "procfs" && truth.Proto == whose.UDP:
				// The table of facts has the reason.
			case seen[inode] != 1:
				wrong = append(wrong, fmt.Sprintf("%s %v of %d: listed %d times", truth.Label, truth.Local, c.PID, seen[inode]))
			case !hasOwner(s, truth.Owners[0]):
				wrong = append(wrong, fmt.Sprintf("%s of %d: its owner is not named: %v", truth.Label, c.PID, row(s, nil)))
			case s.State != truth.State || s.Local != truth.Local || s.Remote != truth.Remote:
				wrong = append(wrong, fmt.Sprintf("%s: want %v, got %v", truth.Label, row(&truth.Session, nil), row(s, nil)))
			}
		}
	}
	return wrong
}

// churn is the role of a churner. It ends with the number of its connections,
// on a line of its own.
func (st *Stage) churn(arg string) {
	i, err := strconv.Atoi(arg)
	st.check(err, "number of the churner")
	addr := netip.AddrPortFrom(churnAddr(i), 0)
	l := st.bound(addr.String(), unix.SOCK_STREAM, 0)
	st.check(unix.Listen(l, 128), "listen")
	st.addStanding(l, "listener", whose.Listen)
	for range churnStanding {
		st.addStanding(st.fromTo(addr, st.local(l), unix.SOCK_STREAM), "standing client end", whose.Established)
		st.addStanding(st.accept(l), "standing accepted end", whose.Established)
	}
	for range churnUDP {
		st.addStanding(st.bound(addr.String(), unix.SOCK_DGRAM, 0), "standing udp", whose.Unconn)
	}
	st.atEnd = st.run(addr, l)
}

func (st *Stage) addStanding(fd int, label string, state whose.State) {
	s := st.session(fd, state)
	st.add(label, s)
}

// fromTo connects from one address to another.
func (st *Stage) fromTo(from, to netip.AddrPort, kind int) int {
	fd := st.bound(from.String(), kind, 0)
	st.check(unix.Connect(fd, sockaddr(unix.AF_INET, to)), "connect")
	return fd
}

// run begins to open and close connections and UDP sockets. The returned
// function ends this and prints the count.
func (st *Stage) run(addr netip.AddrPort, l int) func() {
	stop, count := make(chan struct{}), make(chan int)
	target := st.local(l)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				count <- n
				return
			default:
			}
			c := st.fromTo(addr, target, unix.SOCK_STREAM)
			a := st.accept(l)
			u := st.fromTo(addr, target, unix.SOCK_DGRAM)
			// It is reset, lest ports run out in TIME_WAIT.
			reset := unix.SetsockoptLinger(c, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
			st.check(reset, "set linger")
			for _, fd := range []int{u, c, a} {
				st.close(fd)
			}
			n++

		}
	}()
	return func() {
		close(stop)
		fmt.Println(<-count)
	}
}
