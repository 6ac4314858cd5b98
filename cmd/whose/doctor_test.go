package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/seed-44df2ae6/whose/collect"
)

func TestDoctor_UserNamespace(t *testing.T) {
	for _, inner := range []bool{false, true} {
		var out bytes.Buffer
		d := doctor{sh: &shell{out: &out, err: &out, getenv: func(string) string { return "" }}}
		g := &collect.Diagnosis{OS: "linux", UserNS: inner, Capabilities: []collect.Capability{{Name: "CAP_BPF", Held: true, For: "load programs"}}}
		if err := d.print(g); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"as root in a user namespace,", "They count in this user namespace"} {
			if strings.Contains(out.String(), want) != inner {
				t.Errorf("in a user namespace %v: %q in %s", inner, want, out.String())
			}
		}
	}
}
