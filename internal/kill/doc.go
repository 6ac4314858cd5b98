// Package kill ends sessions, and the processes that own them.
//
// A session ends by SOCK_DESTROY of sock_diag: the kernel aborts it as if its owner
// had reset it, and its owner gets ECONNABORTED. The socket is named by its cookie,
// which no other socket ever has. A process gets a signal through a descriptor of
// its own (pidfd), opened before its start is compared: a number that another
// process took over meanwhile reaches nobody.
//
// First comes a [Plan], to be shown and asked about; then [Plan.Run]. Between the two
// nothing that is not in the plan can take the place of something in it.
package kill

import (
	"errors"
	"fmt"
	"strings"

	"github.com/seed-44df2ae6/whose"
)

// ErrGone means the session or process ended by itself meanwhile.
var ErrGone = errors.New("it ended by itself")

// A Target is to end: a session or, where Process is not nil, a process.
type Target struct {
	// Session is the session, or one of the process's.
	Session *whose.Session
	// Process is nil for a session.
	Process *whose.Process
	// Sessions counts those of the sessions asked for that the process owns.
	Sessions int

	pidfd int // of a process
}

// String names the target: "tcp 10.0.0.1:443 → 10.0.0.7:4711 (nginx 812)". The name
// of a process is its own choice: make it safe before you print it.
func (t *Target) String() string {
	if t.Process != nil {
		return fmt.Sprintf("%s %d", t.Process.Comm, t.Process.PID)
	}
	s := t.Session
	var b strings.Builder
	fmt.Fprintf(&b, "%v %v", s.Proto, s.Local)
	if s.Remote.Port() != 0 {
		fmt.Fprintf(&b, " - %v", s.Remote)
	} else {
		fmt.Fprintf(&b, " %v", s.State)
	}
	if len(s.Owners) > 0 && s.Owners[0].Process != nil {
		fmt.Fprintf(&b, " (%s %d)", s.Owners[0].Comm, s.Owners[0].PID)
	}
	return b.String()
}

// A Failure is a target that was not ended, and the reason.
type Failure struct {
	Target
	Err error
}

// A Plan holds the targets of [Plan.Run], and the spared ones.
type Plan struct {
	// Targets are to end, in the order of the sessions.
	Targets []Target
	// Spared are left alone, with the reasons.
	Spared []Failure

	killer *Killer
	signal int
}

// spare leaves a target alone.
func (p *Plan) spare(t Target, err error) { p.Spared = append(p.Spared, Failure{t, err}) }

// The reasons to leave a target alone that are not the kernel's.
var (
	errSelf  = errors.New("it is whose itself")
	errFirst = errors.New("it is the first process, and the host would go with it")
	errKin   = errors.New("this whose was started from it")
)

// endable returns why the kernel has no way to end a session, nil where it has one.
func endable(s *whose.Session) error {
	switch {
	case s.State == whose.Unconn:
		return whose.WithHint(errors.New("a UDP socket without a remote end stays, whatever the kernel is asked"), "--process ends its owner")
	case s.State == whose.Close:
		return whose.WithHint(errors.New("it is neither connected nor listening, and the kernel has no way to end it"), "--process ends its owner")
	case s.State == whose.Listen && s.Proto == whose.MPTCP:
		return whose.WithHint(errors.New("the kernel refuses to end an MPTCP listener"), "--process ends its owner")
	case s.Cookie == 0:
		return errors.New("its cookie is not known, and another socket may have its place")
	}
	return nil
}
