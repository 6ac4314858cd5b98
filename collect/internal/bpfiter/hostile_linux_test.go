package bpfiter

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// The variables that make a child of the tests an attacker, or a process with many
// sockets.
const (
	attackEnv  = "WHOSE_TEST_ATTACK_PINS"
	socketsEnv = "WHOSE_TEST_MANY_SOCKETS"
)

// An attack is what an attacker is given.
type attack struct {
	Dir     string // for the pins
	Secret  string // a file of root's
	Private string // a directory of root's
	PID     int    // who pins
}

// play has, without end, the directory in turn as one of its own, as one that
// others may write to, as a link to root's, and not at all; in its own it
// exchanges each file that appears for a link to the secret.
func (a *attack) play() {
	names := pinPrograms()
	link := a.Dir + "_link"
	os.Symlink(a.Private, link)
	for n := 0; ; n++ {
		switch n % 4 {
		case 0, 1:
			if os.Mkdir(a.Dir, 0o755) == nil && n%4 == 1 {
				os.Chmod(a.Dir, 0o777)
			}
			for i, name := range names {
				os.Symlink(a.Secret, filepath.Join(a.Dir, "l"+strconv.Itoa(i)))
				_ = name
			}
			for range 50 {
				for i, name := range names {
					file := filepath.Join(a.Dir, pinName(name))
					l := filepath.Join(a.Dir, "l"+strconv.Itoa(i))
					unix.Renameat2(unix.AT_FDCWD, file+leftover+strconv.Itoa(a.PID), unix.AT_FDCWD, l, unix.RENAME_EXCHANGE)
					unix.Renameat2(unix.AT_FDCWD, file, unix.AT_FDCWD, l, unix.RENAME_EXCHANGE)
				}
			}
			os.RemoveAll(a.Dir)
		case 2:
			os.Symlink(a.Private, a.Dir)
			unix.Renameat2(unix.AT_FDCWD, link, unix.AT_FDCWD, a.Dir, unix.RENAME_EXCHANGE)
			os.Remove(a.Dir)
			os.Symlink(a.Private, link)
		}
	}
}

// startAttack starts an attacker, who is another user, and ends with the test.
func startAttack(t *testing.T, a attack) {
	t.Helper()
	text, err := json.Marshal(a)
	must(t, err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env, cmd.Dir, cmd.SysProcAttr = []string{attackEnv + "=" + string(text)}, "/", asUser(nobody)
	must(t, testenv.Start(t, cmd))
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
}

// TestHostilePinDir pins and removes pins in a bpffs that everybody may write to,
// while another user exchanges the directory and what is in it.
func TestHostilePinDir(t *testing.T) {
	dir := bpffs(t, "mode=1777")
	base := filepath.Dir(dir)
	private := filepath.Join(base, "private")
	must(t, os.Mkdir(private, 0o700))
	pinForeign(t, filepath.Join(private, pinName(taskFile)))
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte("secret"), 0o600))
	startAttack(t, attack{dir, secret, private, os.Getpid()})

	before := []string{facts(t, secret), facts(t, private), facts(t, filepath.Join(private, pinName(taskFile)))}
	gid := nobody
	o := PinOptions{GID: &gid, Traverse: true}
	// A load takes long, and the way to the directory is what is attacked.
	const tries, pins = 5000, 40
	tried, wrong, won := 0, 0, 0
	check := func(what string, err error) {
		tried++
		after := []string{facts(t, secret), facts(t, private), facts(t, filepath.Join(private, pinName(taskFile)))}
		if fmt.Sprint(after) != fmt.Sprint(before) {
			wrong++
			t.Fatalf("%s (%v): root's files were\n%v, are\n%v", what, err, before, after)
		}
		if err != nil {
			return
		}
		if st := stat(dir); st.Mode&unix.S_IFMT == unix.S_IFDIR && st.Uid != 0 {
			wrong++
			t.Errorf("%s: done in a directory of user %d", what, st.Uid)
		}
		won++
	}
	for n := range tries {
		d, err := prepareDir(dir, &o)
		check("prepare", err)
		if err == nil {
			must(t, d.close())
			must(t, Unpin(dir))
		}
		if n%(tries/pins) != 0 {
			continue
		}
		err = Pin(dir, o)
		check("pin", err)
		if err == nil {
			must(t, opensPinned(dir))
			must(t, Unpin(dir))
			continue
		}
		if opensPinned(dir) == nil {
			wrong++
			t.Errorf("pins are read that could not be pinned")
		}
		before := won // an unpin of nothing is no error
		check("unpin", errors.Join(Unpin(dir), errors.New("not in the count")))
		won = before
	}
	if won == 0 || won == tried {
		t.Errorf("of %d tries %d came through: nothing was attacked", tried, won)
	}
	testenv.Tried(t, tried, wrong)
}

func stat(path string) unix.Stat_t {
	var st unix.Stat_t
	_ = unix.Lstat(path, &st) // one that is not there has no mode
	return st
}

// facts tells who may do what with a file.
func facts(t *testing.T, path string) string {
	t.Helper()
	st := stat(path)
	return fmt.Sprintf("%s mode %o user %d group %d", path, st.Mode, st.Uid, st.Gid)
}

// manySockets binds so many sockets, says so, and waits for its end.
func manySockets(n int) {
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
		}
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
}

// startSockets starts a process with so many sockets.
func startSockets(t *testing.T, ns *testenv.NetNS, n int) uint32 {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{socketsEnv + "=" + strconv.Itoa(n)}
	_, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, ns.Start(cmd))
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Fatalf("a process with sockets: %q, %v", line, err)
	}
	return uint32(cmd.Process.Pid)
}

// TestHostileQuestion asks fd_walk for runs that begin anywhere, which no
// reader of ours does: nothing is read behind the end of a table. The memory
// there is that of other tables of the same size.
func TestHostileQuestion(t *testing.T) {
	testenv.NeedKernel(t, 6, 2, "bpf_rdonly_cast")
	ns := testenv.NewNetNS(t)
	const processes, sockets = 40, 110
	real := make(map[uint32]map[string]bool)
	for range processes {
		pid := startSockets(t, ns, sockets)
		real[pid] = descriptorsOf(t, pid)
	}
	s := open(t, Options{})
	tried, wrong, met := 0, 0, 0
	for start := uint32(0); start < 192; start++ {
		for _, flags := range []uint8{askV4 | askV6, askV4 | askV6 | askTCPInfo} {
			tried++
			ask := newQuestion(asking(source.Query{}))
			ask.flags = flags
			apply := func(b []byte) error {
				r := records{rest: b}
				for r.next() {
					if r.kind != recordSocket {
						continue
					}
					rec := as[socketRecord](r.body)
					fds, ok := real[rec.pid]
					if !ok {
						continue
					}
					if met++; !fds[strconv.Itoa(int(rec.fd))] {
						wrong++
						t.Errorf("from %d on: process %d has no descriptor %d, shown with port %d", start, rec.pid, rec.fd, rec.lport)
					}
				}
				return r.err
			}
			must(t, s.readRuns(context.Background(), []run{s.run(fdWalk, s.fdWalk, ask.startingAt(start), apply)}))
		}
	}
	if met == 0 {
		t.Error("no socket of the processes was met")
	}
	testenv.Tried(t, tried, wrong)
}

// descriptorsOf returns the descriptors of a process.
func descriptorsOf(t *testing.T, pid uint32) map[string]bool {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	must(t, err)
	fds := make(map[string]bool)
	for _, e := range entries {
		fds[e.Name()] = true
	}
	return fds
}

// TestHostileNames asks every program by names that no reader of ours has: each
// run ends, and what it gives are whole records.
func TestHostileNames(t *testing.T) {
	s := open(t, Options{})
	must(t, s.needTaskFile())
	programs := map[programKind]opener{taskFile: s.taskFile}
	if s.fdWalk != nil {
		programs[fdWalk] = s.fdWalk
	}
	if s.hashWalk != nil {
		programs[hashWalk] = s.hashWalk
	}
	tried, wrong := 0, 0
	for _, name := range []string{
		"", "who", "who:", "own:", "who:ooooooooooo", "who:00000000000", "own:" + strings.Repeat("\xaf", 11), "own:" + strings.Repeat("\xff", 11),
		"own:" + strings.Repeat("0", 11), "who:" + strings.Repeat("\xff", 11), "who:oo000o@oooo", "who:0P000o@0000", "who:00oooo`0000", "who:ooooo3@0000",
	} {
		for program, it := range programs {
			tried++
			if err := readNamed(s, program, it, name); err != nil {
				wrong++
				t.Errorf("%s by the name %q: %v", program, name, err)
			}
		}
	}
	testenv.Tried(t, tried, wrong)
}

// readNamed reads a run on a thread of that name.
func readNamed(s *Source, program programKind, it opener, name string) error {
	r := s.run(program, it, question{flags: askResume}, func(b []byte) error {
		r := records{rest: b}
		for r.next() {
		}
		return r.err
	})
	var busy sync.WaitGroup
	h := newHand(&busy)
	h.ctx, h.run = context.Background(), r
	copy(h.name[:15], name)
	busy.Go(h.onThread)
	busy.Wait()
	return h.err
}
