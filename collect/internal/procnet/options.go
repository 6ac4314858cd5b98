package procnet

// Options say where to read. The zero value reads this host's /proc.
type Options struct {
	// Root is the root of procfs. Empty means /proc. Through another root only
	// namespaces with a thread in them can be read, and those that a file
	// below the root leads to.
	Root string
}
