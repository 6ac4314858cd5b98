package procnet

// Options choose the procfs to read. The zero value reads this host's /proc.
type Options struct {
	// Root is the root of procfs. Empty means /proc. Another root gives only
	// namespaces with a thread in them, and those reached by a file below the
	// root.
	Root string
	// Captured: the root may be a captured tree of plain files for a caller with
	// privilege too. The caller answers for its links.
	Captured bool
}
