package proc

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose/internal/container"
)

// hostFiles opens files below the root directory of the host that a procfs shows:
// the one of its process 1. Nothing leads out of it. It opens plain files and
// directories of one owner, which no other may write, and looks at each before it
// is opened: a device or a pipe never is.
type hostFiles struct {
	fs *FS
	// owner is the user whose files are read.
	owner uint32

	mu  sync.Mutex
	dir int // the root, O_PATH; 0 until it is opened
	err error
}

// errNotTrusted is a file that others may have written, or that is no plain one.
var errNotTrusted = errors.New("not a plain file of its owner's")

// root returns the descriptor of the root. Our own root stands for that of a
// process 1 whose root we may not see, where /proc is of our own pid namespace.
func (h *hostFiles) root() (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dir != 0 || h.err != nil {
		return h.dir, h.err
	}
	h.dir, h.err = unix.Openat(h.fs.dir, "1/root", openPath, 0)
	if h.err != nil && h.fs.own {
		h.dir, h.err = unix.Open("/", openPath, 0)
	}
	if h.err != nil {
		h.dir = 0
	}
	return h.dir, h.err
}

// close gives the root back.
func (h *hostFiles) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dir != 0 {
		closeFD(h.dir)
	}
	h.dir, h.err = 0, fs.ErrClosed
}

// Open implements [container.Files].
func (h *hostFiles) Open(path string) (io.ReadCloser, container.State, error) {
	fd, state, err := h.open(path, unix.S_IFREG, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return nil, state, err
	}
	return os.NewFile(uintptr(fd), path), state, nil
}

// List implements [container.Files].
func (h *hostFiles) List(path string, known container.State) ([]string, container.State, error) {
	fd, state, err := h.open(path, unix.S_IFDIR, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, state, err
	}
	defer closeFD(fd)
	if state == known {
		return nil, state, nil
	}
	var names []string
	errno := entries(fd, make([]byte, 16<<10), func(name []byte) bool {
		if len(name) > 0 && name[0] != '.' {
			names = append(names, string(name))
		}
		return len(names) < maxHostNames
	})
	if errno != 0 {
		return nil, state, &fs.PathError{Op: "list", Path: path, Err: errno}
	}
	return names, state, nil
}

// maxHostNames bounds the names read of one directory.
const maxHostNames = 1 << 16

// open looks at a file, and opens it if it is of the kind and of the owner.
func (h *hostFiles) open(path string, kind uint32, flags int) (fd int, state container.State, err error) {
	seen, err := h.find(path)
	if err != nil {
		return -1, state, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer closeFD(seen)
	var st unix.Stat_t
	if err := unix.Fstat(seen, &st); err != nil {
		return -1, state, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != kind || !h.trusts(&st) {
		return -1, state, &fs.PathError{Op: "open", Path: path, Err: errNotTrusted}
	}
	fd, err = unix.Open(fmt.Sprintf("/proc/self/fd/%d", seen), flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, state, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, container.State{
		Device: uint64(st.Dev), Inode: st.Ino, Size: st.Size,
		Changed: syscall.TimespecToNsec(syscall.Timespec(st.Ctim)),
	}, nil
}

// find returns a descriptor of the file itself, which does not open it. Links on the
// way stay within the root; the last part of the path is none.
func (h *hostFiles) find(path string) (int, error) {
	root, err := h.root()
	if err != nil {
		return -1, err
	}
	fd, err := unix.Openat2(root, strings.TrimPrefix(path, "/"), &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC | unix.O_NOFOLLOW,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if errors.Is(err, unix.ENOSYS) && h.fs.own && h.isOurs(root) { // before Linux 5.6
		fd, err = unix.Open(path, unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	}
	return fd, err
}

// isOurs reports whether the directory is our own root, out of which no path leads.
func (h *hostFiles) isOurs(root int) bool {
	var a, b unix.Stat_t
	return unix.Fstat(root, &a) == nil && unix.Stat("/", &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino
}

// trusts reports whether nobody but its owner, and root, may write the file. The
// files of a captured tree are all of whoever captured it.
func (h *hostFiles) trusts(st *unix.Stat_t) bool {
	return !h.fs.live || st.Uid == h.owner && st.Mode&0o022 == 0
}
