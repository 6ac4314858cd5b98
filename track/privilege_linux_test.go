package track

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// refusedEnv has the test binary say how programs are refused, and nothing else.
const refusedEnv = "WHOSE_TEST_REFUSED"

// A refused value says how programs are refused to a process.
type refused struct {
	Loaded, Permission bool
	Error, Hint, Early string
}

// sayRefusal tries to load the programs and writes how that was refused.
func sayRefusal(t *testing.T) {
	p := &plan{}
	p.setDefaults()
	p.setWant()
	k, err := openBPF(t.Context(), p)
	said := refused{Loaded: err == nil}
	if err == nil {
		err = k.Close()
	} else {
		said.Error, said.Hint, said.Permission = err.Error(), whose.Hint(err), errors.Is(err, fs.ErrPermission)
	}
	if early := Refused(); early != nil {
		said.Early = early.Error()
	}
	if err := errors.Join(err, json.NewEncoder(os.NewFile(3, "answer")).Encode(said)); !said.Permission && err != nil {
		t.Fatal(err)
	}
}

// refusedWith returns how programs are refused to a process that has these
// capabilities and no other. They are those of a process, since programs are
// loaded by several of its threads.
func refusedWith(t *testing.T, keep ...int) (said refused) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestOpenBPF_Refused$")
	cmd.Env = append(os.Environ(), refusedEnv+"=1")
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	for _, c := range keep {
		cmd.SysProcAttr.AmbientCaps = append(cmd.SysProcAttr.AmbientCaps, uintptr(c))
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	err = testenv.Start(t, cmd)
	w.Close()
	if err == nil {
		err = json.NewDecoder(r).Decode(&said)
	}
	if err = errors.Join(err, cmd.Wait()); err != nil {
		t.Fatalf("with %v alone: %v, and it wrote %s", keep, err, &out)
	}
	return said
}

// TestOpenBPF_Refused: whoever may not load programs is told by which
// capability, not by what a library guesses.
func TestOpenBPF_Refused(t *testing.T) {
	if os.Getenv(refusedEnv) != "" {
		sayRefusal(t)
		return
	}
	testenv.NeedRoot(t)
	const none = "CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN are missing"
	for _, test := range []struct {
		keep []int
		want string
	}{
		{nil, none},
		{[]int{unix.CAP_DAC_READ_SEARCH}, none},
		{[]int{unix.CAP_PERFMON, unix.CAP_NET_ADMIN}, "CAP_BPF is missing"},
		{[]int{unix.CAP_BPF, unix.CAP_NET_ADMIN}, "CAP_PERFMON is missing"},
		{[]int{unix.CAP_BPF, unix.CAP_PERFMON}, "CAP_NET_ADMIN is missing"},
	} {
		testenv.NeedCap(t, test.keep...)
		said := refusedWith(t, test.keep...)
		if said.Loaded || said.Error != test.want || !said.Permission || !strings.HasPrefix(said.Hint, "run as root, or with ") {
			t.Errorf("with %v alone: %+v, want the error %q", test.keep, said, test.want)
		}
		if said.Early != said.Error {
			t.Errorf("with %v alone: before programs are loaded %q, and then %q", test.keep, said.Early, said.Error)
		}
	}
}

func TestExplainRefusal(t *testing.T) {
	if held, _ := capabilities(); held>>unix.CAP_SYS_ADMIN&1 == 0 || inUserNamespace() {
		testenv.NeedRoot(t) // for others the cause is what they lack
		return
	}
	broken := errors.New("broken")
	if err := explainRefusal(broken); err != broken {
		t.Errorf("what is no refusal became %v", err)
	}
	err := explainRefusal(whose.WithHint(fmt.Errorf("load programs: %w (MEMLOCK may be too low, consider x)", unix.EPERM), "ask"))
	if err.Error() != "load programs: operation not permitted" || whose.Hint(err) != "ask" {
		t.Errorf("error %q, hint %q", err, whose.Hint(err))
	}
}
