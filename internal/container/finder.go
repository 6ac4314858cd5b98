package container

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"
)

// A Finder finds the names of containers in the files of a host. It is safe for
// concurrent use. No lock is held while a file is read, so a silent one
// keeps nobody else.
type Finder struct {
	files  Files
	places places

	mu sync.Mutex
	// stores are the containers of each list, by path and id; roots the directories
	// that Docker was given; pods and logs what the kubelet's folders name.
	stores map[string]kept[map[string]Names]
	roots  map[string]kept[string]
	pods   kept[map[string]Names]
	logs   kept[map[string]Names]
}

// NewFinder returns a finder for the containers that the host's root started.
func NewFinder(files Files) *Finder { return newFinder(files, hostPlaces()) }

// NewUserFinder returns a finder for the containers that a user started without
// root's help, by the directory of his data ("/home/alice/.local/share") and of his
// session ("/run/user/1000").
func NewUserFinder(files Files, data, session string) *Finder {
	return newFinder(files, userPlaces(data, session))
}

func newFinder(files Files, p places) *Finder {
	return &Finder{files: files, places: p,
		stores: make(map[string]kept[map[string]Names]), roots: make(map[string]kept[string])}
}

// Find returns the names of a container, as far as they are known. refused: some
// file may not be read by this process, and names are missing.
func (f *Finder) Find(id ID) (n Names, refused bool) {
	s := search{f: f, id: id}
	if isHex(id.ID) {
		for _, way := range s.ways() {
			found := way().checked()
			if n.addMissing(found); n.Name != "" || n.PodName != "" {
				break
			}
		}
	}
	if n.PodName == "" || n.Name == "" && id.ID != "" {
		n.addMissing(s.byLogs().checked())
	}
	return n, s.refused && n == Names{}
}

// A search is for one container.
type search struct {
	f       *Finder
	id      ID
	refused bool
}

// ways are the ways to look: the one of the runtime, or all if it is not known.
func (s *search) ways() []func() Names {
	switch s.id.Runtime {
	case Docker:
		return []func() Names{s.docker}
	case Containerd:
		return []func() Names{s.containerd}
	case CRIO:
		return []func() Names{s.crio}
	case Podman:
		return []func() Names{s.podman}
	}
	return []func() Names{s.containerd, s.crio, s.docker, s.podman}
}

// open opens a file, nil if it cannot be read.
func (s *search) open(file string) (io.ReadCloser, State) {
	r, state, err := s.f.files.Open(file)
	if err != nil {
		s.refused = s.refused || errors.Is(err, fs.ErrPermission)
		return nil, State{}
	}
	return r, state
}

// read reads a file about the container.
func (s *search) read(file string, with func(io.Reader) error) bool {
	r, _ := s.open(file)
	if r == nil {
		return false
	}
	defer r.Close()
	return with(bounded(r, maxFile)) == nil
}

func (s *search) docker() (n Names) {
	roots := s.f.places.docker
	for _, settings := range s.f.places.dockerSettings {
		if root := s.dockerRoot(settings); path.IsAbs(root) {
			roots = append([]string{root}, roots...)
		}
	}
	for _, root := range roots {
		ok := s.read(path.Join(root, "containers", s.id.ID, "config.v2.json"), func(r io.Reader) (err error) {
			n, err = readDocker(r, s.id.Pod != "")
			return err
		})
		if ok {
			return n
		}
	}
	return Names{}
}

// dockerRoot returns the directory that an administrator chose for Docker's data.
func (s *search) dockerRoot(settings string) string {
	r, state := s.open(settings)
	if r == nil {
		return ""
	}
	defer r.Close()
	if root, ok := lookUp(s.f, s.f.roots, settings, state); ok {
		return root
	}
	root, err := readText(bounded(r, maxFile), "data-root", maxPath)
	if err != nil {
		root = ""
	}
	keep(s.f, s.f.roots, settings, state, root)
	return root
}

func (s *search) containerd() (n Names) {
	for _, state := range s.f.places.containerd {
		spaces, _, err := s.f.files.List(path.Join(state, containerdTasks), State{})
		if err != nil {
			s.refused = s.refused || errors.Is(err, fs.ErrPermission)
			continue
		}
		for _, space := range spaces[:min(len(spaces), maxSpaces)] {
			var b bundle
			ok := isName(space) && s.read(path.Join(state, containerdTasks, space, s.id.ID, "config.json"), func(r io.Reader) (err error) {
				b, err = readContainerd(r)
				return err
			})
			if ok {
				if b.nerdctl != "" && b.names.Name == "" {
					b.names.Name = s.nerdctl(b.nerdctl, b.stateDir, space)
				}
				return b.names
			}
		}
	}
	return Names{}
}

// maxSpaces bounds the namespaces of one containerd.
const maxSpaces = 64

// nerdctl returns the present name of a container of nerdctl. The bundle has the
// first, and is not written again when it is renamed; its own store is.
func (s *search) nerdctl(first, stateDir, space string) string {
	store, found := strings.CutSuffix(stateDir, "/"+path.Join("containers", space, s.id.ID))
	if !found || !path.IsAbs(store) {
		return ""
	}
	name := ""
	ok := s.read(path.Join(store, "etchosts", space, s.id.ID, "meta.json"), func(r io.Reader) (err error) {
		name, err = readText(r, "Name", maxName)
		return err
	})
	if ok && name != "" {
		return name
	}
	if !isName(first) {
		return ""
	}
	owner := make([]byte, len(s.id.ID)+1)
	s.read(path.Join(store, "names", space, first), func(r io.Reader) error {
		n, err := io.ReadFull(r, owner)
		owner = owner[:n]
		return err
	})
	if string(owner) != s.id.ID {
		return ""
	}
	return first
}

func (s *search) crio() (n Names) {
	for _, root := range s.f.places.crio {
		for _, driver := range drivers {
			ok := s.read(path.Join(root, driver+"-containers", s.id.ID, "userdata/config.json"), func(r io.Reader) (err error) {
				n, err = readCRIO(r)
				return err
			})
			if ok {
				return n
			}
		}
	}
	return Names{}
}

func (s *search) podman() Names {
	for _, root := range s.f.places.storage {
		for _, driver := range drivers {
			for _, list := range storageLists {
				if n, ok := s.store(path.Join(root, driver+"-containers", list))[s.id.ID]; ok {
					return n
				}
			}
		}
	}
	return Names{}
}

// store returns the containers of a list, which is read again if it has changed.
func (s *search) store(file string) map[string]Names {
	r, state := s.open(file)
	if r == nil {
		return nil
	}
	defer r.Close()
	if all, ok := lookUp(s.f, s.f.stores, file, state); ok {
		return all
	}
	all := make(map[string]Names)
	err := readStorage(bounded(r, maxStore), func(id string, n Names) {
		if n = n.checked(); isHex(id) && n != (Names{}) && len(all) < maxStored {
			all[id] = n
		}
	})
	if err != nil {
		clear(all)
	}
	keep(s.f, s.f.stores, file, state, all)
	return all
}

// byLogs returns the names in the kubelet's folders of logs.
func (s *search) byLogs() (n Names) {
	if s.id.Pod == "" {
		return Names{}
	}
	if s.id.ID != "" {
		n = s.entries(s.f.places.logs, &s.f.logs, containerOfLog)[s.id.ID]
	}
	n.addMissing(s.entries(s.f.places.pods, &s.f.pods, podOfLogs)[s.id.Pod])
	return n
}

// entries returns the values of the names in a directory, read again after a change.
func (s *search) entries(dir string, known *kept[map[string]Names], parse func(string) (Names, string, bool)) map[string]Names {
	if dir == "" {
		return nil
	}
	s.f.mu.Lock()
	before := *known
	s.f.mu.Unlock()
	entries, state, err := s.f.files.List(dir, before.state)
	if err != nil {
		return nil
	}
	if state == before.state {
		return before.value
	}
	all := make(map[string]Names)
	for _, entry := range entries[:min(len(entries), maxStored)] {
		if n, id, ok := parse(entry); ok {
			all[id] = n
		}
	}
	if time.Since(time.Unix(0, state.Changed)) > settled {
		s.f.mu.Lock()
		*known = kept[map[string]Names]{state, all}
		s.f.mu.Unlock()
	}
	return all
}

// settled is the time after a change of a directory from which another change shows
// in its time, whatever the clock of the file system.
const settled = 2 * time.Second

// lookUp returns the value kept of a file in this state.
func lookUp[T any](f *Finder, m map[string]kept[T], file string, state State) (T, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k, ok := m[file]
	return k.value, ok && k.state == state
}

// keep keeps the value of a file in this state.
func keep[T any](f *Finder, m map[string]kept[T], file string, state State, value T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m[file] = kept[T]{state, value}
}

func isHex(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune("0123456789abcdef", r) })
}
