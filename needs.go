package whose

// Needs is a set of costly facts. Where the zero value means a default,
// [NeedSessions] asks for the sessions alone. Each [Field] has its needs.
type Needs uint32

// The costly facts. All others come with the socket.
const (
	// NeedOwners: the processes of a session, their descriptors, names and start times.
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
	// NeedDirection: the side that began the session; needs the listeners too.
	NeedDirection
	// NeedPeer: the owners of the other end.
	NeedPeer
	// NeedTCPInfo: round-trip time, retransmits, bytes, congestion control, rest.
	NeedTCPInfo
	// NeedCookie: the socket's cookie. The kernel makes it on the first request,
	// so a source may have to look a second time.
	NeedCookie
	// NeedLife: the beginning and the end of the session. A listing of standing
	// sessions has none.
	NeedLife
	// NeedEvent: the event itself. Only a stream of events has it.
	NeedEvent
	// NeedSessions: the sessions alone. They come with every answer, so the bit
	// adds nothing to others.
	NeedSessions
	// NeedContainerNames: of a process the names of its container, of the image and
	// of the pod, from the files of container runtimes. It includes NeedCgroup.
	NeedContainerNames
	// NeedTimer: the running timer of a TCP session.
	NeedTimer
	// NeedSocketGroup: of a session with hidden owners the unit and the container of
	// its socket, for which all control groups are read.
	NeedSocketGroup
	// NeedFlow: the id of a TCP connection that both ends share.
	NeedFlow
)

// NeedDefault are the needs of a listing by default.
const NeedDefault = NeedOwners | NeedUser | NeedNetNSName | NeedDirection | NeedPeer | NeedCookie | NeedSocketGroup

// needsOwners are the needs that require owners.
const needsOwners = NeedCmdline | NeedExe | NeedCreds | NeedCgroup | NeedContainerNames | NeedPeer | NeedSocketGroup

// Has reports whether all of n is needed.
func (s Needs) Has(n Needs) bool { return s&n == n }

// Owners reports whether the needs require owners.
func (s Needs) Owners() bool { return s&(NeedOwners|needsOwners) != 0 }
