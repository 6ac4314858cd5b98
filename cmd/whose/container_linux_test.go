package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// podmanRoom runs words with Podman's files in a place of their own, $ROOM. All that
// it starts, Podman's monitors too, is in one process namespace and ends with it.
const podmanRoom = `set -e
mount -t tmpfs none /run
mkdir -p /run/netns /run/lock /var/lib/containers "$ROOM/lib"
mount --bind "$ROOM/lib" /var/lib/containers
ip link set lo up
podman() { command podman --log-level error --storage-driver vfs --runtime runc --cgroup-manager cgroupfs "$@"; }
tar -C "$ROOM" -c server | podman import -q --change 'ENTRYPOINT ["/server"]' - localhost/shop:1 >/dev/null
# Its namespace is one as netavark makes, which is not needed here otherwise.
ip netns add netns-6d05bd74-0349-22ce-8123-0123456789ab
podman run -d --name shop-web --network ns:/run/netns/netns-6d05bd74-0349-22ce-8123-0123456789ab --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 --user 1000:1000 localhost/shop:1 >"$ROOM/id"
for i in $(seq 100); do whose -lHN all port 8080 process server >/dev/null && break; sleep 0.1; done
# The user of the container may look into its process, but may not read files of root's.
user='` + podmanUser + `'
ask() { echo "== $*"; "$@" || echo "status $?"; }
for source in netlink procfs bpf; do
	ask whose -lH --source $source -o csv --fields container,container_name,image,netns_name container shop-web
	ask whose -lH --source $source -o csv --fields container,container_name,image,netns_name -N shop-web
done
ask whose -lH -o csv --fields comm container "$(cut -c1-12 "$ROOM/id")"
ask whose -lH -o csv --fields comm container "$(cat "$ROOM/id")"
ask whose -l -o wide container shop-web
ask whose count -l -o csv --by container_name,image container shop-web
ask setpriv $user whose -lH -o csv --fields container_name,netns_name port 8080
ask setpriv $user whose --source netlink -lH -o json container shop-front
ask setpriv $user whose --source netlink -lH -o json --fields container_name
# An event may come before the programs are there: it is made until one is seen.
ns=/run/netns/netns-6d05bd74-0349-22ce-8123-0123456789ab
nsenter --net=$ns ip link set lo up
whose watch --source bpf --for 60s --no-initial --events open --fields comm,container_name,image,netns_name -o csv container shop-web >"$ROOM/watch" &
for i in $(seq 300); do nsenter --net=$ns bash -c 'exec 3<>/dev/tcp/127.0.0.1/8080'; grep -q server "$ROOM/watch" && break; sleep 0.1; done
kill $!
echo "== watch"; grep -m 1 server "$ROOM/watch"
podman rename shop-web shop-front
ask whose -lH -o csv --fields container_name,netns_name port 8080 container shop-front
ask whose -lH container shop-web
`

const podmanUser = "--reuid 1000 --regid 1000 --clear-groups --inh-caps +sys_ptrace,+sys_admin --ambient-caps +sys_ptrace,+sys_admin"

// TestContainerNames_Podman names a real container of Podman's by its files, with
// each source, as root and as an ordinary user, and after it was renamed.
func TestContainerNames_Podman(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedCap(t, unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN)
	testenv.NeedProgram(t, "podman", "runc", "conmon", "unshare", "nsenter", "setpriv", "tar", "go")
	testenv.NeedIP(t)
	room := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(room, "server"), "./testdata/container")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", podmanRoom)
	cmd.Env = append(os.Environ(), "ROOM="+room)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := testenv.Start(t, cmd); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	id, _ := os.ReadFile(filepath.Join(room, "id"))
	if len(id) == 0 {
		testenv.Missing(t, "a Podman that runs containers here", stderr.String())
	}
	if err != nil {
		t.Fatalf("%v\n%s%s", err, stdout.String(), stderr.String())
	}
	short := string(id[:12])
	answers := make(map[string]string)
	for part := range strings.SplitSeq(strings.TrimPrefix(stdout.String(), "== "), "\n== ") {
		words, answer, _ := strings.Cut(part+"\n", "\n")
		answers[strings.ReplaceAll(words, strings.TrimSpace(string(id)), "ID")] = strings.TrimSpace(answer)
	}
	want := func(words, answer string) {
		t.Helper()
		if got, asked := answers[words]; got != answer || !asked {
			t.Errorf("%s:\n%s\nwant\n%s\n%s", words, got, answer, stderr.String())
		}
	}
	const fields = "container,container_name,image,netns_name"
	for _, source := range []string{"netlink", "procfs", "bpf"} {
		want("whose -lH --source "+source+" -o csv --fields "+fields+" container shop-web", short+",shop-web,localhost/shop:1,shop-web")
		want("whose -lH --source "+source+" -o csv --fields "+fields+" -N shop-web", short+",shop-web,localhost/shop:1,shop-web")
	}
	want("whose -lH -o csv --fields comm container "+short, "server")
	want("whose -lH -o csv --fields comm container ID", "server")
	want("whose count -l -o csv --by container_name,image container shop-web", "container_name,image,count\nshop-web,localhost/shop:1,1")
	want("setpriv "+podmanUser+" whose -lH -o csv --fields container_name,netns_name port 8080", ","+short)
	// A question by a name that may not be read says so, and a mere column does not.
	for words, says := range map[string]bool{"container shop-front": true, "--fields container_name": false} {
		answer := answers["setpriv "+podmanUser+" whose --source netlink -lH -o json "+words]
		if got := strings.Contains(answer, "container could not be named"); got != says || answer == "" {
			t.Errorf("%s: got %s\nsays that a container could not be named: %v, want %v", words, answer, got, says)
		}
	}
	if !strings.Contains(answers["watch"], "server,shop-web,localhost/shop:1") || !strings.Contains(answers["watch"], ",shop-web,") {
		t.Errorf("watch: %s", answers["watch"])
	}
	want("whose -lH -o csv --fields container_name,netns_name port 8080 container shop-front", "shop-front,shop-front")
	want("whose -lH container shop-web", "status 1")
	if wide := answers["whose -l -o wide container shop-web"]; strings.Count(wide, " shop-web ") != 2 || strings.Contains(wide, short) {
		t.Errorf("the wide table does not name the container and its namespace:\n%s", wide)
	}
}
