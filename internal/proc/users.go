package proc

import (
	"context"
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
	// open opens a file of users, the first that can be opened counts.
	open []func() (*os.File, error)
	crew *crew
	now  func() time.Time

	mu      sync.Mutex
	names   map[uint32]string
	numbers map[uint32]string // texts of ids without a name, bounded
	state   fileState
	looked  time.Time     // when it was last looked for changes
	reading chan struct{} // closed by a reader that is back, nil for none out
}

// A fileState differs after a file has changed.
type fileState struct {
	size  int64
	mtime time.Time
}

// newUsers returns the users of the first file that can be opened.
func newUsers(c *crew, open ...func() (*os.File, error)) *users {
	return &users{open: open, crew: c, now: time.Now}
}

// fileAt returns a function that opens the file at path. It may be a pipe.
func fileAt(path string) func() (*os.File, error) {
	return func() (*os.File, error) { return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) }
}

// Name returns the name of uid, or its number as text if it has none.
func (u *users) Name(uid uint32) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now := u.now(); u.looked.IsZero() || now.Sub(u.looked) >= lookEvery {
		u.looked = now
		u.look() // an unreadable file names nobody
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

// look reads the file if it has changed. The file may lie on a dead file
// system: a reader that does not come back is the only one, and the names stay
// as they were.
func (u *users) look() {
	if u.reading != nil {
		select {
		case <-u.reading:
			u.reading = nil
		default:
			return
		}
	}
	back := make(chan struct{})
	known := u.state
	if u.names == nil {
		known = fileState{size: -1}
	}
	work := calls[passwd]{
		n:    1,
		do:   func(int, func(passwd)) passwd { return readPasswd(u.open, known) },
		back: func(int) { close(back) },
	}
	r := makeCalls(context.Background(), u.crew, &work)[0]
	switch {
	case r.end == givenUp:
		u.reading = back
	case r.end == made && r.value.err == nil && !r.value.same:
		u.names, u.state = r.value.names, r.value.state
	}
}

// lookEvery is how often the file is looked at for changes.
const lookEvery = 5 * time.Second

// maxNumbers bounds the texts kept for ids without a name.
const maxNumbers = 4096

// A passwd is what was read of the file. same: it has not changed.
type passwd struct {
	names map[uint32]string
	state fileState
	same  bool
	err   error
}

// readPasswd reads the file unless it is as known. A missing file names nobody
// and is no error.
func readPasswd(open []func() (*os.File, error), known fileState) passwd {
	var file *os.File
	var err error
	for _, f := range open {
		if file, err = f(); err == nil {
			break
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return passwd{}
	}
	if err != nil {
		return passwd{err: fmt.Errorf("read users: %w", err)}
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return passwd{err: fmt.Errorf("read users: %w", err)}
	}
	if !info.Mode().IsRegular() {
		return passwd{err: fmt.Errorf("read users: %s: want a regular file", file.Name())}
	}
	state := fileState{size: info.Size(), mtime: info.ModTime()}
	if state == known {
		return passwd{same: true}
	}
	b, err := io.ReadAll(io.LimitReader(file, maxTable))
	if err != nil {
		return passwd{err: fmt.Errorf("read users: %w", err)}
	}
	return passwd{names: parsePasswd(b), state: state}
}
