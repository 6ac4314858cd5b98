package container

import (
	"path"
)

// places are where runtimes keep their files, by absolute paths.
type places struct {
	// docker are the roots of Docker's data, dockerSettings the files in which an
	// administrator may have chosen another.
	docker, dockerSettings []string
	// storage are the roots of containers/storage, crio those with the bundles of
	// CRI-O.
	storage, crio []string
	// containerd are the directories of the state of a containerd.
	containerd []string
	// pods and logs are the kubelet's folders of logs.
	pods, logs string
}

// hostPlaces are the places of the runtimes that root starts.
func hostPlaces() places {
	const storage, running = "/var/lib/containers/storage", "/run/containers/storage"
	return places{
		docker:         []string{"/var/lib/docker", "/var/snap/docker/common/var-lib-docker"},
		dockerSettings: []string{"/etc/docker/daemon.json"},
		storage:        []string{storage, running},
		crio:           []string{running, storage},
		containerd: []string{
			"/run/containerd", "/run/k3s/containerd" /* RKE2 too */, "/run/k0s/containerd", "/var/snap/microk8s/common/run/containerd",
		},
		pods: "/var/log/pods", logs: "/var/log/containers",
	}
}

// userPlaces are the places of runtimes that a user starts himself.
func userPlaces(data, session string) places {
	p := places{docker: []string{path.Join(data, "docker")}, storage: []string{path.Join(data, "containers/storage")}}
	if session != "" {
		p.storage = append(p.storage, path.Join(session, "containers"))
	}
	return p
}

// containerdTasks is the directory of the tasks below the state of a containerd, by
// namespace and id.
const containerdTasks = "io.containerd.runtime.v2.task"

// drivers are the storage drivers of containers/storage, the usual first: each has
// directories of its own.
var drivers = [...]string{"overlay", "vfs", "btrfs", "zfs", "overlay2", "aufs", "devicemapper"}

// storageLists are the lists of containers below a driver's directory: the
// lasting ones, and the ones that end with `--rm` or with the host.
var storageLists = [...]string{"containers.json", "volatile-containers.json"}
