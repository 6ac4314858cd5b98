// The tools that generate code. They have a module of their own so that who
// imports the library does not inherit what they need.
module github.com/seed-44df2ae6/whose/internal/tools

go 1.26.0

tool github.com/cilium/ebpf/cmd/bpf2go

require (
	github.com/cilium/ebpf v0.22.0 // indirect
	golang.org/x/sys v0.43.0 // indirect
)
