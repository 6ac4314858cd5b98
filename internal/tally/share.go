package tally

import "github.com/seed-44df2ae6/whose"

// A Share is whose part of the bounded rows a row belongs to: a user's, so that
// no user can take the room of others. Root is the zero Share.
type Share uint32

// unknownShare is the share of rows without a known user.
const unknownShare = Share(1<<32 - 1)

// Ranges of user ids, as systemd and useradd give them out.
const (
	firstUser     = 1000  // below are system users
	firstDynamic  = 61184 // of DynamicUser, to lastDynamic
	lastDynamic   = 65519
	nobody        = 65534
	firstOfOthers = 1 << 16
)

// shareOf returns the share of a user. The ids of one block of 65,536 above the
// ordinary ones are of one share: an ordinary user may have such a block for the
// containers he starts.
func shareOf(uid uint32) Share {
	if uid >= firstOfOthers {
		return Share(uid &^ (firstOfOthers - 1))
	}
	return Share(uid)
}

// Root reports whether it is root's share, which has no bound of its own.
func (s Share) Root() bool { return s == 0 }

// System reports whether no ordinary user can have it.
func (s Share) System() bool {
	return s < firstUser || firstDynamic <= s && s <= lastDynamic || s == nobody
}

// shareOfSession returns the share of a socket without a known process.
func shareOfSession(s *whose.Session) Share {
	if s.Unknown.Has(whose.FactUID) {
		return unknownShare
	}
	return shareOf(s.UID)
}

// shareOfOwner returns the share of a process, of its socket where its user is
// not known.
func shareOfOwner(o *whose.Owner, s *whose.Session) Share {
	if o.Process == nil || o.User == "" {
		return shareOfSession(s)
	}
	return shareOf(o.UID)
}

// MaxShare bounds the rows of one share but root's. All of them together have
// three quarters of [MaxRows].
const MaxShare = MaxRows / 8

// A quota keeps the rows of each share within their bounds.
type quota struct {
	used   map[Share]int
	others int // rows of all but root
}

// take counts another row of a share, and reports whether there is room.
func (q *quota) take(s Share) bool {
	if s.Root() {
		return true
	}
	if q.used[s] >= MaxShare || q.others >= MaxRows/4*3 {
		return false
	}
	if q.used == nil {
		q.used = make(map[Share]int)
	}
	q.used[s]++
	q.others++
	return true
}
