package main

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// A directory user is one that /etc/passwd does not have: here a record that
// nss-systemd finds, in a mount namespace of the command's own.
const (
	directoryUser = "alice.whosetest"
	directoryUID  = 61234
)

// withDirectoryUser runs the words in sh where that user exists.
const withDirectoryUser = `mkdir -p /run/userdb && mount -t tmpfs none /run/userdb &&
echo '{"userName":"alice.whosetest","uid":61234,"gid":61234}' >/run/userdb/alice.whosetest.user &&
ln -s alice.whosetest.user /run/userdb/61234.user && exec "$@"`

// asDirectoryUser returns a command where that user exists.
func asDirectoryUser(words ...string) *exec.Cmd {
	return exec.Command("unshare", append([]string{"-m", "sh", "-c", withDirectoryUser, "sh"}, words...)...)
}

// needDirectoryUser ends the test on a machine without a way to make such a user.
func needDirectoryUser(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedProgram(t, "unshare")
	testenv.NeedProgram(t, "getent")
	if out, err := asDirectoryUser("getent", "passwd", directoryUser).Output(); err != nil || !strings.HasPrefix(string(out), directoryUser) {
		testenv.Missing(t, "nss-systemd with user records (systemd 249)", fmt.Sprintf("getent gives %q, %v", out, err))
	}
}

// ownedListener listens, as a socket of the user, and returns its address.
func ownedListener(t *testing.T, uid int) string {
	l, err := net.Listen("tcp4", loopback()+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Chown(uid, uid); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

// TestDirectoryUsers wants a user whom only the host's name services know to be
// shown and found by name, by every command.
func TestDirectoryUsers(t *testing.T) {
	needDirectoryUser(t)
	addr := ownedListener(t, directoryUID)
	host, _, _ := strings.Cut(addr, ":")
	for _, test := range []struct{ words, want string }{
		{"-H -l addr " + host, directoryUser},
		{"-H -l addr " + host + " user " + directoryUser, addr},
		{"-H -l addr " + host + " user = 'alice.whose*'", addr},
		{"-H -l addr " + host + " user 61234", addr},
		{"count -H --by user addr " + host, directoryUser},
		{"zabbix count addr " + host + " user " + directoryUser, "1"},
		{"zabbix count addr " + host + " not user " + directoryUser, "0"},
		{"watch -o csv --fields user --for 2s --events standing addr " + host + " user " + directoryUser, directoryUser},
	} {
		words := strings.Fields(strings.ReplaceAll(test.words, "'", ""))
		cmd := asDirectoryUser(append([]string{"whose"}, words...)...)
		var said strings.Builder
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err != nil || !strings.Contains(string(out), test.want) {
			t.Errorf("whose %s: got %q and %v, want %q in it; it said %s", test.words, out, err, test.want, said.String())
		}
	}
}

// TestUnknownUser wants a question about a user whom nobody knows to be refused:
// nothing found, or a 0, would be said of the name and not of the sessions.
func TestUnknownUser(t *testing.T) {
	for _, words := range []string{
		"user no.such-user", "not user no.such-user", "port 1 or user root,no.such-user", "count user no.such-user",
		"-q user no.such-user", "owner_user no.such-user", "zabbix count user no.such-user",
		"zabbix count user no.such-user or port 1", "watch --for 1s user no.such-user",
	} {
		var exit *exec.ExitError
		out, err := exec.Command("whose", strings.Fields(words)...).Output()
		if !errors.As(err, &exit) || exit.ExitCode() != exitUsage || len(out) > 0 ||
			!strings.Contains(string(exit.Stderr), fmt.Sprintf("no user %q on this host", "no.such-user")) {
			t.Errorf("whose %s: got %q and %v", words, out, err)
			if exit != nil {
				t.Logf("it said %s", exit.Stderr)
			}
		}
	}
}

// TestSilentDirectory wants an error where the name services do not answer, and
// a listing that names users by number and says so.
func TestSilentDirectory(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedProgram(t, "unshare")
	getent := testenv.NeedProgram(t, "getent")
	addr := ownedListener(t, directoryUID)
	host, _, _ := strings.Cut(addr, ":")
	run := func(words ...string) (string, string, error) {
		cmd := exec.Command("unshare", append([]string{"-m", "sh", "-c",
			`printf '#!/bin/sh\nexec sleep 1000\n' >"$0/g" && chmod 755 "$0/g" && mount --bind "$0/g" ` + getent + ` && exec "$@"`,
			t.TempDir(), "whose"}, words...)...)
		var said strings.Builder
		cmd.Stderr = &said
		out, err := cmd.Output()
		return string(out), said.String(), err
	}
	if out, said, err := run("zabbix", "count", "--timeout", "1m", "user", directoryUser); err == nil || out != "" || !strings.Contains(said, "no answer within") {
		t.Errorf("zabbix count: got %q and %v; it said %s", out, err, said)
	}
	if out, said, err := run("zabbix", "count", "--timeout", "1m", "addr", host, "user", "alice*"); err == nil || out != "" || !strings.Contains(said, "could not be named") {
		t.Errorf("zabbix count by pattern: got %q and %v; it said %s", out, err, said)
	}
	out, said, err := run("-o", "json", "addr", host)
	if err != nil || !strings.Contains(out, `"user":"61234"`) || !strings.Contains(out, `"kind":"users","cause":"failed"`) {
		t.Errorf("listing: got %s and %v; it said %s", out, err, said)
	}
	out, said, err = run("zabbix", "get", "--timeout", "1m", "addr", host)
	if err != nil || strings.Contains(out, `"discovery"`) || !strings.Contains(out, `"complete":false`) {
		t.Errorf("zabbix get discovers rows whose user may be another: %s and %v; it said %s", out, err, said)
	}
	out, said, err = run("zabbix", "discovery", "listen", "--timeout", "1m", "addr", host)
	if err == nil || out != "" {
		t.Errorf("zabbix discovery: got %s; it said %s", out, said)
	}
}
