package proc

type netNS struct{}
