package track

// ByPackets returns the options with UDP counted by its packets, as is done on
// kernels before 6.3.
func ByPackets(o Options) Options {
	o.packets = true
	return o
}
