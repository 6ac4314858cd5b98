// Package container reads the names of containers from the files that their
// runtimes keep: Docker, Podman, CRI-O, containerd with nerdctl and Kubernetes,
// and the folders of logs that a kubelet keeps.
//
// No runtime is asked, and no process started. The files hold secrets, such as the
// environment of a container. So a reader of JSON goes past everything but a few
// keys, within bounds, and keeps nothing of the rest. It never quotes a file.
//
// Who may have written a file, and where the root of the host is, decides the
// caller: see [Files].
package container

// Names are the names of a container. All are empty where they are not known.
type Names struct {
	// Name is the container's name, as `docker ps` or, in a pod, as the pod's
	// specification has it: "shop-web".
	Name string
	// Image is the name of the image that it was made of, as it was asked for:
	// "docker.io/library/nginx:1.29".
	Image string
	// PodName and PodNamespace are of the Kubernetes pod.
	PodName, PodNamespace string
}

// An ID identifies a container by the path of its control group.
type ID struct {
	// ID is the whole id. Empty: only the pod is known.
	ID string
	// Runtime is "docker", "containerd", "cri-o" or "podman", empty if it is not known.
	Runtime string
	// Pod is the uid of its Kubernetes pod, empty for none.
	Pod string
}

// The names of runtimes in [ID].
const (
	Docker     = "docker"
	Containerd = "containerd"
	CRIO       = "cri-o"
	Podman     = "podman"
)

// addMissing fills in the names that n lacks.
func (n *Names) addMissing(o Names) {
	for _, f := range [...]struct {
		to   *string
		from string
	}{{&n.Name, o.Name}, {&n.Image, o.Image}, {&n.PodName, o.PodName}, {&n.PodNamespace, o.PodNamespace}} {
		if *f.to == "" {
			*f.to = f.from
		}
	}
}

const (
	// maxName bounds a name; 253 bytes are the most that Kubernetes allows.
	maxName = 255
	// maxImage bounds the name of an image.
	maxImage = 512
)

// checked drops names that no runtime gives: a name is made of
// letters, digits, and "_", "." and "-" after the first. So no name can be read as
// another kind of name, with a slash for instance.
func (n Names) checked() Names {
	for _, name := range []*string{&n.Name, &n.PodName, &n.PodNamespace} {
		if !isName(*name) {
			*name = ""
		}
	}
	if !isImage(n.Image) {
		n.Image = ""
	}
	return n
}

func isName(s string) bool {
	if s == "" || len(s) > maxName || !isAlnum(s[0]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

// isImage reports whether s may be the name of an image: a host, a path, a tag and
// a digest, in ASCII.
func isImage(s string) bool {
	if s == "" || len(s) > maxImage || !isAlnum(s[0]) {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case isAlnum(c), c == '.', c == '_', c == '-', c == '/', c == ':', c == '@', c == '+':
		default:
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
