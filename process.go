package whose

import "time"

// An Owner is a process with a session's socket open.
type Owner struct {
	*Process
	// FDs are the process's descriptors of the socket, in rising order. Empty for a
	// connection in the accept queue, which shows the owners of its listener.
	FDs []int32
}

// A Process is a thread group. PID and StartTime together identify it for as
// long as the host is up.
//
// The process itself or its user chooses Comm, Cmdline, Exe, Script and Container: any
// bytes, escape codes and newlines among them. Make them safe before you print
// them.
type Process struct {
	// PID is the thread group's id in the caller's pid namespace.
	PID uint32
	// StartTime is the start of the process, in steps of 10 ms
	// (/proc/PID/stat field 22 and btime of /proc/stat).
	StartTime time.Time
	// Comm is the name of the main thread, at most 15 bytes (/proc/PID/comm).
	Comm string

	// The fields below are filled in on request; see [Needs].

	// Cmdline is the command line, arguments parted by one space, cut at 4,096 bytes.
	Cmdline string
	// Exe is the path of the executable. Empty: it may not be read.
	Exe string
	// Script is the program that an interpreter runs, by the command line and Exe (both
	// are needed): a file ("app.py"), a module ("http.server") or a class. Empty: the
	// process is no known interpreter, or what it runs has no name.
	Script string
	// UID is the effective user id.
	UID uint32
	// User is the name of UID, or its number as text.
	User string
	// Parent is the parent's PID. Zero: no visible one.
	Parent uint32
	// Unit is the systemd unit: "nginx.service".
	Unit string
	// Container is the container's id, shortened to 12 digits where it is a hash. Like
	// Unit and Pod it has the mark [ByUser] if a user may have chosen it.
	Container string
	// Pod is the uid of the Kubernetes pod.
	Pod string
	// ContainerName is the name of the container, as its runtime's files have it
	// ([NeedContainerNames]): "shop-web". It has the mark [ByUser] as Container does.
	// Empty: the files are not there, or may not be read.
	ContainerName string
	// Image is the name of the container's image, as it was asked for:
	// "docker.io/library/nginx:1.29". Those of users have none.
	Image string
	// PodName and PodNamespace are the names of the Kubernetes pod and of its
	// namespace.
	PodName, PodNamespace string
}
