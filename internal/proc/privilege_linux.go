package proc

import "golang.org/x/sys/unix"

// Raised reports whether this process has rights that the user who started it
// does not have: by a set-user-ID bit or by capabilities of its file. Whatever
// that user names, such as directories, must then not be read with these rights.
// (By sudo it is root who started it.)
func Raised() bool {
	if unix.Geteuid() != unix.Getuid() || unix.Getegid() != unix.Getgid() {
		return true
	}
	const atSecure = 23 // AT_SECURE of getauxval(3)
	vector, err := unix.Auxv()
	if err != nil {
		return false
	}
	for _, pair := range vector {
		if pair[0] == atSecure {
			return pair[1] != 0
		}
	}
	return false
}

// readsOthers are the capabilities that open the files and processes of others.
const readsOthers = 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH | 1<<unix.CAP_SYS_PTRACE | 1<<unix.CAP_SYS_ADMIN

// mayReadOthers reports whether this process may read files that ordinary users
// may not.
func mayReadOthers() bool {
	if unix.Geteuid() == 0 || Raised() {
		return true
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return false
	}
	return data[0].Effective&readsOthers != 0
}
