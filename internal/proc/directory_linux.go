package proc

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// A directory asks the host's own name services for users: LDAP, SSSD, systemd,
// and whatever else nsswitch.conf names. A static program cannot load their
// libraries, so getent does it. It may hang on a dead server and may print
// anything: its time and its output have a bound.
type directory struct {
	// command is the path of getent. Its first arguments are args.
	command string
	args    []string
	// patience bounds one question.
	patience time.Duration
}

const (
	// directoryPatience is the time for an answer. A server that is there answers
	// in milliseconds.
	directoryPatience = time.Second
	// maxDirectoryAnswer bounds the bytes of an answer.
	maxDirectoryAnswer = 1 << 20
)

// getents are the usual places of getent. PATH is the caller's to choose, and
// this process may have more privilege than the caller.
var getents = []string{"/usr/bin/getent", "/bin/getent"}

// newDirectory returns the directory of this host, nil if it has no getent.
func newDirectory() *directory {
	for _, path := range getents {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return &directory{command: path, args: []string{"passwd"}, patience: directoryPatience}
		}
	}
	return nil
}

// getentUnknown is the exit status of getent for a key without an entry.
const getentUnknown = 2

// look returns the passwd lines of the users with these names or numbers. Keys
// without a user are missing.
func (d *directory) look(ctx context.Context, keys []string) ([]byte, error) {
	within, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	out, err := d.run(within, keys)
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("ask %s for users: %w", d.command, ctx.Err())
	case within.Err() != nil:
		return nil, fmt.Errorf("ask %s for users: no answer within %v", d.command, d.patience)
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil // removed meanwhile: there is nobody to ask
	case errors.As(err, &exit) && exit.ExitCode() == getentUnknown, err == nil:
		return out, nil
	}
	return nil, fmt.Errorf("ask %s for users: %w", d.command, err)
}

// run runs getent with an environment of its own, and leaves one alone that
// cannot be killed.
func (d *directory) run(ctx context.Context, keys []string) ([]byte, error) {
	out := &bounded{limit: maxDirectoryAnswer}
	cmd := exec.CommandContext(ctx, d.command, append(append([]string(nil), d.args...), keys...)...)
	cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	cmd.Stdout, cmd.WaitDelay = out, 10*time.Millisecond
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1) // nobody waits for a late end
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return out.text.Bytes(), cmp.Or(out.full, err)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// bounded keeps what is written to it, and refuses more than its limit.
type bounded struct {
	text  bytes.Buffer
	limit int
	full  error // nil until it was too much
}

// Write appends p.
func (b *bounded) Write(p []byte) (int, error) {
	if b.text.Len()+len(p) > b.limit {
		b.full = errors.New("the answer is too long")
		return 0, b.full
	}
	return b.text.Write(p)
}
