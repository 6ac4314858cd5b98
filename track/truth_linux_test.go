// Truth: known processes open and close sessions of every kind in namespaces
// of their own, and the tracker has to tell each exactly once, as it was.
//
// WHOSE_TRUTH_SCALE divides the size of the load, for slow machines, and
// WHOSE_TRUTH_LOAD names the program where there is no compiler.

package track_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/proc"
	"github.com/seed-44df2ae6/whose/internal/testenv"
	"github.com/seed-44df2ae6/whose/track"
)

// The size of the load, over all namespaces: what the load makes beside it for
// the odd cases comes on top.
const (
	truthNetNS = 3
	truthTCP   = 50_000
	truthUDP   = 20_000
)

// patience is how long the tracker may tell nothing new before what is missing
// is called missing.
const patience = 20 * time.Second

// scaled is a size on this machine.
func scaled(t testing.TB, n int) int {
	text := os.Getenv("WHOSE_TRUTH_SCALE")
	if text == "" {
		return n
	}
	by, err := strconv.Atoi(text)
	if err != nil || by < 1 {
		t.Fatalf("WHOSE_TRUTH_SCALE=%q: want a number from 1", text)
	}
	return n / by
}

// A load is a run of internal/truthload in its namespaces.
type load struct {
	dirs []string
	// netns are the numbers of the namespaces.
	netns []string
	cmds  []*exec.Cmd
	errs  []*bytes.Buffer
}

// newLoad makes namespaces and folders for a load of a size, and builds the
// program. go starts it.
func newLoad(t testing.TB, namespaces, tcp, udp int) (*load, func()) {
	t.Helper()
	l := &load{}
	program := buildLoad(t)
	var spaces []*testenv.NetNS
	for i := range namespaces {
		dir := filepath.Join(filepath.Dir(program), strconv.Itoa(i))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(program, dir, strconv.Itoa(tcp/namespaces), strconv.Itoa(udp/namespaces))
		cmd.Dir = "/"
		stderr := new(bytes.Buffer)
		cmd.Stderr = stderr
		// A group of its own, so that all of it can be ended.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		l.dirs, l.cmds, l.errs = append(l.dirs, dir), append(l.cmds, cmd), append(l.errs, stderr)
		ns := testenv.NewNetNS(t)
		spaces, l.netns = append(spaces, ns), append(l.netns, strconv.FormatUint(uint64(ns.Inode()), 10))
	}
	return l, func() {
		for i, cmd := range l.cmds {
			if err := spaces[i].Start(cmd); err != nil {
				t.Fatalf("start load: %v", err)
			}
			t.Cleanup(func() { unix.Kill(-cmd.Process.Pid, unix.SIGKILL) })
		}
	}
}

// buildLoad builds the program in a folder of the test's own.
func buildLoad(t testing.TB) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "truthload")
	if ready := os.Getenv("WHOSE_TRUTH_LOAD"); ready != "" {
		program, err := os.ReadFile(ready)
		if err == nil {
			err = os.WriteFile(to, program, 0o755)
		}
		if err != nil {
			t.Fatalf("take the load of WHOSE_TRUTH_LOAD: %v", err)
		}
		return to
	}
	sources, err := filepath.Glob("internal/truthload/*.c")
	if err != nil || len(sources) == 0 {
		testenv.Missing(t, "the source of the load", "internal/truthload has no C files here")
	}
	cc := testenv.NeedProgram(t, "cc")
	out, err := exec.Command(cc, append([]string{"-O2", "-pthread", "-static", "-o", to}, sources...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("build load: %v\n%s", err, out)
	}
	return to
}

// truth waits for the load to end and returns what it says.
func (l *load) truth(t testing.TB) *truth {
	t.Helper()
	tr := newTruth()
	l.read(t, tr)
	return tr
}

// read waits for the load to end and adds what it says.
func (l *load) read(t testing.TB, tr *truth) {
	t.Helper()
	for i, cmd := range l.cmds {
		if err := cmd.Wait(); err != nil {
			t.Fatalf("load: %v\n%s", err, l.errs[i])
		}
	}
	for _, dir := range l.dirs {
		log, err := os.Open(filepath.Join(dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		err = tr.read(log)
		log.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A follower keeps all that a tracker tells.
type follower struct {
	tracker *track.Tracker
	done    chan struct{}
	// from and ready are before and after the start, by the boot clock.
	from, ready int64
	// flows tells that it can tell of UDP flows.
	flows bool

	mu     sync.Mutex
	events []whose.Event
	lost   uint64
	err    error
}

// follow starts a tracker by BPF and reads its events until it is closed.
func follow(t testing.TB, opts track.Options) *follower {
	t.Helper()
	return followTo(t, opts, func(*whose.Event) {})
}

// followTo hands each event to a function, too.
func followTo(t testing.TB, opts track.Options, tap func(*whose.Event)) *follower {
	t.Helper()
	opts.Source = "bpf"
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	f := &follower{done: make(chan struct{}), from: bootNow(t)}
	var err error
	if f.tracker, err = track.Start(ctx, &opts); err != nil {
		t.Fatal(err)
	}
	f.ready = bootNow(t)
	f.flows = f.tellsFlows(t)
	t.Cleanup(func() { f.tracker.Close() })
	go func() {
		defer close(f.done)
		for e, err := range f.tracker.Events(context.Background()) {
			if err == nil {
				tap(&e)
			}
			f.mu.Lock()
			if err != nil {
				f.err = err
			} else if e.Kind == whose.EventLost {
				f.lost += e.Lost
				f.events = append(f.events, e)
			} else {
				f.events = append(f.events, e)
			}
			f.mu.Unlock()
		}
	}()
	return f
}

// wait waits until the judge misses nothing, or nothing new is told for the
// time of patience.
func (f *follower) wait(tr *truth, patience time.Duration) {
	wanted := wants(tr, f.ready, f.flows)
	seen, at := 0, time.Now()
	for len(wanted) > 0 && time.Since(at) < patience {
		f.mu.Lock()
		fresh := f.events[seen:]
		f.mu.Unlock()
		for i := range fresh {
			k := want{fresh[i].Session.Cookie, fresh[i].Kind}
			if n := wanted[k]; n > 1 {
				wanted[k] = n - 1
			} else if n == 1 {
				delete(wanted, k)
				at = time.Now()
			}
		}
		seen += len(fresh)
		time.Sleep(20 * time.Millisecond)
	}
}

// A want is an event that has to come.
type want struct {
	cookie uint64
	kind   whose.EventKind
}

// wants counts the last events of each socket and of the flows of each.
func wants(tr *truth, ready int64, flows bool) map[want]int {
	all := make(map[want]int)
	for i := range tr.ends {
		if e := &tr.ends[i]; e.cookie != 0 && e.end >= ready {
			kinds := kindsOf(e)
			all[want{e.cookie, kinds[len(kinds)-1]}]++
		}
	}
	for id := range tr.flows {
		if flows {
			all[want{id.cookie, whose.EventClose}]++
		}
	}
	return all
}

// stop closes the tracker and returns all that it told.
func (f *follower) stop(t testing.TB) []whose.Event {
	t.Helper()
	if err := f.tracker.Close(); err != nil {
		t.Errorf("close tracker: %v", err)
	}
	<-f.done
	if f.err != nil {
		t.Errorf("events: %v", f.err)
	}
	return f.events
}

func bootNow(t testing.TB) int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		t.Fatal(err)
	}
	return now.Nano()
}

// newJudge returns a judge that knows this host's clocks.
func newJudge(t testing.TB, tr *truth, f *follower) *judge {
	t.Helper()
	fs, err := proc.Open("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fs.Close() })
	boot := time.Now().Add(-time.Duration(bootNow(t)))
	return &judge{truth: tr, start: fs.StartTime, boot: boot, from: f.from, ready: f.ready, noFlows: !f.flows}
}

// tellsFlows reports whether the tracker can tell of UDP flows, as it can on
// every kernel that it is for.
func (f *follower) tellsFlows(t testing.TB) bool {
	t.Helper()
	for _, gap := range f.tracker.Source().Gaps {
		if strings.Contains(gap.String(), "UDP flows") {
			t.Errorf("this kernel can tell of UDP flows, and yet: %s", gap.String())
			return false
		}
	}
	return true
}

// needTracker ends the test where sessions cannot be followed by BPF.
func needTracker(t testing.TB) {
	t.Helper()
	testenv.NeedRoot(t)
	testenv.NeedKernel(t, 5, 11, "the programs of the tracker")
	testenv.NeedCap(t, unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_NET_ADMIN)
}

// report prints what was judged.
func report(t *testing.T, f *follower, tr *truth, events []whose.Event) {
	t.Helper()
	s := f.tracker.Stats()
	t.Logf("%d connections, %d ends of all kinds, %d flows, %d exchanges of UDP: %d events, %d records, lost %+v",
		tr.connections, len(tr.ends), len(tr.flows), tr.exchanges, len(events), s.Records, s.Lost)
}

// roomy are the options of a tracker that is judged by what it tells. Its buffer
// lasts for seconds, since a machine that runs tests may leave the reader without
// a processor for that long; what is lost in a small one is TestTruth_Loss. No
// flow ends by being idle: the judge wants each to end with its socket.
var roomy = track.Options{BufferSize: 64 << 20, MaxEvents: 1 << 20, UDPIdle: time.Hour}

func TestTruth(t *testing.T) { testTruth(t, scaled(t, truthTCP), scaled(t, truthUDP), roomy) }

// TestTruth_Packets has UDP counted as on kernels before 6.3, which it is there
// in TestTruth already.
func TestTruth_Packets(t *testing.T) {
	testenv.NeedKernel(t, 6, 3, "another way to count than by packets")
	testTruth(t, scaled(t, truthTCP/10), scaled(t, truthUDP), track.ByPackets(roomy))
}

func testTruth(t *testing.T, tcp, udp int, opts track.Options) {
	needTracker(t)
	l, begin := newLoad(t, truthNetNS, tcp, udp)
	f := follow(t, opts)
	began := time.Now()
	begin()
	tr := l.truth(t)
	took := time.Since(began)
	f.wait(tr, patience)
	events := f.stop(t)
	report(t, f, tr, events)
	t.Logf("the load took %.1f s", took.Seconds())
	if tr.connections < tcp-truthNetNS {
		t.Errorf("the load made %d connections, want %d", tr.connections, tcp)
	}
	if tr.exchanges < udp-truthNetNS {
		t.Errorf("the load made %d exchanges, want %d", tr.exchanges, udp)
	}
	j := newJudge(t, tr, f)
	j.judge(events)
	acquit(t, j, f, events)
}

// acquit fails the test for all that the judge found and all that was lost.
// Only where others make as many events on the host at that time, what was
// lost may be of the load, if it is not more than what was told as lost.
func acquit(t *testing.T, j *judge, f *follower, events []whose.Event) {
	t.Helper()
	lost := f.tracker.Stats().Lost
	if f.lost != lost.Total() {
		t.Errorf("%d were told as lost, %d counted: %+v", f.lost, lost.Total(), lost)
	}
	foreign := j.foreign(events)
	switch {
	case lost.Total() == 0:
	case j.counts[missing] == 0 && uint64(foreign) >= lost.Total():
		t.Logf("%d were lost of %d events of others, none of the load: %+v", lost.Total(), foreign, lost)
	case lost == (track.Losses{Sockets: lost.Sockets}) && lost.Sockets <= untoldMost && testenv.GuardsInit():
		t.Logf("%d ends were told as lost by a kernel that runs no program while process 1 does", lost.Sockets)
		j.excuse(t, lost.Total())
	case foreign < len(events)/4:
		t.Errorf("%d were lost: %+v", lost.Total(), lost)
	default:
		t.Logf("%d were lost beside %d events of others: %+v", lost.Total(), foreign, lost)
		j.excuse(t, lost.Total())
	}
	// A server that accepts late has its listener named first.
	if j.queued > len(j.truth.ends)/1000+20 {
		t.Errorf("%d sessions were told before they were accepted", j.queued)
	}
	if wrong := j.verdict(); wrong != "" {
		t.Error(wrong)
	}
}

// untoldMost is how many ends a kernel may fail to run programs for that
// testenv.GuardsInit: what timed out at once, twice what was seen.
const untoldMost = 250

// excuse forgives what is missing of no more sockets than events were lost.
func (j *judge) excuse(t *testing.T, lost uint64) {
	t.Helper()
	if n := uint64(len(j.lacking)); n > lost {
		t.Errorf("events of %d sockets are missing, but only %d are told as lost", n, lost)
	}
	delete(j.counts, missing)
}

// TestTruth_Start starts the tracker while a load is under way: what stood is
// told as standing, what came later as opened, and nothing twice.
func TestTruth_Start(t *testing.T) {
	needTracker(t)
	before, begin := newLoad(t, 1, scaled(t, 20_000), 0)
	after, beginAfter := newLoad(t, 1, scaled(t, 5_000), 0)
	begin()
	awaitLog(t, before)
	f := follow(t, roomy)
	beginAfter()
	tr := newTruth()
	before.read(t, tr)
	after.read(t, tr)
	f.wait(tr, patience)
	events := f.stop(t)
	report(t, f, tr, events)
	j := newJudge(t, tr, f)
	stood, meanwhile := 0, 0
	for i := range tr.ends {
		switch e := &tr.ends[i]; {
		case e.open < j.from && e.end > j.ready:
			stood++
		case e.open >= j.from && e.open <= j.ready:
			meanwhile++
		}
	}
	t.Logf("%d ends stood when the tracker was started, %d began while it was", stood, meanwhile)
	if full := scaled(t, truthTCP) == truthTCP; full && (stood < 10 || meanwhile < 10) {
		t.Error("the load does not try the start")
	}
	j.judge(events)
	acquit(t, j, f, events)
}

// awaitLog waits until the load has written something: it is under way then.
func awaitLog(t *testing.T, l *load) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if log, err := os.Stat(filepath.Join(l.dirs[0], "log")); err == nil && log.Size() > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the load does not begin")
		}
	}
}

// TestTruth_Loss makes the ring buffer too small on purpose. What is missing
// then has to be told as lost, and what is told has to be right all the same.
func TestTruth_Loss(t *testing.T) {
	needTracker(t)
	l, begin := newLoad(t, 1, scaled(t, 10_000), 0)
	// Of the load's namespace alone, so that only what it does can be lost.
	f := follow(t, track.Options{BufferSize: os.Getpagesize(), UDPIdle: time.Hour, NetNS: l.netns[0]})
	begin()
	tr := l.truth(t)
	f.wait(tr, 2*time.Second)
	events := f.stop(t)
	report(t, f, tr, events)
	lost := f.tracker.Stats().Lost
	if lost.Ring == 0 {
		t.Fatal("nothing was lost in a buffer of one page: the load is too slow to show anything")
	}
	if f.lost != lost.Total() {
		t.Errorf("%d were told as lost, %d counted: %+v", f.lost, lost.Total(), lost)
	}
	j := newJudge(t, tr, f)
	j.lossy = true
	j.judge(events)
	t.Logf("missing: %d events of %d sockets; lost: %+v", j.counts[missing], len(j.lacking), lost)
	j.excuse(t, lost.Total())
	if most := uint64(recordsPerEnd * len(tr.ends)); lost.Ring > most {
		t.Errorf("%d records are told as lost, but not more than %d can have been made", lost.Ring, most)
	}
	if wrong := j.verdict(); wrong != "" {
		t.Error(wrong)
	}
}

// recordsPerEnd is how many records of the kernel an end can make: opened,
// accepted, closed, and the process met, executing and gone.
const recordsPerEnd = 6
