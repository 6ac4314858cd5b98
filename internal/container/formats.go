package container

import (
	"io"
	"strings"
)

// This file knows the forms of the files, as the runtimes write them.

// readDocker reads a config.v2.json of Docker (struct Container of its daemon). The
// labels of a pod are a kubelet's in a pod alone: elsewhere an image may set them.
func readDocker(r io.Reader, inPod bool) (Names, error) {
	var n Names
	var pod Names
	s := newScanner(r)
	err := s.document(members{
		"Name": func() error { return s.into(&n.Name, maxName+1) },
		"Config": func() error {
			return s.members(members{
				"Image": func() error { return s.into(&n.Image, maxImage) },
				"Labels": func() error {
					return s.members(members{
						kubeContainer: func() error { return s.into(&pod.Name, maxName) },
						kubePod:       func() error { return s.into(&pod.PodName, maxName) },
						kubeNamespace: func() error { return s.into(&pod.PodNamespace, maxName) },
					})
				},
			})
		},
	})
	n.Name = strings.TrimPrefix(n.Name, "/")
	if inPod && pod.PodName != "" {
		pod.Image = n.Image
		n = pod
		if n.Name == sandboxName {
			n.Name = ""
		}
	}
	return n, err
}

// The labels that a kubelet gives a container, and its name for the container that
// holds a pod's namespaces.
const (
	kubeContainer = "io.kubernetes.container.name"
	kubePod       = "io.kubernetes.pod.name"
	kubeNamespace = "io.kubernetes.pod.namespace"
	sandboxName   = "POD"
)

// A bundle holds the wanted parts of a config.json of the runtime specification: notes of
// the runtime that wrote it, among its annotations.
type bundle struct {
	names Names
	// nerdctl is the name that nerdctl gave it first, and stateDir its directory
	// there: "/var/lib/nerdctl/1935db59/containers/default/ID".
	nerdctl, stateDir string
}

// readContainerd reads a config.json in the bundle of a task of containerd.
func readContainerd(r io.Reader) (bundle, error) {
	var b bundle
	sandboxImage := ""
	s := newScanner(r)
	err := s.document(members{"annotations": func() error {
		return s.members(members{
			"io.kubernetes.cri.container-name":        func() error { return s.into(&b.names.Name, maxName) },
			"io.kubernetes.cri.image-name":            func() error { return s.into(&b.names.Image, maxImage) },
			"io.kubernetes.cri.podsandbox.image-name": func() error { return s.into(&sandboxImage, maxImage) },
			"io.kubernetes.cri.sandbox-name":          func() error { return s.into(&b.names.PodName, maxName) },
			"io.kubernetes.cri.sandbox-namespace":     func() error { return s.into(&b.names.PodNamespace, maxName) },
			"nerdctl/name":                            func() error { return s.into(&b.nerdctl, maxName) },
			"nerdctl/state-dir":                       func() error { return s.into(&b.stateDir, maxPath) },
		})
	}})
	b.names.addMissing(Names{Image: sandboxImage})
	return b, err
}

// maxPath bounds a path read from a file (PATH_MAX).
const maxPath = 4096

// readCRIO reads a config.json of CRI-O. One of Podman, which lies in a place like
// it, has none of these annotations.
func readCRIO(r io.Reader) (Names, error) {
	var n Names
	kind, image, kubeName, namespace := "", "", "", ""
	s := newScanner(r)
	err := s.document(members{"annotations": func() error {
		return s.members(members{
			kubeContainer:                       func() error { return s.into(&n.Name, maxName) },
			kubePod:                             func() error { return s.into(&n.PodName, maxName) },
			kubeNamespace:                       func() error { return s.into(&n.PodNamespace, maxName) },
			"io.kubernetes.cri-o.ContainerType": func() error { return s.into(&kind, maxName) },
			"io.kubernetes.cri-o.ImageName":     func() error { return s.into(&n.Image, maxImage) },
			"io.kubernetes.cri-o.Image":         func() error { return s.into(&image, maxImage) },
			"io.kubernetes.cri-o.KubeName":      func() error { return s.into(&kubeName, maxName) },
			"io.kubernetes.cri-o.Namespace":     func() error { return s.into(&namespace, maxName) },
		})
	}})
	switch kind {
	case "":
		return Names{}, err
	case "sandbox":
		n.Name = ""
	}
	n.addMissing(Names{Image: image, PodName: kubeName, PodNamespace: namespace})
	return n, err
}

// readStorage reads a containers.json of containers/storage, the store of Podman and
// CRI-O, and calls got with each container of it. The names there follow a renaming.
func readStorage(r io.Reader, got func(id string, n Names)) error {
	s := newScanner(r)
	err := s.array(func() error {
		var id, metadata string
		var n Names
		err := s.members(members{
			"id": func() error { return s.into(&id, maxName) },
			"names": func() error {
				return s.array(func() error {
					if n.Name != "" {
						return s.skip()
					}
					return s.into(&n.Name, maxName)
				})
			},
			"metadata": func() error { return s.into(&metadata, maxText) },
		})
		if err != nil {
			return err
		}
		// The metadata is a text with JSON in it, its owner's own.
		m := newScanner(strings.NewReader(metadata))
		if m.document(members{"image-name": func() error { return m.into(&n.Image, maxImage) }}) != nil {
			n.Image = ""
		}
		got(id, n)
		return nil
	})
	if err != nil {
		return err
	}
	return s.end()
}

// readText reads the one member of an object that is a text: of the daemon.json of
// Docker, and of the meta.json of nerdctl.
func readText(r io.Reader, key string, limit int) (string, error) {
	text := ""
	s := newScanner(r)
	err := s.document(members{key: func() error { return s.into(&text, limit) }})
	return text, err
}

// members are the wanted members of an object, with the reader of each.
type members map[string]func() error

// members reads an object, and of it the wanted members.
func (s *scanner) members(wanted members) error {
	return s.object(func(key []byte) error {
		if read := wanted[string(key)]; read != nil {
			return read()
		}
		return s.skip()
	})
}

// document is members for a stream that has nothing else.
func (s *scanner) document(wanted members) error {
	if err := s.members(wanted); err != nil {
		return err
	}
	return s.end()
}

// into reads a string into a variable.
func (s *scanner) into(to *string, limit int) error {
	text, err := s.string(limit)
	*to = text
	return err
}

// podOfLogs takes the name of a pod's directory of logs apart: "NAMESPACE_POD_UID".
// None of the three has a "_".
func podOfLogs(entry string) (n Names, uid string, ok bool) {
	parts := strings.Split(entry, "_")
	if len(parts) != 3 {
		return Names{}, "", false
	}
	return Names{PodNamespace: parts[0], PodName: parts[1]}, parts[2], true
}

// containerOfLog takes the name of a container's log apart:
// "POD_NAMESPACE_CONTAINER-ID.log". A name that was too long has lost its end, and
// the id with it.
func containerOfLog(entry string) (n Names, id string, ok bool) {
	rest, found := strings.CutSuffix(entry, ".log")
	if at := strings.LastIndexByte(rest, '-'); found && at > 0 {
		if parts := strings.Split(rest[:at], "_"); len(parts) == 3 {
			return Names{PodName: parts[0], PodNamespace: parts[1], Name: parts[2]}, rest[at+1:], true
		}
	}
	return Names{}, "", false
}
