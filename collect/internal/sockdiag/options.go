package sockdiag

// DefaultKeep is how many network namespaces a Source keeps open between calls
// where Options say nothing.
const DefaultKeep = 64

// Options say how to ask. The zero value is right for most.
type Options struct {
	// Keep is how many network namespaces are kept open between calls, so that
	// they need not be entered again. Each costs five descriptors, which keep it
	// alive until the first call that does not visit it. Zero means DefaultKeep;
	// less than zero: none.
	Keep int
}
