package collecttest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// A Case is one kind of session that a host can have, with the answer expected
// of it.
type Case struct {
	// Name of the case, and Rule, broken by an answer that fails it.
	Name, Rule string
	// Passing: it does not stand by itself, and another look may find something
	// else. Such a case is not part of [Agree].
	Passing bool
	// Brief: it stands for a minute or two.
	Brief bool
	// Subflows: there are sessions with more than one subflow. To the source procfs
	// each is a connection of TCP.
	Subflows bool
	// ByDevice: the owners of a connection hang on the device of its listener.
	// The source procfs does not know it, and names all possible owners.
	ByDevice bool
	// Namespaces: it makes network namespaces of its own.
	Namespaces bool
	// bySocket: only a socket leads to the namespace of the case. On a host
	// with very many sockets a source gives up looking for such, and reports it
	// in a gap.
	bySocket bool
	// needs ends the test if the machine lacks something for the case.
	needs func(t testing.TB)
	// prepare does the part of the test's own process before hold.
	prepare func(t testing.TB) string
	// noFlow: some connections have no flow id that can be known.
	noFlow bool
	// hold sets everything up, in a process of its own in a fresh namespace.
	hold func(st *Stage)
	// ofKernel: the check asks for what a live table does not have: descriptors, states
	// in which no session is followed, sockets without their owners.
	ofKernel bool
	// check looks at more than the rows.
	check func(t *testing.T, c *caught)
}

// A caught case is a standing one, with the answer about it.
type caught struct {
	Standing
	source   string
	subject  Subject
	sessions []whose.Session
	coverage whose.Coverage
	noFlow   bool
}

// A Standing case is set up and stays.
type Standing struct {
	// Truths are its sessions.
	Truths []Truth
	// PID is the process of the set-up.
	PID int
	// Namespaces are those of its sessions, and nobody else's.
	Namespaces []uint32
	prepared   string
}

// wait bounds the time of one collection.
const wait = 60 * time.Second

// everything asks for all states.
func everything() collect.Options { return collect.Options{States: whose.AllStates} }

// Start sets a case up in a namespace of its own; it goes with the test.
func (c *Case) Start(t testing.TB) Standing {
	t.Helper()
	testenv.NeedRoot(t)
	ns := testenv.NewNetNS(t)
	s := c.StartIn(t, ns)
	ns.Close() // from now on only the case holds it
	return s
}

// StartIn sets a case up in a namespace; it goes with the test.
func (c *Case) StartIn(t testing.TB, ns *testenv.NetNS) Standing {
	t.Helper()
	if c.needs != nil {
		c.needs(t)
	}
	prepared := ""
	if c.prepare != nil {
		prepared = c.prepare(t)
	}
	return startIn(t, ns, "case "+c.Name, prepared)
}

// startIn starts a helper in a namespace; it ends with the test.
func startIn(t testing.TB, ns *testenv.NetNS, role, arg string) Standing {
	t.Helper()
	helper, err := startHelper(role, arg, ns.Start)
	if err != nil {
		t.Fatalf("set up: %v", err)
	}
	t.Cleanup(func() {
		if err := helper.stdin.Close(); err != nil {
			t.Errorf("end of the helper: %v", err)
		}
	})
	s := Standing{Truths: helper.Truths, PID: helper.PID, Namespaces: []uint32{ns.Inode()}, prepared: arg}
	for i := range s.Truths {
		if ino := s.Truths[i].NetNS; !slices.Contains(s.Namespaces, ino) {
			s.Namespaces = append(s.Namespaces, ino)
		}
	}
	return s
}

// Run goes through all cases with the subjects of open, which answer from the
// named source. A source that follows the kernel has all cases standing at once, since
// it takes its time.
func Run(t *testing.T, source string, open func(t *testing.T) Subject) {
	subject := open(t)
	standing := make(map[string]Standing)
	if source == Agent {
		standing = standAll(t)
	}
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) {
			s, stands := standing[c.Name]
			if !stands {
				s = c.Start(t)
			}
			got := &caught{Standing: s, source: source, subject: subject, noFlow: c.noFlow}
			if c.ByDevice && source == collect.Procfs {
				got.leaveOpen("owners", "peer")
			}
			got.look(t)
			if source == Agent {
				got.settle(t)
			}
			if gave := gapOf(&got.coverage, whose.GapNamespaces); c.bySocket && gave != "" {
				testenv.Missing(t, "a host without so many sockets", gave)
			}
			got.judge(t, c.Rule)
			got.checkFlows(t)
			if c.check != nil && (source != Agent || !c.ofKernel) {
				c.check(t, got)
			}
		})
	}
}

// standAll sets up all cases that stand by themselves for long.
func standAll(t *testing.T) map[string]Standing {
	testenv.NeedRoot(t)
	all := make(map[string]Standing)
	for _, c := range Cases() {
		if !c.Passing && !c.Brief {
			// One that is not possible here is missing, and Run reports it.
			t.Run("with "+c.Name, func(sub *testing.T) { all[c.Name] = c.startFor(sub, t) })
		}
	}
	return all
}

// look collects everything.
func (c *caught) look(t *testing.T) {
	t.Helper()
	c.sessions, c.coverage = c.again(t, everything())
}

// patience bounds the wait for a source that follows the kernel: it corrects owners
// after two snapshots that agree, and takes few on a host that is busy.
const patience = 3 * time.Minute

// settle looks again until a source that follows the kernel has caught up with it.
func (c *caught) settle(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); len(c.mistakes()) > 0 && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond)
		c.look(t)
	}
}

// leaveOpen has facts of all sessions not compared.
func (c *caught) leaveOpen(fields ...string) {
	for i := range c.Truths {
		c.Truths[i].Open = append(c.Truths[i].Open, fields...)
	}
}

// judge holds the answer against the truth.
func (c *caught) judge(t *testing.T, rule string) {
	t.Helper()
	wrong := c.mistakes()
	for _, w := range wrong {
		t.Error(w)
	}
	if len(wrong) > 0 {
		t.Errorf("broken rule: %s; gaps %v", rule, c.coverage.Gaps)
	}
}

// mistakes are those of the answer.
func (c *caught) mistakes() []string {
	wrong := compare(c.source, hiddenFor(c.source, c.Truths, &c.coverage), c.sessions, c.Namespaces)
	return append(wrong, account(c.source, c.sessions, &c.coverage, true)...)
}

// hiddenFor gives the reason hidden to sockets that nobody holds although they
// have a file, or are the kernel's, if even root may not look into some process
// of the host: it might hold them. (There are such hosts: a process of another
// user namespace's, or under a security module.) An agent goes on with the owners that it
// knew, since nothing shows that they are gone.
func hiddenFor(source string, truths []Truth, c *whose.Coverage) []Truth {
	if gapOf(c, whose.GapProcesses) == "" {
		return truths
	}
	truths = slices.Clone(truths)
	for i := range truths {
		if hasFile(&truths[i].Session) {
			truths[i].Open = append(slices.Clone(truths[i].Open), "reason")
			if source == Agent {
				truths[i].Open = append(truths[i].Open, "owners")
			}
		}
	}
	return truths
}

// gapOf returns the text of an answer's gap of a kind, "" for none.
func gapOf(c *whose.Coverage, kind whose.GapKind) string {
	for _, g := range c.Gaps {
		if g.Kind == kind {
			return g.String()
		}
	}
	return ""
}

// again makes another collection of the same standing sockets.
func (c *caught) again(t *testing.T, opts collect.Options) ([]whose.Session, whose.Coverage) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	sessions, coverage, err := c.subject(ctx, opts)
	if err != nil {
		t.Fatalf("collect: %v", err)
	}
	return sessions, coverage
}

// ours keeps the sessions of the case's namespaces.
func (c *caught) ours(sessions []whose.Session) []whose.Session {
	return slices.DeleteFunc(slices.Clone(sessions), func(s whose.Session) bool {
		return !slices.Contains(c.Namespaces, s.NetNS)
	})
}

// Agree has all the sources look at all cases standing by themselves, at once,
// and wants the same rows of each, but for [Facts].
func Agree(t *testing.T, sources map[string]Subject) {
	testenv.NeedRoot(t)
	var all Standing
	for _, c := range Cases() {
		if c.Passing || c.ByDevice {
			continue
		}
		// A case not possible on this machine is missing from this test as it
		// is from [Run], which reports it loudly.
		t.Run("with "+c.Name, func(sub *testing.T) {
			s := c.startFor(sub, t)
			all.Truths = append(all.Truths, s.Truths...)
			all.Namespaces = append(all.Namespaces, s.Namespaces...)
		})
	}
	answers := make(map[string][]whose.Session)
	blind := false
	for name, subject := range sources {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		sessions, coverage, err := subject(ctx, everything())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		answers[name] = sessions
		blind = blind || gapOf(&coverage, whose.GapProcesses) != ""
	}
	names := slices.Sorted(maps.Keys(sources))
	doubtful := doubtfulDirections(all.Truths)
	for i, a := range names {
		for _, b := range names[i+1:] {
			rowsA, rowsB := agreed(answers[a], all.Namespaces, blind, doubtful, a, b), agreed(answers[b], all.Namespaces, blind, doubtful, a, b)
			for _, d := range disagreement(a, rowsA, b, rowsB) {
				t.Errorf("%s and %s: %s", a, b, d)
			}
		}
	}
}

// doubtfulDirections are the sessions whose direction some source cannot know.
func doubtfulDirections(truths []Truth) map[key]bool {
	all := make(map[key]bool)
	for i := range truths {
		if truths[i].Instead != nil {
			all[keyOf(&truths[i].Session)] = true
		}
	}
	return all
}

// startFor sets the case up for the whole test, and skips only the part of it.
func (c *Case) startFor(part, whole *testing.T) Standing {
	part.Helper()
	if c.needs != nil {
		c.needs(part)
	}
	bare := *c
	bare.needs = nil
	return bare.Start(whole)
}

// agreed blanks the facts unknown to any of the sources and renders the rows
// listed by all of them, in order. blind: one of them could not look into every
// process, and so gives the reason hidden for another's better one.
func agreed(sessions []whose.Session, namespaces []uint32, blind bool, doubtful map[key]bool, sources ...string) [][]string {
	var rows [][]string
	for i := range sessions {
		s := sessions[i]
		if !slices.Contains(namespaces, s.NetNS) {
			continue
		}
		listed := true
		for _, name := range sources {
			listed = Blank(name, &s) && listed
		}
		if blind && (hasFile(&s) || s.Reason == whose.ReasonHidden) {
			s.Reason = whose.ReasonHidden
		}
		if doubtful[keyOf(&s)] {
			s.Direction = 0
		}
		if listed {
			rows = append(rows, row(&s, nil))
		}
	}
	slices.SortFunc(rows, slices.Compare)
	return rows
}

// disagreement describes the rows of one source alone.
func disagreement(nameA string, a [][]string, nameB string, b [][]string) []string {
	var all []string
	only := func(name string, rows, others [][]string) {
		for _, r := range rows {
			if !slices.ContainsFunc(others, func(o []string) bool { return slices.Equal(o, r) }) {
				all = append(all, fmt.Sprintf("only %s has %v", name, r))
			}
		}
	}
	only(nameA, a, b)
	only(nameB, b, a)
	if len(all) == 0 && len(a) != len(b) {
		all = append(all, fmt.Sprintf("%d rows and %d: one stands twice", len(a), len(b)))
	}
	return all
}
