package proc

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// users names user ids by a passwd file, which is read when it is first needed
// and again when it has changed, which is looked for every few seconds. It is
// safe for concurrent use.
type users struct {
	path string
	now  func() time.Time

	mu      sync.Mutex
	names   map[uint32]string
	numbers map[uint32]string // texts of ids without a name, bounded
	state   fileState
	looked  time.Time // when it was last looked for changes
}

// A fileState differs after a file has changed.
type fileState struct {
	size  int64
	mtime time.Time
}

// newUsers returns the users of the passwd file at path; "" means /etc/passwd.
func newUsers(path string) *users {
	if path == "" {
		path = "/etc/passwd"
	}
	return &users{path: path, now: time.Now}
}

// Name returns the name of uid, or its number as text if it has none.
func (u *users) Name(uid uint32) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now := u.now(); u.looked.IsZero() || now.Sub(u.looked) >= lookEvery {
		u.looked = now
		_ = u.load() // an unreadable file names nobody
	}
	if name, ok := u.names[uid]; ok {
		return name
	}
	if text, ok := u.numbers[uid]; ok {
		return text
	}
	if u.numbers == nil || len(u.numbers) >= maxNumbers {
		u.numbers = make(map[uint32]string)
	}
	text := strconv.FormatUint(uint64(uid), 10)
	u.numbers[uid] = text
	return text
}

// lookEvery is how often the file is looked at for changes.
const lookEvery = 5 * time.Second

// maxNumbers bounds the texts kept for ids without a name.
const maxNumbers = 4096

// load reads the file unless it is unchanged. A missing file names nobody and
// is no error.
func (u *users) load() error {
	file, err := os.OpenFile(u.path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // it may be a pipe
	if errors.Is(err, fs.ErrNotExist) {
		u.names, u.state = nil, fileState{}
		return nil
	}
	if err != nil {
		return fmt.Errorf("read users: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("read users: %w", err)
	}
	state := fileState{size: info.Size(), mtime: info.ModTime()}
	if u.names != nil && state == u.state {
		return nil
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("read users: %s: want a regular file", u.path)
	}
	b, err := io.ReadAll(io.LimitReader(file, maxTable))
	if err != nil {
		return fmt.Errorf("read users: %w", err)
	}
	u.names, u.state = parsePasswd(b), state
	return nil
}
