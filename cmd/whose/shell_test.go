package main

import "testing"

func TestShell_ASCII(t *testing.T) {
	for _, c := range []struct {
		all, ctype, lang string
		want             bool
	}{
		{}, {lang: "C.UTF-8"}, {lang: "en_US.utf8"}, {lang: "C", want: true}, {lang: "de_DE", want: true}, {lang: "de_DE.ISO-8859-1", want: true},
		{all: "C", ctype: "C.UTF-8", lang: "C.UTF-8", want: true}, {ctype: "POSIX", lang: "C.UTF-8", want: true},
		{all: "C.UTF-8", ctype: "C", lang: "C"}, {ctype: "C.UTF-8", lang: "C"},
	} {
		env := map[string]string{"LC_ALL": c.all, "LC_CTYPE": c.ctype, "LANG": c.lang}
		sh := shell{getenv: func(name string) string { return env[name] }}
		if got := sh.ascii(); got != c.want {
			t.Errorf("%v: %v", env, got)
		}
	}
}

func TestShell_Capable(t *testing.T) {
	for term, want := range map[string]bool{"": false, "dumb": false, "xterm": true, "tmux-256color": true} {
		sh := shell{getenv: func(string) string { return term }}
		if sh.capable() != want {
			t.Errorf("TERM=%q: %v", term, !want)
		}
	}
}
