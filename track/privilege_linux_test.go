package track

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestOpenBPF_Refused: whoever may not load programs is told by which
// capability, not by what a library guesses.
func TestOpenBPF_Refused(t *testing.T) {
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
		if test.keep != nil {
			testenv.NeedCap(t, test.keep...)
		}
		p := &plan{}
		p.setDefaults()
		p.setWant()
		var refused error
		if err := testenv.OnThread(func() error {
			if err := keepCapabilities(test.keep...); err != nil {
				return err
			}
			k, err := openBPF(t.Context(), p)
			if err == nil {
				return errors.Join(errors.New("programs were loaded"), k.Close())
			}
			refused = err
			if early := Refused(); early == nil || early.Error() != err.Error() {
				return fmt.Errorf("before programs are loaded: %v, and then: %v", early, err)
			}
			return nil
		}); err != nil {
			t.Errorf("with %v alone: %v", test.keep, err)
			continue
		}
		if refused.Error() != test.want || !errors.Is(refused, fs.ErrPermission) || !strings.HasPrefix(whose.Hint(refused), "run as root, or with ") {
			t.Errorf("with %v alone: error %q, hint %q, want %q", test.keep, refused, whose.Hint(refused), test.want)
		}
	}
}

// keepCapabilities takes all capabilities but these from the calling thread.
func keepCapabilities(keep ...int) error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	for _, c := range keep {
		data[c/32].Effective |= 1 << (c % 32)
		data[c/32].Permitted |= 1 << (c % 32)
	}
	return unix.Capset(&head, &data[0])
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
