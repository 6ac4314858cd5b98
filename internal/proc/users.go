package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// users names user ids by a passwd file, which is read when it is first needed
// and again when it has changed, which is looked for every few seconds. Others
// are asked for by [users.learn] and [users.id], in the host's own directory, and
// remembered for a while. It is safe for concurrent use.
type users struct {
	// open opens a file of users, the first that can be opened counts.
	open []func() (*os.File, error)
	crew *crew
	now  func() time.Time
	// ask returns the passwd lines of users by name or number; those without one
	// are missing. Nil: there is nobody to ask.
	ask func(ctx context.Context, keys []string) ([]byte, error)

	mu      sync.Mutex
	names   map[uint32]string
	ids     map[string]uint32
	asked   map[uint32]askedUser
	numbers map[uint32]string // texts of ids without a name, bounded
	state   fileState
	looked  time.Time     // when it was last looked for changes
	reading chan struct{} // closed by a reader that is back, nil for none out
}

// An askedUser is an answer of the directory, "" if it knows no such user.
type askedUser struct {
	name string
	at   time.Time
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
	u.refresh()
	if name, ok := u.names[uid]; ok {
		return name
	}
	if asked := u.asked[uid]; asked.name != "" {
		return asked.name
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
		u.names, u.ids, u.state = r.value.names, r.value.ids, r.value.state
	}
}

// refresh reads the file where it may have changed.
func (u *users) refresh() {
	if now := u.now(); u.looked.IsZero() || now.Sub(u.looked) >= lookEvery {
		u.looked = now
		u.look() // an unreadable file names nobody
	}
}

// learn asks the directory for the users that the file does not name. It asks
// for none twice within a while, and returns how many it could not ask for, with
// the reason.
func (u *users) learn(ctx context.Context, uids []uint32) (unasked int, err error) {
	wanted := u.unnamed(uids)
	for len(wanted) > 0 {
		lot := wanted[:min(len(wanted), maxDirectoryKeys)]
		keys := make([]string, len(lot))
		for i, uid := range lot {
			keys[i] = strconv.FormatUint(uint64(uid), 10)
		}
		lines, err := u.ask(ctx, keys)
		if err != nil {
			return len(wanted), err
		}
		u.remember(lot, namesOf(parsePasswd(lines)))
		wanted = wanted[len(lot):]
	}
	return 0, nil
}

// unnamed returns the users to ask for, each once.
func (u *users) unnamed(uids []uint32) []uint32 {
	if u.ask == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.refresh()
	var wanted []uint32
	for _, uid := range uids {
		if _, named := u.names[uid]; named {
			continue
		}
		if asked, met := u.asked[uid]; met && u.now().Sub(asked.at) < askAgain {
			continue
		}
		wanted = append(wanted, uid)
	}
	slices.Sort(wanted)
	return slices.Compact(wanted)
}

// remember keeps the answers about the users asked for.
func (u *users) remember(uids []uint32, names map[uint32]string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.asked == nil || len(u.asked)+len(uids) > maxNumbers {
		u.asked = make(map[uint32]askedUser)
	}
	for _, uid := range uids {
		u.asked[uid] = askedUser{names[uid], u.now()}
	}
}

// id returns the number of the user, false if nobody knows the name. An error is
// the directory's.
func (u *users) id(ctx context.Context, name string) (uint32, bool, error) {
	u.mu.Lock()
	u.refresh()
	uid, ok := u.ids[name]
	u.mu.Unlock()
	if ok || u.ask == nil || !canBeUser(name) {
		return uid, ok, nil
	}
	lines, err := u.ask(ctx, []string{name})
	if err != nil {
		return 0, false, err
	}
	entries := parsePasswd(lines) // its spelling of the name may be another: Alice, alice@corp
	if len(entries) != 1 {
		return 0, false, nil
	}
	u.remember([]uint32{entries[0].uid}, namesOf(entries))
	return entries[0].uid, true, nil
}

// askAgain is the time for which the directory's answer is believed.
const askAgain = time.Minute

const (
	// maxDirectoryKeys is the number of users asked for at once.
	maxDirectoryKeys = 256
	// maxUserName bounds the name of a user, well above the 32 of useradd.
	maxUserName = 256
)

// canBeUser reports whether the directory may be asked for the name: it is no
// option, no number, and no more than a name.
func canBeUser(name string) bool {
	return name != "" && len(name) <= maxUserName && !strings.ContainsAny(name, ":\n\x00") &&
		!strings.ContainsAny(name[:1], "-+0123456789")
}

// lookEvery is how often the file is looked at for changes.
const lookEvery = 5 * time.Second

// maxNumbers bounds the texts kept for ids without a name.
const maxNumbers = 4096

// A passwd is the content of the file. same: it has not changed.
type passwd struct {
	names map[uint32]string
	ids   map[string]uint32
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
	entries := parsePasswd(b)
	return passwd{names: namesOf(entries), ids: idsOf(entries), state: state}
}
