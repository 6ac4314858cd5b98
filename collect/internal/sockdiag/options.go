package sockdiag

// DefaultKeep is the number of network namespaces a [Source] keeps open between
// calls by default.
const DefaultKeep = 64

// Options say how to ask. The zero value is right for most.
type Options struct {
	// Keep is the number of network namespaces kept open between calls, which
	// saves entering them again. Each costs five descriptors, which keep it
	// alive until the first call that does not visit it. Zero means
	// DefaultKeep; less than zero: none.
	Keep int
}
