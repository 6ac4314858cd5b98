package whose

// Needs is a set of facts that cost something to collect. Where the zero value
// stands for a default, [NeedSessions] asks for the sessions alone.
type Needs uint32

// The facts that cost something. What is not named here comes with the socket.
const (
	// NeedOwners: the processes that hold a session, their descriptors, names and start times.
	NeedOwners Needs = 1 << iota
	// NeedCmdline, NeedExe, NeedCreds and NeedCgroup: of a process its command
	// line; its executable; its user and parent; its unit, container and pod.
	NeedCmdline
	NeedExe
	NeedCreds
	NeedCgroup
	// NeedUser: the name of the session's user.
	NeedUser
	// NeedNetNSName: the name of the network namespace.
	NeedNetNSName
	// NeedDirection: which side began the session; needs the listeners too.
	NeedDirection
	// NeedPeer: the owners of the other end.
	NeedPeer
	// NeedTCPInfo: round-trip time, retransmits, bytes, congestion control.
	NeedTCPInfo
	// NeedCookie: the socket's cookie. The kernel makes it when it is first
	// asked for, so a source may have to look a second time.
	NeedCookie
	// NeedLife: when and how the session ended. A listing of what stands knows
	// nothing of it.
	NeedLife
	// NeedEvent: the event itself, which nothing but a stream of events has.
	NeedEvent
	// NeedSessions: the sessions alone. They come with every answer, so the bit
	// adds nothing to others.
	NeedSessions
)

// NeedDefault is what the listing shows where nothing else is asked for.
const NeedDefault = NeedOwners | NeedUser | NeedNetNSName | NeedDirection | NeedPeer | NeedCookie

// needsOwners are the needs that can only be met with owners.
const needsOwners = NeedCmdline | NeedExe | NeedCreds | NeedCgroup | NeedPeer

// Has reports whether all of n is needed.
func (s Needs) Has(n Needs) bool { return s&n == n }

// Owners reports whether owners have to be found to meet the needs.
func (s Needs) Owners() bool { return s&(NeedOwners|needsOwners) != 0 }
