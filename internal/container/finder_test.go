package container

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// tree are the files of a host in memory. Those in denied may not be read.
type tree struct {
	files  map[string]string
	denied []string
	opened []string
}

func hostTree(t testing.TB) *tree {
	t.Helper()
	a, err := txtar.ParseFile("testdata/host.txtar")
	if err != nil {
		t.Fatal(err)
	}
	h := &tree{files: map[string]string{}}
	for _, f := range a.Files {
		h.files["/"+f.Name] = strings.TrimSuffix(string(f.Data), "\n")
	}
	return h
}

func (h *tree) refuses(name string) bool {
	return slices.ContainsFunc(h.denied, func(d string) bool { return strings.HasPrefix(name, d) })
}

func (h *tree) Open(name string) (io.ReadCloser, State, error) {
	h.opened = append(h.opened, name)
	text, ok := h.files[name]
	switch {
	case h.refuses(name):
		return nil, State{}, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	case !ok:
		return nil, State{}, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return io.NopCloser(strings.NewReader(text)), State{Size: int64(len(text)), Inode: sum(text)}, nil
}

func (h *tree) List(dir string, known State) ([]string, State, error) {
	if h.refuses(dir) {
		return nil, State{}, &fs.PathError{Op: "open", Path: dir, Err: fs.ErrPermission}
	}
	var names []string
	for name := range h.files {
		if rest, in := strings.CutPrefix(name, dir+"/"); in {
			first, _, _ := strings.Cut(rest, "/")
			names = append(names, first)
		}
	}
	if names == nil {
		return nil, State{}, &fs.PathError{Op: "open", Path: dir, Err: fs.ErrNotExist}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	state := State{Inode: sum(strings.Join(names, "/"))}
	if state == known {
		names = nil
	}
	return names, state, nil
}

func sum(text string) (n uint64) {
	for i := range len(text) {
		n = n*31 + uint64(text[i])
	}
	return n
}

const (
	somePod  = "0e1f2a3b-4c5d-6e7f-8091-a2b3c4d5e6f7"
	otherPod = "7f6e5d4c-3b2a-1f0e-8091-a2b3c4d5e6f7"
)

func id(digit string) string { return strings.Repeat(digit, 64) }

// finderCases are the containers of testdata/host.txtar.
var finderCases = []struct {
	what string
	id   ID
	want Names
}{
	{"docker; labels of an image are none of a pod's", ID{id("a"), Docker, ""}, Names{Name: "shop-web", Image: "nginx:1.29"}},
	{"docker, data elsewhere", ID{id("b"), Docker, ""}, Names{Name: "elsewhere", Image: "registry.example.com:5000/team/app@sha256:" + id("8")}},
	{"docker in a pod", ID{id("c"), Docker, somePod}, Names{"api", "shop/api:2", "api-6d5f", "shop"}},
	{"docker, the sandbox of a pod", ID{id("d"), Docker, somePod}, Names{"", "registry.k8s.io/pause:3.10", "api-6d5f", "shop"}},
	{"podman, renamed", ID{id("e"), Podman, ""}, Names{Name: "shop-db", Image: "docker.io/library/postgres:18"}},
	{"podman, without a name", ID{id("f"), Podman, ""}, Names{}},
	{"podman, --rm, another driver", ID{strings.Repeat("0123456789abcdef", 4), Podman, ""}, Names{Name: "once", Image: "localhost/job:1"}},
	{"containerd", ID{id("1"), Containerd, somePod}, Names{"web", "docker.io/library/nginx:1.29", "web-7d9f", "shop"}},
	{"containerd, sandbox", ID{id("2"), Containerd, somePod}, Names{"", "registry.k8s.io/pause:3.10", "web-7d9f", "shop"}},
	{"k3s", ID{id("3"), Containerd, somePod}, Names{"edge", "", "edge-0", "kube-system"}},
	{"nerdctl, renamed", ID{id("4"), Containerd, ""}, Names{Name: "after"}},
	{"nerdctl", ID{id("5"), Containerd, ""}, Names{Name: "alone"}},
	{"nerdctl, its first name another's", ID{id("6"), Containerd, ""}, Names{}},
	{"cri-o", ID{id("7"), CRIO, somePod}, Names{"queue", "quay.io/shop/queue:3", "queue-0", "shop"}},
	{"cri-o, sandbox", ID{id("8"), CRIO, somePod}, Names{"", "registry.k8s.io/pause:3.10", "queue-0", "shop"}},
	{"kubelet's folders", ID{id("9"), Containerd, otherPod}, Names{"late", "", "late-1", "shop"}},
	{"a process of a pod alone", ID{"", "", otherPod}, Names{PodName: "late-1", PodNamespace: "shop"}},
	{"runtime unknown: docker", ID{id("a"), "", ""}, Names{Name: "shop-web", Image: "nginx:1.29"}},
	{"runtime unknown: podman", ID{id("e"), "", ""}, Names{Name: "shop-db", Image: "docker.io/library/postgres:18"}},
	{"runtime unknown: cri-o", ID{id("7"), "", somePod}, Names{"queue", "quay.io/shop/queue:3", "queue-0", "shop"}},
	{"another runtime's", ID{id("a"), Podman, ""}, Names{}},
	{"nobody's", ID{strings.Repeat("ab", 32), "", ""}, Names{}},
	{"a short id", ID{"aaaaaaaaaaaa", Docker, ""}, Names{}},
	{"no id", ID{"../../../etc", Docker, ""}, Names{}},
}

func TestFind(t *testing.T) {
	f := NewFinder(hostTree(t))
	for range 2 { // the second time from memory
		for _, c := range finderCases {
			got, refused := f.Find(c.id)
			if diff := cmp.Diff(c.want, got); diff != "" || refused {
				t.Errorf("%s: refused %v (-want +got):\n%s", c.what, refused, diff)
			}
		}
	}
}

// TestFind_Changes renames containers, removes them and gives an id again: there is
// the new name or none.
func TestFind_Changes(t *testing.T) {
	h := hostTree(t)
	f := NewFinder(h)
	docker := "/var/lib/docker/containers/" + id("a") + "/config.v2.json"
	podman := "/var/lib/containers/storage/overlay-containers/containers.json"
	want := func(of ID, name string) {
		t.Helper()
		if got, _ := f.Find(of); got.Name != name {
			t.Errorf("%s: %q, want %q", of.ID[:1], got.Name, name)
		}
	}
	want(ID{id("a"), Docker, ""}, "shop-web")
	want(ID{id("e"), Podman, ""}, "shop-db")
	h.files[docker] = strings.Replace(h.files[docker], `"/shop-web"`, `"/renamed"`, 1)
	h.files[podman] = strings.Replace(h.files[podman], `"shop-db"`, `"renamed"`, 1)
	want(ID{id("a"), Docker, ""}, "renamed")
	want(ID{id("e"), Podman, ""}, "renamed")
	delete(h.files, docker)
	h.files[podman] = "[]"
	want(ID{id("a"), Docker, ""}, "")
	want(ID{id("e"), Podman, ""}, "")
	h.files[docker] = `{"Name":"/second"}`
	want(ID{id("a"), Docker, ""}, "second")
}

// TestFind_Refused reports a refusal where names are missing for it, and the names
// that everybody may read.
func TestFind_Refused(t *testing.T) {
	h := hostTree(t)
	h.denied = []string{"/var/lib", "/run", "/etc"}
	f := NewFinder(h)
	for _, c := range finderCases {
		if !isHex(c.id.ID) || len(c.id.ID) != 64 {
			continue
		}
		got, refused := f.Find(c.id)
		if c.id.Pod == otherPod {
			if got != c.want || refused {
				t.Errorf("%s: %+v, refused %v", c.what, got, refused)
			}
		} else if got != (Names{}) || !refused {
			t.Errorf("%s: %+v, refused %v", c.what, got, refused)
		}
	}
}

// TestHostileFiles puts hostile content into each kind of file. No name may come out
// that no runtime gives, none by the content of a file that is not whole, and the
// reader stays within its bounds.
func TestHostileFiles(t *testing.T) {
	deep := strings.Repeat(`{"x":`, 100_000)
	forms := map[string]string{
		"docker":     `{"Config":{"Image":%[1]s},"Name":%[1]s}`,
		"containerd": `{"annotations":{"io.kubernetes.cri.container-name":%[1]s,"io.kubernetes.cri.image-name":%[1]s,"io.kubernetes.cri.sandbox-name":%[1]s,"io.kubernetes.cri.sandbox-namespace":%[1]s}}`,
		"cri-o":      `{"annotations":{"io.kubernetes.cri-o.ContainerType":"container","io.kubernetes.container.name":%[1]s,"io.kubernetes.cri-o.ImageName":%[1]s,"io.kubernetes.pod.name":%[1]s}}`,
		"podman":     `[{"id":"` + id("a") + `","names":[%[1]s],"metadata":%[1]s}]`,
	}
	places := map[string]string{
		"docker":     "/var/lib/docker/containers/" + id("a") + "/config.v2.json",
		"containerd": "/run/containerd/io.containerd.runtime.v2.task/k8s.io/" + id("a") + "/config.json",
		"cri-o":      "/run/containers/storage/overlay-containers/" + id("a") + "/userdata/config.json",
		"podman":     "/var/lib/containers/storage/overlay-containers/containers.json",
	}
	values := []string{
		`"\u001b[31mred"`, `"two\nlines"`, `"process/nginx"`, `"user/web"`, `"../../etc/passwd"`, `""`, `"-N"`, `" web"`, `"web "`, `"wéb"`,
		`"a` + strings.Repeat("a", 300_000) + `"`, `"\ud800"`, "\"\xff\xfe\"", `"\u202eweb"`, `"="`, `"a,b"`, `"a b"`,
		`null`, `1`, `true`, `["web"]`, `{"web":"web"}`,
		// Not JSON, or cut off.
		`"web`, `web`, `"web"}`, `"\x"`, "\"a\nb\"", `"web",`, `"web" "web"`, deep, strings.Repeat("[", 100_000), `"web"` + "\x00",
	}
	tried, wrong := 0, 0
	for runtime, form := range forms {
		for _, v := range values {
			h := &tree{files: map[string]string{places[runtime]: fmt.Sprintf(form, v)}}
			for _, asked := range []string{runtime, ""} {
				got, _ := NewFinder(h).Find(ID{id("a"), asked, ""})
				if isImage(strings.Trim(v, `"`)) { // a slash is usual there
					got.Image = ""
				}
				if tried++; got != (Names{}) {
					wrong++
					t.Errorf("%s: %.40q names %+v", runtime, v, got)
				}
			}
		}
		// A truncated file is not believed.
		whole := fmt.Sprintf(form, `"web"`)
		for n := range len(whole) - 1 {
			h := &tree{files: map[string]string{places[runtime]: whole[:n]}}
			got, _ := NewFinder(h).Find(ID{id("a"), runtime, ""})
			if tried++; got != (Names{}) {
				wrong++
				t.Errorf("%s, cut to %q, names %+v", runtime, whole[:n], got)
			}
		}
		h := &tree{files: map[string]string{places[runtime]: whole}}
		if got, _ := NewFinder(h).Find(ID{id("a"), runtime, ""}); got.Name != "web" {
			t.Errorf("%s: the whole file names %+v", runtime, got)
		}
		// Larger than the bound, with a name before it.
		h.files[places[runtime]] = strings.TrimRight(whole, "}]") + strings.Repeat(" ", maxStore) + strings.Repeat("}", strings.Count(whole, "{"))
		if got, _ := NewFinder(h).Find(ID{id("a"), runtime, ""}); got != (Names{}) {
			wrong++
			t.Errorf("%s: a file without an end names %+v", runtime, got)
		}
		tried++
	}
	testenv.Tried(t, tried, wrong)
}

// TestHostileLogs names folders of logs in ways that the kubelet does not.
func TestHostileLogs(t *testing.T) {
	for _, name := range []string{"a_b", "_b_" + somePod, "a__" + somePod, "a_b_c_" + somePod, "a b_c_" + somePod, "\x1b[1m_c_" + somePod, ".._c_" + somePod} {
		h := &tree{files: map[string]string{path.Join("/var/log/pods", name, "x"): ""}}
		got, _ := NewFinder(h).Find(ID{"", "", somePod})
		if got.PodName == "b" && got.PodNamespace == "a" || !isName("x"+got.PodName) || !isName("x"+got.PodNamespace) {
			t.Errorf("%q names %+v", name, got)
		}
	}
}

// TestFind_ReadsNoMore wants that nothing of a file but the names is in what is kept.
func TestFind_ReadsNoMore(t *testing.T) {
	f := NewFinder(hostTree(t))
	for _, c := range finderCases {
		f.Find(c.id)
	}
	kept := fmt.Sprintf("%+v %+v %+v %+v", f.stores, f.roots, f.pods, f.logs)
	for _, secret := range []string{"secret", "hunter2", "PATH"} {
		if strings.Contains(kept, secret) {
			t.Errorf("%s is kept: %s", secret, kept)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	h := hostTree(b)
	for _, c := range []int{0, 4, 7, 13} {
		b.Run(finderCases[c].what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				NewFinder(h).Find(finderCases[c].id)
			}
		})
	}
}
