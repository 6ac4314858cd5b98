package proc

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/container"
	"github.com/seed-44df2ae6/whose/internal/source"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// hostRoot makes a directory that stands for the root of a host whose procfs is
// live, and the reader of its files.
func hostRoot(t *testing.T) (string, *hostFiles) {
	t.Helper()
	f, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	dir, err := unix.Open(root, openPath, 0)
	if err != nil {
		t.Fatal(err)
	}
	h := &hostFiles{fs: f, owner: uint32(unix.Geteuid()), dir: dir}
	t.Cleanup(func() {
		h.close()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return root, h
}

// write makes a file and the directories above it.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestHostileHostFiles puts links, pipes, devices and files of others in the place
// of a file. None of them is read, and nobody waits.
func TestHostileHostFiles(t *testing.T) {
	root, h := hostRoot(t)
	outside := filepath.Join(t.TempDir(), "secret")
	write(t, outside, "secret")
	write(t, filepath.Join(root, "in/plain"), "plain")
	tried, wrong := 0, 0
	try := func(what string, make func(path string) error) {
		t.Helper()
		tried++
		path := filepath.Join(root, "tried", fmt.Sprint(tried))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := make(path); err != nil {
			testenv.Missing(t, what, err.Error())
		}
		r, _, err := h.Open(fmt.Sprintf("/tried/%d", tried))
		if err == nil {
			text, _ := io.ReadAll(io.LimitReader(r, 100))
			r.Close()
			wrong++
			t.Errorf("%s is read: %q", what, text)
		}
	}
	try("a link out", func(p string) error { return os.Symlink(outside, p) })
	try("a link up", func(p string) error { return os.Symlink("../../../../../../../../.."+outside, p) })
	try("a link within", func(p string) error { return os.Symlink("/in/plain", p) })
	try("a pipe", func(p string) error { return unix.Mkfifo(p, 0o600) })
	try("a directory", func(p string) error { return os.Mkdir(p, 0o700) })
	try("a file that others may write", func(p string) error {
		if err := os.WriteFile(p, []byte("x"), 0o600); err != nil {
			return err
		}
		return os.Chmod(p, 0o602)
	})
	try("a file that a group may write", func(p string) error {
		if err := os.WriteFile(p, []byte("x"), 0o600); err != nil {
			return err
		}
		return os.Chmod(p, 0o620)
	})
	if os.Geteuid() == 0 {
		try("a device", func(p string) error { return unix.Mknod(p, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))) })
		try("a file of another's", func(p string) error {
			if err := os.WriteFile(p, []byte("x"), 0o600); err != nil {
				return err
			}
			return os.Chown(p, 1000, 1000)
		})
	}
	// A directory that is a link out leads nowhere, one within leads on.
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(root, "out")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/in", filepath.Join(root, "alias")); err != nil {
		t.Fatal(err)
	}
	tried++
	if _, _, err := h.Open("/out/secret"); err == nil {
		wrong++
		t.Error("a directory outside is read")
	}
	tried++
	if _, _, err := h.Open("/../../../../.." + outside); err == nil {
		wrong++
		t.Error("the path leads out")
	}
	for _, path := range []string{"/in/plain", "/alias/plain"} {
		r, state, err := h.Open(path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		text, err := io.ReadAll(r)
		if string(text) != "plain" || err != nil || state.Size != 5 {
			t.Errorf("%s: %q, %v, %+v", path, text, err, state)
		}
		r.Close()
	}
	testenv.Tried(t, tried, wrong)
}

// TestHostFiles_List wants the names of a directory once for each of its states, and
// of one that others may write none.
func TestHostFiles_List(t *testing.T) {
	root, h := hostRoot(t)
	write(t, filepath.Join(root, "logs/a"), "")
	names, state, err := h.List("/logs", container.State{})
	if err != nil || len(names) != 1 || names[0] != "a" {
		t.Fatalf("%q, %v", names, err)
	}
	if names, _, err = h.List("/logs", state); err != nil || names != nil {
		t.Errorf("in the same state: %q, %v", names, err)
	}
	if err := os.Chmod(filepath.Join(root, "logs"), 0o777); err != nil {
		t.Fatal(err)
	}
	if names, _, err = h.List("/logs", container.State{}); err == nil {
		t.Errorf("writable by all: %q", names)
	}
}

// captured makes a tree as of a captured host, with processes in containers.
func captured(t *testing.T, files map[string]string) *FS {
	t.Helper()
	root := t.TempDir()
	for path, text := range files {
		write(t, filepath.Join(root, path), text)
	}
	f, err := OpenCaptured(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func dockerConfig(name, image string) string {
	b, _ := json.Marshal(map[string]any{"Name": "/" + name, "Config": map[string]any{"Image": image, "Env": []string{"A=b"}}})
	return string(b)
}

const statOf = "%d (web) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 500 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"

// TestContainerNames_Captured names containers, and their namespaces, under another
// root by the files below its 1/root.
func TestContainerNames_Captured(t *testing.T) {
	const podHash = "1111111111111111111111111111111111111111111111111111111111111111"
	const uid = "0e1f2a3b-4c5d-6e7f-8091-a2b3c4d5e6f7"
	docker := "1/root/var/lib/docker/containers/" + someHash + "/config.v2.json"
	files := map[string]string{
		"stat":      "btime 1000000000\n",
		"1/stat":    fmt.Sprintf(statOf, 1),
		"7/stat":    fmt.Sprintf(statOf, 7),
		"7/cgroup":  "0::/system.slice/docker-" + someHash + ".scope\n",
		"7/comm":    "web\n",
		"8/stat":    fmt.Sprintf(statOf, 8),
		"8/cgroup":  "0::/kubepods.slice/kubepods-pod" + uid + ".slice/cri-containerd-" + podHash + ".scope\n",
		"9/stat":    fmt.Sprintf(statOf, 9),
		"9/cgroup":  "0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" + someHash + ".scope\n",
		"10/stat":   fmt.Sprintf(statOf, 10),
		"10/cgroup": "0::/lxc.payload.mail/system.slice\n",
		"11/stat":   fmt.Sprintf(statOf, 11),
		"11/cgroup": "0::/docker/" + podHash + "\n",
		"1/cgroup":  "0::/init.scope\n",
		"12/stat":   fmt.Sprintf(statOf, 12), // its parent is process 1
		"12/cgroup": "0::/system.slice/vault.service\n",
		"13/stat":   strings.Replace(fmt.Sprintf(statOf, 13), " S 1 ", " S 12 ", 1),
		"13/cgroup": "0::/system.slice/vault.service/jobs\n",
		"13/comm":   "job\n",
		"14/stat":   fmt.Sprintf(statOf, 14),
		"14/cgroup": "0::/user.slice/user-1000.slice/session-3.scope\n",
		"14/comm":   "bash\n",
		"15/stat":   strings.Replace(fmt.Sprintf(statOf, 15), " S 1 ", " S 16 ", 1),
		"15/cgroup": "0::/user.slice/user-1000.slice/user@1000.service/app.slice/vault.service\n",
		"15/comm":   "vault\n",
		"16/stat":   fmt.Sprintf(statOf, 16),
		"16/cgroup": "0::/user.slice/user-1000.slice/user@1000.service/init.scope\n",
		"self/mountinfo": "100 22 0:4 net:[4026532001] /run/netns/netns-6d05bd74-0349-22ce-8123-0123456789ab rw - nsfs nsfs rw\n" +
			"101 22 0:4 net:[4026532002] /run/netns/blue rw - nsfs nsfs rw\n" +
			"102 22 0:4 net:[4026532006] /run/netns/cni-6d05bd74-0349-22ce-8123-0123456789ab rw - nsfs nsfs rw\n",
		docker: dockerConfig("shop-web", "nginx:1.29"),
		"1/root/run/containerd/io.containerd.runtime.v2.task/k8s.io/" + podHash + "/config.json": `{"annotations":{` +
			`"io.kubernetes.cri.container-name":"api","io.kubernetes.cri.sandbox-name":"api-0","io.kubernetes.cri.sandbox-namespace":"shop"}}`,
	}
	f := captured(t, files)
	for pid, want := range map[uint32]whose.Process{
		7:  {Container: "0123456789ab", ContainerName: "shop-web", Image: "nginx:1.29"},
		8:  {Container: "111111111111", Pod: uid, ContainerName: "api", PodName: "api-0", PodNamespace: "shop"},
		9:  {Container: "user/0123456789ab"}, // a user's group with the id of root's container
		10: {Container: "mail", ContainerName: "mail"},
		11: {Container: "111111111111"}, // Docker has none of this id
	} {
		p, err := f.Process(pid, 500, whose.NeedContainerNames)
		if err != nil {
			t.Fatal(err)
		}
		got := whose.Process{Container: p.Container, Pod: p.Pod, ContainerName: p.ContainerName, Image: p.Image, PodName: p.PodName, PodNamespace: p.PodNamespace}
		if got != want {
			t.Errorf("process %d: %+v, want %+v", pid, got, want)
		}
		if p, err = f.Process(pid, 500, whose.NeedCgroup); err != nil || p.ContainerName != "" {
			t.Errorf("process %d: unasked, %+v, %v", pid, p, err)
		}
	}
	refs := []source.NetNSRef{{Inode: 4026532001, TID: 7}, {Inode: 4026532002, TID: 7}, {Inode: 4026532003, TID: 8},
		{Inode: 4026532004, TID: 9}, {Inode: 4026532005, TID: 10}, {Inode: 4026532006}, {Inode: 4026532007, TID: 11},
		{Inode: 4026532008, TID: 12}, {Inode: 4026532009, TID: 13}, {Inode: 4026532010, TID: 14}, {Inode: 4026532011, TID: 15}}
	names := f.NetNSNames(context.Background(), refs)
	for inode, want := range map[uint32]string{
		4026532001: "shop-web",          // before the name that netavark made up
		4026532002: "blue",              // an administrator's name before it
		4026532003: "api-0",             // the pod's, whose namespace it is
		4026532004: "user/0123456789ab", //
		4026532005: "mail",
		4026532006: "cni-6d05bd74-0349-22ce-8123-0123456789ab", // nobody in it is known
		4026532007: "111111111111",
		4026532008: "vault.service",
		4026532009: "process/job", // made by a part of the service
		4026532010: "process/bash",
		4026532011: "process/vault", // the service of a user's own systemd
	} {
		if names[inode] != want {
			t.Errorf("namespace %d: %q, want %q", inode, names[inode], want)
		}
	}
}

// TestNetNSNames_Host: the host's namespace, seen from another one, is called so where
// process 1 is the host's, and where the kernel's number says so. In a container with
// process ids of its own, process 1 is not the host's.
func TestNetNSNames_Host(t *testing.T) {
	for _, test := range []struct {
		pidns, want string
		inode       uint32
	}{
		{"pid:[4026531836]", "host", 4026531840},
		{"pid:[4026532500]", "process/init", 4026531840},
		{"", "process/init", 4026531840},
		{"", "host", 4026531833},
	} {
		f := captured(t, map[string]string{"1/stat": fmt.Sprintf(statOf, 1), "1/comm": "init\n"})
		for name, to := range map[string]string{"pid": test.pidns, "net": fmt.Sprintf("net:[%d]", test.inode)} {
			path := filepath.Join(f.Root(), "1/ns", name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if to == "" {
				continue
			}
			if err := os.Symlink(to, path); err != nil {
				t.Fatal(err)
			}
		}
		if got := f.NetNSNames(context.Background(), []source.NetNSRef{{Inode: test.inode, TID: 1}})[test.inode]; got != test.want {
			t.Errorf("pid namespace %q, network namespace %d: named %q, want %q", test.pidns, test.inode, got, test.want)
		}
	}
}

// TestContainerNames_Again looks a container up once for as long as its names are
// believed, and again after that: it may have been renamed.
func TestContainerNames_Again(t *testing.T) {
	docker := "1/root/var/lib/docker/containers/" + someHash + "/config.v2.json"
	f := captured(t, map[string]string{"1/stat": fmt.Sprintf(statOf, 1), docker: dockerConfig("before", "x")})
	group := parseCgroups([]byte("0::/system.slice/docker-" + someHash + ".scope\n"))
	want := func(name string) {
		t.Helper()
		got, refused := f.ContainerNames(context.Background(), []Cgroup{group, {}, group})
		if got[0].Name != name || got[2] != got[0] || got[1] != (container.Names{}) || refused != 0 {
			t.Fatalf("%+v, refused %d, want %q", got, refused, name)
		}
	}
	want("before")
	write(t, filepath.Join(f.Root(), docker), dockerConfig("after", "x"))
	want("before")
	f.containers.mu.Lock()
	for id, k := range f.containers.known {
		k.at = k.at.Add(-lookEvery)
		f.containers.known[id] = k
	}
	f.containers.mu.Unlock()
	want("after")
	if err := os.Remove(filepath.Join(f.Root(), docker)); err != nil {
		t.Fatal(err)
	}
	clear(f.containers.known)
	want("")
}

// TestContainerNames_User names a user's own containers for himself, with the mark of
// what a user may have made up, and root's containers by root's files alone.
func TestContainerNames_User(t *testing.T) {
	root, h := hostRoot(t)
	const data = "/home/alice/.local/share"
	const other = "2222222222222222222222222222222222222222222222222222222222222222"
	write(t, filepath.Join(root, data, "containers/storage/overlay-containers/containers.json"),
		`[{"id":"`+someHash+`","names":["mine"],"metadata":"{\"image-name\":\"x\"}"},{"id":"`+other+`","names":["forged"]}]`)
	write(t, filepath.Join(root, "var/lib/containers/storage/overlay-containers/containers.json"),
		`[{"id":"`+other+`","names":["roots"]}]`)
	f := h.fs
	f.containers.once.Do(func() {
		f.containers.host = container.NewFinder(h)
		f.containers.user = container.NewUserFinder(h, data, "")
	})
	groups := make([]Cgroup, 3)
	for i, path := range []string{
		"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + someHash + ".scope",
		"/machine.slice/libpod-" + other + ".scope",
		"/machine.slice/libpod-" + someHash + ".scope",
	} {
		b := []byte("1:name=systemd:" + path + "\n")
		groups[i] = f.mark(parseCgroups(b), b)
	}
	names, refused := f.ContainerNames(context.Background(), groups)
	want := []container.Names{{Name: "user/mine"}, {Name: "roots"}, {}}
	for i := range want {
		if names[i] != want[i] {
			t.Errorf("%s: %+v, want %+v", groups[i].Path, names[i], want[i])
		}
	}
	if refused != 0 {
		t.Errorf("%d refused", refused)
	}
}

func BenchmarkContainerNames(b *testing.B) {
	f := &FS{}
	groups := make([]Cgroup, 1000)
	for i := range groups {
		groups[i] = parseCgroups([]byte("0::/system.slice/docker-" + someHash + ".scope\n"))
	}
	f.containers.prepare(f)
	f.containers.once.Do(func() {})
	f.containers.host = nil
	for b.Loop() {
		f.ContainerNames(context.Background(), groups)
	}
}
