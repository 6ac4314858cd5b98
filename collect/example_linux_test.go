package collect_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/collect/collecttest"
)

// TestExample_CapturedHost does what the examples show, on a host that is the
// same everywhere.
func TestExample_CapturedHost(t *testing.T) {
	root := collecttest.Unpack(t, "collecttest/testdata/hosts/small-vm.txtar")
	for _, test := range []struct {
		opts collect.Options
		want string
	}{
		{collect.Options{States: whose.SetOf(whose.Listen)},
			"tcp 0.0.0.0:22 sshd 600, tcp [::]:22 sshd 600, tcp 127.0.0.53:53 systemd-resolve 412"},
		{collect.Options{Filter: mustParse(t, "curl"), States: whose.DefaultStates}, ""}, // it is in CLOSE_WAIT
		{collect.Options{Filter: mustParse(t, "curl")}, "tcp 192.0.2.10:43210 curl 901"},
		{collect.Options{Filter: mustParse(t, "state established and tcp")}, "tcp 192.0.2.10:22 sshd 811 sshd 824"},
		{collect.Options{Filter: mustParse(t, "udp"), Sort: []string{"-local_port", "pid"}},
			"udp 127.0.0.1:323 chronyd 420, udp [::1]:323 chronyd 420, udp 192.0.2.10:68 systemd-network 433, udp 127.0.0.53:53 systemd-resolve 412"},
	} {
		opts := test.opts
		opts.Proc, opts.CapturedProc = root, true
		var rows []string
		for _, s := range gather(t, opened(t), opts) {
			row := fmt.Sprint(s.Proto, " ", s.Local)
			for _, o := range s.Owners {
				row += fmt.Sprint(" ", o.Comm, " ", o.PID)
			}
			rows = append(rows, row)
		}
		if got := strings.Join(rows, ", "); got != test.want {
			t.Errorf("filter %v, states %b:\ngot  %s\nwant %s", opts.Filter, opts.States, got, test.want)
		}
	}
}
